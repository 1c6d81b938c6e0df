//! Generates entities from PostgreSQL's catalogs, for the tables that repositories use through sea-orm.
//!
//! sea-orm's generator would add its command line and three more database drivers to every build, but these entities
//! need only one struct per table. This prints a JSON object of file names and sources, formatted like rustfmt does,
//! and writes no file: `cargo xtask codegen` writes or compares them.

mod entity;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::process::ExitCode;

use sqlx::{Connection, PgConnection};

use crate::entity::Table;

async fn generate(url: &str, tables: &[String]) -> Result<String, Box<dyn Error>> {
    let mut connection = PgConnection::connect(url).await?;
    let mut files = BTreeMap::new();
    for name in tables {
        let table = Table::read(&mut connection, name).await?;
        files.insert(format!("{name}.rs"), table.file()?);
    }
    files.insert("mod.rs".to_owned(), entity::module(tables));
    Ok(serde_json::to_string(&files)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(url) = arguments.next() else {
        eprintln!("usage: xtask-entities URL TABLE…");
        return ExitCode::from(2);
    };
    match generate(&url, &arguments.collect::<Vec<_>>()).await {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask-entities: {error}");
            ExitCode::FAILURE
        }
    }
}
