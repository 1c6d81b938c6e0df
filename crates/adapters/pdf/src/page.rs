//! A document on pages of A4.
//!
//! All lengths are points, from the upper left corner.

use krilla::color::luma;
use krilla::geom::{PathBuilder, Rect};
use krilla::metadata::{DateTime as PdfDate, Metadata};
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::{Document as Pdf, SerializeSettings};

use chrono::{Datelike, Timelike};
use tidegate_billing::invoice::{DocumentError, Party};

use crate::content::{Document, Row};
use crate::text::{Block, Fonts, Style, Typesetter};

/// A4.
const PAGE: (f32, f32) = (595.276, 841.89);
const LEFT: f32 = 50.0;
const RIGHT: f32 = PAGE.0 - 50.0;
const TOP: f32 = 50.0;
const BOTTOM: f32 = PAGE.1 - 70.0;
const FOOT: f32 = PAGE.1 - 50.0;
/// The space between columns.
const GAP: f32 = 12.0;
/// Where each column of the lines ends. The first begins at the left, and each other one after the one before.
const COLUMNS: [(&str, f32); 5] =
    [("Description", 255.0), ("Quantity", 330.0), ("Unit price", 415.0), ("Tax", 460.0), ("Amount", RIGHT)];
/// Where the sums begin, and their amounts.
const SUMS: (f32, f32) = (300.0, 430.0);

const BODY: Style = Style::new(9.0);
const SMALL: Style = Style::new(8.0).faint();
/// Shades of grey, of 255.
const BLACK: u8 = 17;
const FAINT: u8 = 100;
const RULE: u8 = 200;

/// What is on a page.
enum Mark {
    /// A text with its upper left corner.
    Text(Box<Block>, f32, f32),
    /// A line from margin to margin, at this height.
    Rule(f32),
}

/// A text with its look, where it begins, and how wide it may be.
struct Cell<'t>(&'t str, Style, f32, f32);

/// Texts that stand beside each other, each with where it begins.
struct Strip {
    blocks: Vec<(Block, f32)>,
    /// The height of the highest.
    height: f32,
}

/// The pages that are filled from top to bottom.
struct Sheets {
    typesetter: Typesetter,
    done: Vec<Vec<Mark>>,
    page: Vec<Mark>,
    y: f32,
}

/// Writes a document.
///
/// # Errors
/// [`DocumentError`] if it could not be written.
pub(crate) fn write(fonts: &Fonts, document: &Document) -> Result<Vec<u8>, DocumentError> {
    let (mut typesetter, pages) = arrange(fonts, document);
    let mut pdf = Pdf::new_with(SerializeSettings::default());
    pdf.set_metadata(metadata(document));
    let refused = || DocumentError("a page has no size".to_owned());
    for marks in &pages {
        let mut page = pdf.start_page_with(PageSettings::from_wh(PAGE.0, PAGE.1).ok_or_else(refused)?);
        let mut surface = page.surface();
        for mark in marks {
            match mark {
                Mark::Text(block, x, y) => {
                    fill(&mut surface, if block.style.faint { FAINT } else { BLACK });
                    typesetter.draw(&mut surface, block, *x, *y);
                }
                Mark::Rule(y) => rule(&mut surface, *y),
            }
        }
        surface.finish();
        page.finish();
    }
    pdf.finish().map_err(|error| DocumentError(format!("{error:?}")))
}

/// The pages of a document.
fn arrange(fonts: &Fonts, document: &Document) -> (Typesetter, Vec<Vec<Mark>>) {
    let mut sheets = Sheets { typesetter: Typesetter::new(fonts), done: Vec::new(), page: Vec::new(), y: TOP };
    sheets.head(document);
    sheets.parties(document);
    sheets.paragraph(&document.headline, Style::new(15.0).bold());
    sheets.y += 14.0;
    sheets.column_titles();
    for row in &document.rows {
        sheets.row(row);
    }
    sheets.sums(document);
    for remark in &document.remarks {
        sheets.paragraph(remark, SMALL);
    }
    sheets.finish(&format!("{} {}", document.title, document.number))
}

