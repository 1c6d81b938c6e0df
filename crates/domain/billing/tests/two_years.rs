//! A customer through two years, against the committed report of all invoices.
//!
//! After a change that is meant, `TIDEGATE_UPDATE=1` writes the report anew; its diff says which invoices change.

#[path = "../examples/simulate/simulation.rs"]
mod simulation;

const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/two-years.txt");

#[test]
fn two_years_are_invoiced_as_before_and_the_ledger_balances() {
    let report = simulation::Customer::run(include_str!("scenarios/two-years.json")).unwrap();
    if std::env::var_os("TIDEGATE_UPDATE").is_some() {
        std::fs::write(REPORT, &report).unwrap();
    }
    assert_eq!(report, std::fs::read_to_string(REPORT).unwrap());
    assert!(report.ends_with("all         0\n"), "{report}");
}
