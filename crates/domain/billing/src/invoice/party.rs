//! Who an invoice is from and whom it is for.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use tidegate_kernel::name::{NameMistake, name};

use crate::calendar::zone_name;

/// The seller or the customer, as invoices print them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The name of the company or the person.
    pub name: String,
    /// The lines of the address, with the country.
    #[serde(default)]
    pub address: Vec<String>,
    /// The number under which tax offices know them.
    #[serde(default)]
    pub tax_id: Option<String>,
}

/// What a customer says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerDetails {
    /// Whom invoices are for.
    pub party: Party,
    /// How often it was changed; 0 if the workspace gave no details, and is known by its name.
    pub revision: i32,
}

/// What is wrong with the details of a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartyMistake {
    /// A text is not one.
    #[error(transparent)]
    Text(#[from] NameMistake),
    /// A text is too long.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// The address has too many lines.
    #[error("must have at most {} lines", Party::MAX_LINES)]
    TooManyLines,
}

/// The detail of a party that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartyField {
    /// [`Party::name`].
    Name,
    /// [`Party::address`] as a whole.
    Address,
    /// A line of it, from 0.
    Line(usize),
    /// [`Party::tax_id`].
    TaxId,
}

impl Party {
    /// The most characters of a name.
    pub const MAX_NAME: usize = 200;
    /// The most lines of an address.
    pub const MAX_LINES: usize = 6;
    /// The most characters of a line.
    pub const MAX_LINE: usize = 100;
    /// The most characters of a tax id.
    pub const MAX_TAX_ID: usize = 40;

    /// A party with these details. Its texts follow the rule for names ([`tidegate_kernel::name`]).
    ///
    /// # Errors
    /// The first detail that is wrong, and what is wrong with it.
    pub fn new(name: &str, address: &[String], tax_id: Option<&str>) -> Result<Self, (PartyField, PartyMistake)> {
        if address.len() > Self::MAX_LINES {
            return Err((PartyField::Address, PartyMistake::TooManyLines));
        }
        let lines = address.iter().enumerate();
        let lines =
            lines.map(|(nth, line)| text(line, Self::MAX_LINE).map_err(|mistake| (PartyField::Line(nth), mistake)));
        let tax_id = tax_id.map(|id| text(id, Self::MAX_TAX_ID).map_err(|mistake| (PartyField::TaxId, mistake)));
        Ok(Self {
            name: text(name, Self::MAX_NAME).map_err(|mistake| (PartyField::Name, mistake))?,
            address: lines.collect::<Result<_, _>>()?,
            tax_id: tax_id.transpose()?,
        })
    }
}

/// A text of at most `most` characters.
fn text(text: &str, most: usize) -> Result<String, PartyMistake> {
    let text = name(text.trim())?;
    if text.chars().nth(most).is_some() { Err(PartyMistake::TooLong(most)) } else { Ok(text.into_owned()) }
}

/// The parties of an invoice, as they were when it was issued. No later change affects it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parties {
    /// Who issued the invoice.
    pub seller: Party,
    /// Whom it is for.
    pub customer: Party,
    /// The customer's time zone, in which its dates are.
    #[serde(with = "zone_name")]
    pub zone: Tz,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detail_that_is_wrong_is_named() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let good = Party::new(" Miller & Sons ", &lines(&["1 High Street"]), Some("GB 1")).unwrap();
        assert_eq!((good.name.as_str(), good.tax_id.as_deref()), ("Miller & Sons", Some("GB 1")));
        for (name, address, tax_id, expected) in [
            ("", vec![], None, (PartyField::Name, NameMistake::Empty.into())),
            ("two\nlines", vec![], None, (PartyField::Name, NameMistake::Control.into())),
            (&*"n".repeat(201), vec![], None, (PartyField::Name, PartyMistake::TooLong(200))),
            ("n", lines(&["a", " "]), None, (PartyField::Line(1), NameMistake::Empty.into())),
            ("n", vec!["l".repeat(101)], None, (PartyField::Line(0), PartyMistake::TooLong(100))),
            ("n", lines(&["l"; 7]), None, (PartyField::Address, PartyMistake::TooManyLines)),
            ("n", vec![], Some("\u{202e}1"), (PartyField::TaxId, NameMistake::Direction.into())),
        ] {
            assert_eq!(Party::new(name, &address, tax_id).unwrap_err(), expected, "{name:?} {address:?} {tax_id:?}");
        }
    }

    #[test]
    fn parties_read_back() {
        let seller = Party::new("Seller", &[], None).unwrap();
        let parties = Parties { customer: seller.clone(), seller, zone: "Asia/Tokyo".parse().unwrap() };
        let text = serde_json::to_string(&parties).unwrap();
        assert!(text.contains("Asia/Tokyo"), "{text}");
        assert_eq!(serde_json::from_str::<Parties>(&text).unwrap(), parties);
    }
}
