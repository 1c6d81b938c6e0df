//! `codegen`: writes the generated files in the repository. With `--check` it changes nothing and fails if a file is
//! not up to date.

use std::collections::BTreeMap;
use std::fs;

use crate::failure::{Context, Failure};
use crate::services::{Durability, Services};
use crate::{shell, tidy};

/// The folder of the entities.
const ENTITIES: &str = "crates/adapters/postgres/src/entities";

/// The documentation of workflow documents, which has a table of the step types.
const GUIDE: &str = "docs/workflows.md";

/// Writes every file, or compares it.
pub(crate) fn run(check: bool) -> Result<(), Failure> {
    let mut files = entities()?;
    files.insert("docs/openapi.json".to_owned(), program(&["openapi"], &[])? + "\n");
    files.insert("docs/workflow.schema.json".to_owned(), program(&["workflow", "schema"], &[])? + "\n");
    let guide = fs::read_to_string(shell::repository().join(GUIDE)).context(format_args!("reading {GUIDE}"))?;
    files.insert(GUIDE.to_owned(), with_section(&guide, "steps", &program(&["workflow", "steps"], &[])?)?);
    let mut stale = Vec::new();
    for (file, text) in files {
        let path = shell::repository().join(&file);
        let committed = fs::read_to_string(&path).unwrap_or_default();
        if committed == text {
            continue;
        }
        if check {
            let line = committed.lines().zip(text.lines()).take_while(|(old, new)| old == new).count() + 1;
            stale.push(format!("{file} is not up to date from line {line} on"));
        } else {
            let folder = path.parent().unwrap_or(&path);
            fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)).context(format_args!("writing {file}"))?;
            println!("{file}");
        }
    }
    if stale.is_empty() {
        Ok(())
    } else {
        Err(Failure::failed(format!("{}; run `cargo xtask codegen` and commit", stale.join("; "))))
    }
}

/// `text` with `section` between the comments that mark the section `name`.
fn with_section(text: &str, name: &str, section: &str) -> Result<String, Failure> {
    let (begin, end) = (format!("<!-- generated: {name} -->"), format!("<!-- end: {name} -->"));
    let missing = || Failure::failed(format!("{GUIDE} has no place for `{name}` between `{begin}` and `{end}`"));
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}\n{}\n{end}{after}", section.trim_end()))
}

/// The sea-orm entities of the listed tables, from a newly migrated schema.
fn entities() -> Result<BTreeMap<String, String>, Failure> {
    let tables = tidy::rule_list(shell::repository(), "entities.txt")?;
    let services = Services::start(Durability::None)?;
    let url = services.database_url();
    program(&["migrate", "up"], &[("MIGRATE_DATABASE_URL", url)])?;
    let mut generator = shell::cargo();
    generator.args(["run", "--quiet", "-p", "xtask-entities", "--", url]).args(tables);
    let files: BTreeMap<String, String> =
        serde_json::from_str(&shell::output(&mut generator)?).context("reading the entities")?;
    Ok(files.into_iter().map(|(file, text)| (format!("{ENTITIES}/{file}"), text)).collect())
}

/// The output of the `tidegate` program.
fn program(arguments: &[&str], variables: &[(&str, &str)]) -> Result<String, Failure> {
    let mut command = shell::cargo();
    command.args(["run", "--quiet", "-p", "tidegate", "--"]).args(arguments);
    shell::output(command.envs(variables.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_put_in_its_place() {
        let text = "a\n<!-- generated: t -->\nold\n\nlines\n<!-- end: t -->\nb\n";
        let new = with_section(text, "t", "| new |\n").unwrap();
        assert_eq!(new, "a\n<!-- generated: t -->\n| new |\n<!-- end: t -->\nb\n");
        assert_eq!(with_section(&new, "t", "| new |").unwrap(), new);
        assert!(with_section(text, "other", "").is_err() && with_section("<!-- generated: t -->", "t", "").is_err());
    }
}
