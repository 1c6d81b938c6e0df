//! Where things are on pages, and what readers find in the text.

use chrono::{TimeDelta, TimeZone, Utc};
use tidegate_billing::Currency;
use tidegate_billing::catalogue::{EntitlementName, Interval, PlanVersion, Price};
use tidegate_billing::invoice::{
    CreditNote, CreditNoteNumber, Invoice, InvoiceDocuments, InvoiceNumber, InvoiceStatus, IssuedCreditNote,
    IssuedInvoice, Line, LineKind, Parties, Sold, TaxRate, UsageRow,
};
use tidegate_kernel::{CreditNoteId, InvoiceId, Period};

use super::*;
use crate::PdfDocuments;

const RATE: TaxRate = TaxRate { ppm: 190_000, inclusive: false };

fn party(name: &str, address: &[&str]) -> Party {
    Party {
        name: name.to_owned(),
        address: address.iter().map(|line| (*line).to_owned()).collect(),
        tax_id: Some("DE 123 456 789".to_owned()),
    }
}

/// An open invoice with a plan and `usage` lines of usage.
fn issued(customer: Party, usage: usize) -> IssuedInvoice {
    let start = Utc.with_ymd_and_hms(2026, 2, 28, 23, 0, 0).unwrap();
    let period = Period { start, end: Utc.with_ymd_and_hms(2026, 3, 31, 22, 0, 0).unwrap() };
    let plan = PlanVersion { name: "professional".into(), version: 2 };
    let price = Price { interval: Interval::Month, currency: Currency::EUR, amount: 7900 };
    let mut lines = vec![Line::plan(Sold { plan: plan.clone(), title: "Professional".into(), price }, period, RATE)];
    let row = UsageRow { period, used: 1_234_567, charged: 1_000 };
    let name = EntitlementName::EventsPerMonth;
    let kind = LineKind::Usage { plan, name, rows: vec![row; 2], included: 1_000_000, per: 1000 };
    let line = Line { kind, quantity: 234_567, unit_amount: 2, amount: 469, rate: RATE, tax: 0 };
    lines.extend(vec![line; usage]);
    let invoice = Invoice::new(Currency::EUR, lines, RATE, &[], 500).unwrap();
    let seller = party("Tidegate Operations GmbH", &["Hafenstraße 12", "20457 Hamburg", "Germany"]);
    IssuedInvoice {
        id: InvoiceId::from_uuid(uuid::Uuid::from_u128(7)),
        number: InvoiceNumber(42),
        status: InvoiceStatus::Open,
        parties: Some(Parties { seller, customer, zone: "Europe/Berlin".parse().unwrap() }),
        descriptions: invoice
            .lines
            .iter()
            .map(|line| tidegate_billing::invoice::issued::describe(line, "Europe/Berlin".parse().unwrap()))
            .collect(),
        invoice,
        period,
        issued_at: start,
        due_at: Some(start + TimeDelta::days(14)),
        credited: 0,
        paid_at: None,
    }
}

fn ordinary() -> IssuedInvoice {
    issued(party("Miller & Sons Ltd.", &["1 High Street", "Cambridge CB2 1TN", "United Kingdom"]), 1)
}

fn right_to_left() -> IssuedInvoice {
    issued(
        party("חברת הדוגמה בע״מ (Example)", &["רחוב הרצל 15, קומה 3", "شارع الملك فهد ١٢، الرياض", "Tel Aviv 6688101"]),
        1,
    )
}

fn long() -> IssuedInvoice {
    let word = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft".repeat(3);
    issued(party(&word[..200], &[&"No spaces anywhere ".repeat(5), &"x".repeat(100)]), 40)
}

fn pages(invoice: &IssuedInvoice) -> Vec<Vec<Mark>> {
    arrange(
        &Fonts::default(),
        &Document::of_invoice(invoice, Some("How to pay: IBAN DE02 1203 0000 0000 2020 51")).unwrap(),
    )
    .1
}

