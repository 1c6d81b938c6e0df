//! Text as glyphs: fonts, bidirectional order, lines.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use krilla::Data;
use krilla::geom::Point;
use krilla::surface::Surface;
use krilla::text::{Font, GlyphId, KrillaGlyph};
use parley::fontique::{Blob, Collection, CollectionOptions, SourceCache};
use parley::{
    Alignment, AlignmentOptions, FontContext, FontFamily, FontFamilyName, FontWeight, Layout, LayoutContext,
    LineHeight, OverflowWrap, PositionedLayoutItem, Run, StyleProperty,
};

/// The fonts of this crate, of which the first that has a character writes it.
const OWN: [&[u8]; 6] = [
    include_bytes!("../fonts/NotoSans-Regular.ttf"),
    include_bytes!("../fonts/NotoSans-Bold.ttf"),
    include_bytes!("../fonts/NotoSansHebrew-Regular.ttf"),
    include_bytes!("../fonts/NotoSansHebrew-Bold.ttf"),
    include_bytes!("../fonts/NotoSansArabic-Regular.ttf"),
    include_bytes!("../fonts/NotoSansArabic-Bold.ttf"),
];

/// The distance of lines, in sizes of the text.
const LINE: f32 = 1.35;

/// The fonts, in the order in which they are asked for a character.
#[derive(Clone)]
pub(crate) struct Fonts(Vec<Blob<u8>>);

impl Default for Fonts {
    fn default() -> Self {
        Self(OWN.iter().map(|font| Blob::new(std::sync::Arc::new(*font))).collect())
    }
}

impl Fonts {
    /// Adds a font; false if it is none.
    pub(crate) fn add(&mut self, font: Blob<u8>) -> bool {
        let data = Data::from(font.clone().into_raw_parts().0);
        let known = !collection().register_fonts(font.clone(), None).is_empty() && Font::new(data, 0).is_some();
        if known {
            self.0.push(font);
        }
        known
    }
}

/// A collection without the fonts of the system: a document is the same on every machine.
fn collection() -> Collection {
    Collection::new(CollectionOptions { shared: false, system_fonts: false })
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Its size in points.
    pub(crate) size: f32,
    pub(crate) bold: bool,
    /// Whether it stays in the background.
    pub(crate) faint: bool,
    /// Whether it ends at the right edge, whichever its direction is.
    pub(crate) right: bool,
}

impl Style {
    /// Text of this size.
    pub(crate) const fn new(size: f32) -> Self {
        Self { size, bold: false, faint: false, right: false }
    }

    pub(crate) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(crate) const fn faint(self) -> Self {
        Self { faint: true, ..self }
    }

    pub(crate) const fn right(self) -> Self {
        Self { right: true, ..self }
    }
}

/// A text that is arranged in lines.
pub(crate) struct Block {
    text: String,
    layout: Layout<()>,
    /// How it looks.
    pub(crate) style: Style,
}

impl Block {
    /// The height in points.
    pub(crate) fn height(&self) -> f32 {
        self.layout.height()
    }

    /// The left and the right edge of what is drawn, in points from its left margin.
    #[cfg(test)]
    pub(crate) fn edges(&self) -> (f32, f32) {
        let edges = self.layout.lines().map(|line| {
            let metrics = *line.metrics();
            (metrics.offset, metrics.offset + metrics.advance - metrics.trailing_whitespace)
        });
        edges.reduce(|(left, right), (l, r)| (left.min(l), right.max(r))).unwrap_or_default()
    }

    /// The parts of the text that the glyphs stand for, from left to right.
    #[cfg(test)]
    pub(crate) fn searched(&self) -> Vec<&str> {
        let runs = self.layout.lines().flat_map(|line| line.runs().collect::<Vec<_>>());
        runs.flat_map(|run| shaped(&run)).map(|glyph| &self.text[glyph.text_range]).collect()
    }

    /// How many glyphs stand for characters that no font has.
    #[cfg(test)]
    pub(crate) fn unknown(&self) -> usize {
        let runs = self.layout.lines().flat_map(|line| line.runs().collect::<Vec<_>>());
        let glyphs = runs.flat_map(|run| run.clusters().flat_map(|cluster| cluster.glyphs()).collect::<Vec<_>>());
        glyphs.filter(|glyph| glyph.id == 0).count()
    }

