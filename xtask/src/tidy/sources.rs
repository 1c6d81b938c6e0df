//! Rules for Rust files: a file begins with its purpose, is short, has no notes of work put off, and uses a restricted
//! name only where that is allowed.

use std::fs;
use std::path::Path;

use super::{Problem, files, rule_list};
use crate::failure::{Context, Failure};

/// The most lines of a file. The aim is about 400; this leaves some room.
const LONGEST: usize = 450;

/// Words that mark work put off. They are concatenated, so that this file does not contain them.
const LATER: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Restricted names, and the folders whose code may use them.
const PLACES: &[(&str, &[&str])] = &[
    ("actix_web", &["crates/app/", "xtask/"]),
    (
        "StatusCode",
        &[
            "crates/app/src/http/",
            "crates/app/src/cli/",
            "crates/app/tests/",
            "crates/adapters/outbound-http/",
            "crates/adapters/stripe/",
            "xtask/",
        ],
    ),
    // Not in crates/app/src/http/: a handler uses the scope of its caller and issues none.
    (
        "ScopeIssuer",
        &[
            "crates/domain/",
            "crates/engine/",
            "crates/testing/",
            "crates/app/src/services.rs",
            "crates/app/src/workers.rs",
            "crates/app/src/billing/",
            "crates/app/src/events/",
            "crates/app/src/files/",
            "crates/app/src/jobs/",
            "crates/app/src/measures/",
            "crates/app/src/tenancy/",
            "crates/app/src/workflows/",
            "xtask/",
        ],
    ),
    ("sea_orm", &["crates/adapters/postgres/", "xtask/"]),
    (
        "sqlx",
        &[
            "crates/adapters/postgres/",
            "crates/adapters/embedded-postgres/tests/",
            "crates/testing/",
            "crates/app/tests/",
            "xtask/",
        ],
    ),
];

/// Checks every Rust file.
pub(super) fn check(root: &Path) -> Result<Vec<Problem>, Failure> {
    let exempt = rule_list(root, "long-files.txt")?;
    let mut paths = files(root, "crates", ".rs")?;
    paths.extend(files(root, "docs/examples", ".rs")?);
    paths.extend(files(root, "xtask", ".rs")?);
    let mut problems = Vec::new();
    for path in &paths {
        let text = fs::read_to_string(root.join(path)).context(format_args!("reading {}", path.display()))?;
        let name = path.to_string_lossy();
        let generated = text.starts_with("//! @generated");
        if !generated && !name.contains("/tests/ui/") {
            problems.extend(check_file(&name, &text, exempt.iter().any(|long| *long == *name)));
        }
    }
    let gone = exempt.iter().filter(|long| !paths.iter().any(|path| path.to_string_lossy() == **long));
    problems.extend(gone.map(|long| format!("xtask/rules/long-files.txt: {long} is gone; remove its line")));
    Ok(problems)
}

fn check_file(name: &str, text: &str, may_be_long: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !text.starts_with("//!") {
        problems.push(format!("{name}:1: begin with `//!` and what the file is for"));
    }
    let lines = text.lines().count();
    match (lines > LONGEST, may_be_long) {
        (true, false) => problems.push(format!("{name}: {lines} lines; split it by story, {LONGEST} is the longest")),
        (false, true) => problems.push(format!("xtask/rules/long-files.txt: {name} is short now; remove its line")),
        _ => {}
    }
    for (line, number) in text.lines().zip(1..) {
        if let Some(word) = LATER.iter().find(|word| has_word(line, word)) {
            problems.push(format!("{name}:{number}: {word}: do it now, or open an issue"));
        }
        let code = line.trim_start();
        if code.starts_with(concat!("#[", "allow(")) || code.starts_with(concat!("#![", "allow(")) {
            problems.push(format!("{name}:{number}: use `#[expect(lint, reason = \"…\")]`"));
        }
        if code.starts_with("//") {
            continue;
        }
        for (word, places) in PLACES {
            if has_word(line, word) && !places.iter().any(|place| name.starts_with(place)) {
                problems.push(format!("{name}:{number}: `{word}` belongs in {}", places.join(", ")));
            }
        }
    }
    problems
}

/// Whether `word` occurs in `line` with no letter, digit or underscore beside it.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let (before, after) =
            (line.get(..start).unwrap_or_default(), line.get(start + word.len()..).unwrap_or_default());
        !before.ends_with(part_of_a_name) && !after.starts_with(part_of_a_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(name: &str, text: &str) -> usize {
        check_file(name, text, false).len()
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        assert_eq!(broken("crates/app/src/lib.rs", "//! Fine.\nfn main() {}\n"), 0);
        assert_eq!(broken("crates/app/src/lib.rs", "fn main() {}\n"), 1);
        assert_eq!(broken("crates/app/src/lib.rs", &format!("//! Fine.\n// {} more\n", LATER[0])), 1);
        assert_eq!(broken("crates/app/src/lib.rs", concat!("//! Fine.\n#[", "allow(dead_code)]\n")), 1);
        assert_eq!(broken("crates/app/src/lib.rs", &format!("//! Long.\n{}", "\n".repeat(LONGEST))), 1);
        let query = "//! Fine.\nuse sqlx::Row;\n";
        assert_eq!(broken("crates/domain/events/src/lib.rs", query), 1);
        assert_eq!(broken("crates/adapters/postgres/src/lib.rs", query), 0);
        let issues = "//! Fine.\nuse tidegate_kernel::ScopeIssuer;\n";
        assert_eq!(broken("crates/app/src/http/events/list.rs", issues), 1);
        assert_eq!(broken("crates/app/src/events/mod.rs", issues), 0);
    }

    #[test]
    fn an_exemption_that_is_not_needed_is_refused() {
        assert_eq!(check_file("crates/app/src/lib.rs", "//! Fine.\n", true).len(), 1);
    }
}