fn texts(pages: &[Vec<Mark>]) -> Vec<&str> {
    pages
        .iter()
        .flatten()
        .filter_map(|mark| match mark {
            Mark::Text(block, ..) => Some(block.text()),
            Mark::Rule(_) => None,
        })
        .collect()
}

/// The texts of a page as rectangles: left, top, right, bottom.
fn boxes(page: &[Mark]) -> Vec<(&str, [f32; 4])> {
    page.iter()
        .filter_map(|mark| match mark {
            Mark::Text(block, x, y) => {
                let (left, right) = block.edges();
                Some((block.text(), [x + left, *y, x + right, y + block.height()]))
            }
            Mark::Rule(_) => None,
        })
        .collect()
}

#[test]
fn an_invoice_says_everything_that_it_has_to() {
    let pages = pages(&ordinary());
    assert_eq!(pages.len(), 1);
    let texts = texts(&pages);
    for text in [
        "Invoice",
        "INV-000042",
        "2026-03-01",
        "2026-03-01 to 2026-03-31",
        "2026-03-15",
        "Tidegate Operations GmbH",
        "Hafenstraße 12",
        "Miller & Sons Ltd.",
        "Tax id: DE 123 456 789",
        "94.59 EUR due by 2026-03-15",
        "Professional, 2026-03-01 to 2026-03-31",
        "2026-02: 1234567 used, 1000 of them on an earlier invoice",
        "234567",
        "83.69 EUR",
        "Tax 19 %",
        "15.90 EUR",
        "99.59 EUR",
        "-5.00 EUR",
        "94.59 EUR",
        "How to pay: IBAN DE02 1203 0000 0000 2020 51",
        "Page 1 of 1",
    ] {
        assert!(texts.contains(&text), "{text} is not in {texts:#?}");
    }
}

#[test]
fn nothing_leaves_the_page_or_covers_anything_else() {
    for invoice in [ordinary(), right_to_left(), long()] {
        for page in pages(&invoice) {
            let boxes = boxes(&page);
            for (nth, (text, [left, top, right, bottom])) in boxes.iter().enumerate() {
                assert!(*left >= LEFT - 0.1 && *right <= RIGHT + 0.1, "{text:?}: {left} to {right}");
                assert!(*top >= TOP && *bottom <= PAGE.1 - 20.0, "{text:?}");
                for (other, [l, t, r, b]) in &boxes[nth + 1..] {
                    let apart = right <= l || r <= left || *bottom <= t + 0.1 || *b <= top + 0.1;
                    assert!(apart, "{text:?} covers {other:?}");
                }
            }
        }
    }
}

#[test]
fn numbers_end_at_the_right_margin_and_so_do_names_from_right_to_left() {
    let page = &pages(&right_to_left())[0];
    let right = |wanted: &str| boxes(page).into_iter().find(|(text, _)| *text == wanted).map(|(_, edges)| edges[2]);
    for text in ["99.59 EUR", "Page 1 of 1", "רחוב הרצל 15, קומה 3", "شارع الملك فهد ١٢، الرياض"]
    {
        assert!(right(text).is_some_and(|right| (right - RIGHT).abs() < 1.0), "{text} ends at {:?}", right(text));
    }
}

