//! Checks that the tables of functions and macros in `docs/workflows.md` are complete and correct.

use std::collections::BTreeSet;

use serde_json::Value;

use super::evaluate;
use crate::expression::functions;
use crate::expression::syntax::Macro;

const PAGE: &str = include_str!("../../../../../../docs/workflows.md");

/// The three columns of all rows whose first column is a name in backticks.
fn rows() -> Vec<[&'static str; 3]> {
    let cells = |line: &'static str| {
        let mut cells = line.strip_prefix("| `")?.strip_suffix("` |")?.split("` | `");
        let row = [cells.next()?, cells.next()?, cells.next()?];
        cells.next().is_none().then_some(row)
    };
    let (_, section) = PAGE.split_once("### Functions").unwrap();
    let (section, _) = section.split_once("### Members").unwrap();
    section.lines().filter_map(cells).collect()
}

#[test]
fn every_function_and_macro_is_in_the_tables() {
    let documented: BTreeSet<_> = rows().into_iter().map(|[name, ..]| name).collect();
    let special = ["has", "cel.bind", "or", "orValue", "optMap", "optFlatMap"];
    let known: BTreeSet<_> = functions::names().chain(Macro::names()).chain(special).collect();
    assert_eq!(documented, known);
}

#[test]
fn every_example_uses_what_it_is_about_and_has_the_value_that_is_said() {
    for [name, example, value] in rows() {
        assert!(example.contains(name), "{name}: {example}");
        let value: Value = serde_json::from_str(value).unwrap_or_else(|error| panic!("{name}: {value}: {error}"));
        assert_eq!(evaluate(example), Ok(value), "{name}: {example}");
    }
}