    /// The text.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Arranges texts, and draws them.
pub(crate) struct Typesetter {
    fonts: FontContext,
    scratch: LayoutContext<()>,
    families: Vec<FontFamilyName<'static>>,
    faces: HashMap<(u64, u32), Font>,
}

impl Typesetter {
    pub(crate) fn new(fonts: &Fonts) -> Self {
        let mut collection = collection();
        let mut families = Vec::new();
        for font in &fonts.0 {
            for (family, _) in collection.register_fonts(font.clone(), None) {
                let name =
                    collection.family_name(family).map(|name| FontFamilyName::Named(Cow::Owned(name.to_owned())));
                families.extend(name.filter(|name| !families.contains(name)));
            }
        }
        let fonts = FontContext { collection, source_cache: SourceCache::default() };
        Self { fonts, scratch: LayoutContext::new(), families, faces: HashMap::new() }
    }

    /// Arranges a text in lines of at most `width` points. A word that does not fit is broken.
    pub(crate) fn arrange(&mut self, text: &str, style: Style, width: f32) -> Block {
        let mut builder = self.scratch.ranged_builder(&mut self.fonts, text, 1.0, false);
        builder.push_default(StyleProperty::FontFamily(FontFamily::List(Cow::Borrowed(&self.families))));
        builder.push_default(StyleProperty::FontSize(style.size));
        builder.push_default(StyleProperty::LineHeight(LineHeight::FontSizeRelative(LINE)));
        builder.push_default(StyleProperty::OverflowWrap(OverflowWrap::Anywhere));
        if style.bold {
            builder.push_default(StyleProperty::FontWeight(FontWeight::BOLD));
        }
        let mut layout: Layout<()> = builder.build(text);
        layout.break_all_lines(Some(width));
        let alignment = if style.right { Alignment::Right } else { Alignment::Start };
        layout.align(alignment, AlignmentOptions::default());
        Block { text: text.to_owned(), layout, style }
    }

    /// Draws a text with its upper left corner at `(x, y)`.
    pub(crate) fn draw(&mut self, surface: &mut Surface<'_>, block: &Block, x: f32, y: f32) {
        for line in block.layout.lines() {
            for item in line.items() {
                let PositionedLayoutItem::GlyphRun(glyphs) = item else { continue };
                let run = glyphs.run();
                let Some(face) = self.face(run) else { continue };
                let start = Point::from_xy(x + glyphs.offset(), y + glyphs.baseline());
                surface.draw_glyphs(start, &shaped(run), face, &block.text, run.font_size(), false);
            }
        }
    }

    /// The font of a run; `None` if it has none, which [`Fonts::add`] rules out.
    fn face(&mut self, run: &Run<'_, ()>) -> Option<Font> {
        let font = run.font();
        let key = (font.data.id(), font.index);
        Some(match self.faces.entry(key) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                new.insert(Font::new(Data::from(font.data.clone().into_raw_parts().0), font.index)?).clone()
            }
        })
    }
}

/// The glyphs of a run from left to right, each with the text that it stands for, so that readers can search and copy.
fn shaped(run: &Run<'_, ()>) -> Vec<KrillaGlyph> {
    let size = run.font_size();
    let mut clusters: Vec<(Range<usize>, Vec<KrillaGlyph>)> = Vec::new();
    for cluster in run.visual_clusters() {
        let range = cluster.text_range();
        let glyphs: Vec<_> = cluster
            .glyphs()
            .map(|glyph| {
                let (advance, x, y) = (glyph.advance / size, glyph.x / size, -glyph.y / size);
                KrillaGlyph::new(GlyphId::new(glyph.id), advance, x, y, 0.0, range.clone(), None)
            })
            .collect();
        match clusters.last_mut() {
            // The rest of a ligature, which is on the side where the text goes on.
            Some((start, _)) if glyphs.is_empty() => *start = start.start.min(range.start)..start.end.max(range.end),
            _ => clusters.push((range, glyphs)),
        }
    }
    let of_cluster = |(range, glyphs): (Range<usize>, Vec<KrillaGlyph>)| {
        glyphs.into_iter().map(move |glyph| KrillaGlyph { text_range: range.clone(), ..glyph })
    };
    clusters.into_iter().flat_map(of_cluster).collect()
}