/// Readers can search for and copy each character, also those that are drawn as one glyph.
#[test]
fn the_glyphs_stand_for_the_whole_text() {
    let mut typesetter = Typesetter::new(&Fonts::default());
    for text in ["office affair", "لا إله", "الله", "שָׁלוֹם", "a שָׁ b لا c"] {
        let block = typesetter.arrange(text, BODY, 400.0);
        let mut found: Vec<char> = Vec::new();
        let mut before = "";
        for part in block.searched() {
            // Several glyphs of one cluster stand for the same part.
            if !std::ptr::eq(part, before) {
                found.extend(part.chars());
            }
            before = part;
        }
        let mut expected: Vec<char> = text.chars().collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn many_lines_go_on_on_the_next_page_with_titles() {
    let invoice = long();
    let pages = pages(&invoice);
    assert!(pages.len() > 1);
    for (nth, page) in pages.iter().enumerate() {
        let texts: Vec<_> = boxes(page).into_iter().map(|(text, _)| text).collect();
        assert!(texts.contains(&format!("Page {} of {}", nth + 1, pages.len()).as_str()), "{texts:?}");
        assert!(texts.contains(&"Invoice INV-000042"), "{texts:?}");
    }
    let described = texts(&pages).into_iter().filter(|text| text.starts_with("events per month")).count();
    assert_eq!(described, 40, "each line is there once");
}

#[test]
fn every_character_of_the_scripts_that_we_have_fonts_for_has_a_glyph() {
    let mut typesetter = Typesetter::new(&Fonts::default());
    for text in ["Ærøskøbing Łódź", "Ελλάδα Россия", "רחוב הרצל 15", "شارع الملك فهد ١٢", "5 € £ ¥ ₪ №"]
    {
        let block = typesetter.arrange(text, BODY, 400.0);
        assert_eq!(block.unknown(), 0, "{text}");
    }
    assert!(typesetter.arrange("東京", BODY, 400.0).unknown() > 0, "a font of the operator is needed");
}

#[test]
fn the_same_invoice_gives_the_same_bytes() {
    let documents = PdfDocuments::new(None);
    let (first, again) =
        (documents.invoice(&ordinary()).unwrap(), PdfDocuments::new(None).invoice(&ordinary()).unwrap());
    assert!(first.starts_with(b"%PDF-"));
    assert_eq!(first, again);
    let paid_at = Some(ordinary().issued_at);
    let paid = IssuedInvoice { status: InvoiceStatus::Paid, paid_at, ..ordinary() };
    assert_ne!(documents.invoice(&paid).unwrap(), first);
}

#[test]
fn a_credit_note_names_its_invoice() {
    let invoice = ordinary();
    let note = CreditNote::new(&invoice.invoice, 0, 1000).unwrap();
    let note = IssuedCreditNote {
        id: CreditNoteId::from_uuid(uuid::Uuid::from_u128(8)),
        number: CreditNoteNumber(3),
        invoice: invoice.id,
        note,
        reason: "An outage on 3 March".to_owned(),
        issued_at: invoice.issued_at,
    };
    let pages = arrange(&Fonts::default(), &Document::of_credit_note(&note, &invoice)).1;
    let texts = texts(&pages);
    for text in [
        "Credit note",
        "CN-000003",
        "INV-000042 of 2026-03-01",
        "An outage on 3 March",
        "10.00 EUR",
        "8.40 EUR",
        "19 %",
    ] {
        assert!(texts.contains(&text), "{text} is not in {texts:#?}");
    }
    assert!(PdfDocuments::new(None).credit_note(&note, &invoice).unwrap().starts_with(b"%PDF-"));
}

#[test]
fn a_font_of_the_operator_is_asked_last_and_must_be_one() {
    assert!(PdfDocuments::new(None).with_font(b"not a font".to_vec()).is_err());
    let font = include_bytes!("../../fonts/NotoSans-Bold.ttf").to_vec();
    assert!(PdfDocuments::new(None).with_font(font).is_ok());
}

/// Writes the documents of these tests into the folder `TIDEGATE_PDF_DIR`, to look at them.
#[test]
fn documents_can_be_looked_at() {
    let documents = PdfDocuments::new(Some(
        "How to pay: IBAN DE02 1203 0000 0000 2020 51, with the number of the invoice".to_owned(),
    ));
    for (name, invoice) in [("ordinary", ordinary()), ("right-to-left", right_to_left()), ("long", long())] {
        let pdf = documents.invoice(&invoice).unwrap();
        assert!(pdf.len() < 200_000, "{name}: fonts are embedded in parts");
        if let Some(folder) = std::env::var_os("TIDEGATE_PDF_DIR") {
            std::fs::write(std::path::Path::new(&folder).join(name).with_extension("pdf"), pdf).unwrap();
        }
    }
}