impl Sheets {
    /// Arranges texts beside each other.
    fn strip(&mut self, texts: &[Cell<'_>]) -> Strip {
        let block = |Cell(text, style, x, width): &Cell<'_>| (self.typesetter.arrange(text, *style, *width), *x);
        let blocks: Vec<_> = texts.iter().map(block).collect();
        let height = blocks.iter().map(|(block, _)| block.height()).fold(0.0, f32::max);
        Strip { blocks, height }
    }

    /// Puts a strip on the page, which has room for it, and leaves `space` below it.
    fn place(&mut self, strip: Strip, space: f32) {
        let y = self.y;
        self.page.extend(strip.blocks.into_iter().map(|(block, x)| Mark::Text(Box::new(block), x, y)));
        self.y += strip.height + space;
    }

    /// Puts texts beside each other on the page, which has room for them, and leaves `space` below them.
    fn beside(&mut self, texts: &[Cell<'_>], space: f32) {
        let strip = self.strip(texts);
        self.place(strip, space);
    }

    /// Begins a page if `height` does not fit on this one; whether it did.
    fn make_room(&mut self, height: f32) -> bool {
        let full = self.y + height > BOTTOM && self.y > TOP;
        if full {
            self.done.push(std::mem::take(&mut self.page));
            self.y = TOP;
        }
        full
    }

    /// A paragraph from margin to margin.
    fn paragraph(&mut self, text: &str, style: Style) {
        let strip = self.strip(&[Cell(text, style, LEFT, RIGHT - LEFT)]);
        self.make_room(strip.height);
        self.place(strip, 3.0);
    }

    fn head(&mut self, document: &Document) {
        let half = (RIGHT - LEFT - GAP) / 2.0;
        let seller = document.seller.name.as_str();
        let seller = Cell(seller, Style::new(11.0).bold().right(), LEFT + half + GAP, half);
        self.beside(&[Cell(document.title, Style::new(20.0).bold(), LEFT, half), seller], 10.0);
        for (label, value) in &document.facts {
            self.beside(&[Cell(label, BODY.bold(), LEFT, 90.0), Cell(value, BODY, LEFT + 90.0, 300.0)], 1.0);
        }
        self.y += 16.0;
    }

    /// The seller and the customer, beside each other.
    fn parties(&mut self, document: &Document) {
        let width = (RIGHT - LEFT - 2.0 * GAP) / 2.0;
        let (top, mut bottom) = (self.y, self.y);
        let sides = [("From", &document.seller, LEFT), ("For", &document.customer, LEFT + width + 2.0 * GAP)];
        for (title, Party { name, address, tax_id }, x) in sides {
            if name.is_empty() && address.is_empty() {
                continue;
            }
            self.y = top;
            let tax_id = tax_id.as_ref().map(|id| format!("Tax id: {id}"));
            let texts = std::iter::once((name.as_str(), BODY.bold()))
                .chain(address.iter().map(|line| (line.as_str(), BODY)))
                .chain(tax_id.iter().map(|id| (id.as_str(), BODY)));
            let title = std::iter::once((title, SMALL));
            for (text, style) in title.chain(texts).filter(|(text, _)| !text.is_empty()) {
                self.beside(&[Cell(text, style, x, width)], 0.0);
            }
            bottom = bottom.max(self.y);
        }
        self.y = bottom + 22.0;
    }

    /// Columns of the lines, with these texts. Numbers end at the right edge of their column.
    fn columns<'a>(texts: [&'a str; 5], style: Style) -> Vec<Cell<'a>> {
        let mut from = LEFT;
        let column = |(nth, (text, (_, to))): (usize, (&'a str, (&str, f32)))| {
            let column = Cell(text, if nth == 0 { style } else { style.right() }, from, to - from);
            from = to + GAP;
            column
        };
        texts.into_iter().zip(COLUMNS).enumerate().map(column).collect()
    }

    fn column_titles(&mut self) {
        self.beside(&Self::columns(COLUMNS.map(|(title, _)| title), SMALL), 3.0);
        self.page.push(Mark::Rule(self.y));
        self.y += 5.0;
    }

    fn row(&mut self, row: &Row) {
        let Row { description, details, quantity, unit, tax, amount } = row;
        let columns = Self::columns([description, quantity, unit, tax, amount], BODY);
        let details = details.iter().map(|detail| vec![Cell(detail, SMALL, LEFT, COLUMNS[2].1 - LEFT)]);
        for texts in std::iter::once(columns).chain(details) {
            let strip = self.strip(&texts);
            if self.make_room(strip.height) {
                self.column_titles();
            }
            self.place(strip, 0.0);
        }
        self.y += 5.0;
    }

    fn sums(&mut self, document: &Document) {
        let (label, amount) = SUMS;
        let mut strips = Vec::new();
        for sum in &document.sums {
            let style = if sum.strong { BODY.bold() } else { BODY };
            let amount_cell = Cell(&sum.amount, style.right(), amount, RIGHT - amount);
            strips.push(self.strip(&[Cell(&sum.label, style, label, amount - GAP - label), amount_cell]));
        }
        self.make_room(strips.iter().map(|strip| strip.height + 3.0).sum::<f32>() + 8.0);
        self.page.push(Mark::Rule(self.y));
        self.y += 8.0;
        for strip in strips {
            self.place(strip, 3.0);
        }
        self.y += 14.0;
    }

    /// The pages, each with a foot.
    fn finish(mut self, name: &str) -> (Typesetter, Vec<Vec<Mark>>) {
        self.done.push(self.page);
        let count = self.done.len();
        for (nth, page) in self.done.iter_mut().enumerate() {
            let number = format!("Page {} of {count}", nth + 1);
            for (text, style) in [(name, SMALL), (&number, SMALL.right())] {
                let block = self.typesetter.arrange(text, style, RIGHT - LEFT);
                page.push(Mark::Text(Box::new(block), LEFT, FOOT));
            }
        }
        (self.typesetter, self.done)
    }
}

fn fill(surface: &mut Surface<'_>, grey: u8) {
    surface.set_fill(Some(Fill { paint: luma::Color::new(grey).into(), ..Fill::default() }));
}

fn rule(surface: &mut Surface<'_>, y: f32) {
    let Some(line) = Rect::from_ltrb(LEFT, y, RIGHT, y + 0.7) else { return };
    let mut path = PathBuilder::new();
    path.push_rect(line);
    if let Some(path) = path.finish() {
        fill(surface, RULE);
        surface.draw_path(&path);
    }
}

/// What readers show about the file. Nothing in it changes from one writing to the next.
fn metadata(document: &Document) -> Metadata {
    let at = document.issued_at;
    let part = |number: u32| u8::try_from(number).unwrap_or_default();
    let created = PdfDate::new(u16::try_from(at.year()).unwrap_or_default())
        .month(part(at.month()))
        .day(part(at.day()))
        .hour(part(at.hour()))
        .minute(part(at.minute()))
        .second(part(at.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0);
    let metadata = Metadata::new()
        .title(format!("{} {}", document.title, document.number))
        .language("en".to_owned())
        .creator("Tidegate".to_owned())
        .document_id(document.id.clone())
        .creation_date(created);
    if document.seller.name.is_empty() { metadata } else { metadata.authors(vec![document.seller.name.clone()]) }
}

#[cfg(test)]
mod tests;
