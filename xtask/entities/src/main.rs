//! Entities of the tables that repositories reach through sea-orm, from PostgreSQL's own catalogs.
//!
//! sea-orm's generator would bring its command line and three more database drivers into every build; what these
//! entities need of it is one struct a table. It prints a JSON object of file names and texts, formatted as rustfmt
//! would, and writes nothing: `cargo xtask codegen` writes or compares.

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
