//! Rules for migrations: numbers have no gaps, each migration can be reverted, and none breaks the embedded PostgreSQL.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Problem, files};
use crate::failure::{Context, Failure};

/// Checks `migrations/`.
pub(super) fn check(root: &Path) -> Result<Vec<Problem>, Failure> {
    let names: Vec<String> = files(root, "migrations", ".sql")?
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    let mut problems = check_names(&names);
    for name in &names {
        let text = fs::read_to_string(root.join("migrations").join(name)).context(format_args!("reading {name}"))?;
        if catches_exceptions(&text) {
            problems.push(format!("migrations/{name}: a PL/pgSQL block with EXCEPTION ruins an embedded session"));
        }
    }
    Ok(problems)
}

fn check_names(names: &[String]) -> Vec<Problem> {
    let stems =
        |suffix: &str| -> BTreeSet<&str> { names.iter().filter_map(|name| name.strip_suffix(suffix)).collect() };
    let (up, down) = (stems(".up.sql"), stems(".down.sql"));
    let mut problems: Vec<_> =
        up.symmetric_difference(&down).map(|stem| format!("migrations/{stem}: it needs an up and a down")).collect();
    let numbers = up.iter().map(|stem| stem.split('_').next().unwrap_or_default());
    problems.extend(numbers.zip(1..).filter(|(number, expected)| *number != format!("{expected:04}")).map(
        |(number, expected): (&str, u32)| {
            format!("migrations/{number}_…: the number {expected:04} is missing before it")
        },
    ));
    problems
}

/// Whether there is an `exception` other than in `raise exception`.
fn catches_exceptions(text: &str) -> bool {
    let code: Vec<String> = text
        .lines()
        .flat_map(|line| line.split("--").next().unwrap_or_default().split_whitespace().map(str::to_lowercase))
        .collect();
    code.windows(2).any(|pair| matches!(pair, [before, word] if word == "exception" && before != "raise"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_gaps_and_both_ways() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(check_names(&names(&["0001_a.up.sql", "0001_a.down.sql"])).is_empty());
        assert_eq!(check_names(&names(&["0001_a.up.sql"])).len(), 1);
        assert_eq!(check_names(&names(&["0002_a.up.sql", "0002_a.down.sql"])).len(), 1);
    }

    #[test]
    fn raising_is_fine_and_catching_is_not() {
        assert!(catches_exceptions("begin\n x := 1;\nEXCEPTION when others then null; end"));
        assert!(!catches_exceptions("raise exception 'no'; -- no exception block"));
    }
}
