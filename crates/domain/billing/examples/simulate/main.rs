//! Runs a customer through time and prints what happens: `cargo run -p tidegate-billing --example simulate FILE`.
//!
//! The file is a scenario such as `crates/domain/billing/tests/scenarios/two-years.json`.

mod simulation;

fn main() -> Result<(), simulation::Failure> {
    let file = std::env::args().nth(1).ok_or("name the file of a scenario")?;
    print!("{}", simulation::Customer::run(&std::fs::read_to_string(file)?)?);
    Ok(())
}
