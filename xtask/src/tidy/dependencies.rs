//! Who may depend on whom, over `cargo metadata`. `deny.toml` holds the same for what comes in through others.

use serde::Deserialize;

use super::{Problem, rule_list};
use crate::failure::{Context, Failure};
use crate::shell;

/// The crates of the domain.
const DOMAIN: [&str; 5] =
    ["tidegate-kernel", "tidegate-tenancy", "tidegate-workflows", "tidegate-events", "tidegate-billing"];

/// A technology, and the crates that may name it outside their tests.
const OWNERS: &[(&str, &[&str])] = &[
    ("actix-web", &["tidegate"]),
    ("deadpool-redis", &["tidegate-redis"]),
    ("pglite-oxide", &["tidegate-embedded-postgres"]),
    ("reqwest", &["tidegate-outbound-http", "tidegate-testing", "tidegate"]),
    ("sea-orm", &["tidegate-postgres"]),
    ("sea-query-sqlx", &["tidegate-postgres"]),
    ("sqlx", &["tidegate-postgres", "tidegate-testing"]),
    ("utoipa", &["tidegate"]),
    ("utoipa-actix-web", &["tidegate"]),
];

/// What a domain crate may use in its own tests.
const TEST_TOOLS: [&str; 7] = ["cap", "cel", "insta", "mockall", "proptest", "serde_json", "trybuild"];

/// The part of `cargo metadata` that the rules read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

impl Dependency {
    fn is_for_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

/// Checks every crate of the workspace.
pub(super) fn check() -> Result<Vec<Problem>, Failure> {
    let pure = rule_list(shell::repository(), "pure-libraries.txt")?;
    let text = shell::output(shell::cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("reading cargo metadata")?;
    let mut problems = Vec::new();
    for package in &metadata.packages {
        problems.extend(package.dependencies.iter().filter_map(|dependency| {
            let why = refusal(&package.name, dependency, &pure)?;
            Some(format!("{}: not on {}: {why}", package.name, dependency.name))
        }));
    }
    let used = |library: &String| {
        metadata.packages.iter().filter(|package| DOMAIN.contains(&package.name.as_str())).any(|package| {
            package.dependencies.iter().any(|dependency| dependency.name == *library && !dependency.is_for_tests())
        })
    };
    let unused = pure.iter().filter(|library| !used(library));
    problems.extend(unused.map(|library| format!("xtask/rules/pure-libraries.txt: {library} is not used; remove it")));
    Ok(problems)
}

/// Why `package` may not depend on it, if it may not.
fn refusal(package: &str, dependency: &Dependency, pure: &[String]) -> Option<&'static str> {
    let (name, for_tests) = (dependency.name.as_str(), dependency.is_for_tests());
    let ours = name == "tidegate" || name.starts_with("tidegate-");
    if name == "tidegate" {
        return Some("the program is at the top of the house");
    }
    if name == "tidegate-testing" {
        return (!for_tests).then_some("it is for tests");
    }
    if package == "xtask" && ours {
        return Some("xtask stays light");
    }
    if DOMAIN.contains(&package) {
        let listed = pure.iter().any(|library| library == name) || name == "tidegate-kernel";
        let in_tests = for_tests && TEST_TOOLS.contains(&name);
        return (!listed && !in_tests)
            .then_some("a domain crate has the kernel and the libraries of pure-libraries.txt");
    }
    if package == "tidegate-engine" || package == "tidegate-use-cases" {
        let adapter = ours && !DOMAIN.contains(&name) && name != "tidegate-engine";
        return (adapter && !for_tests).then_some("it knows ports, not adapters");
    }
    let owners = OWNERS.iter().find(|(library, _)| *library == name).map(|(_, owners)| *owners)?;
    let tool = package.starts_with("xtask");
    (!for_tests && !tool && !owners.contains(&package)).then_some("another crate hides this technology")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(package: &str, name: &str, kind: Option<&str>) -> bool {
        let dependency = Dependency { name: name.to_owned(), kind: kind.map(str::to_owned) };
        refusal(package, &dependency, &["serde".to_owned()]).is_some()
    }

    #[test]
    fn each_rule_refuses_what_breaks_it() {
        assert!(!refused("tidegate-events", "tidegate-kernel", None));
        assert!(!refused("tidegate-events", "serde", None));
        assert!(!refused("tidegate-events", "proptest", Some("dev")));
        assert!(refused("tidegate-events", "proptest", None));
        assert!(refused("tidegate-events", "tokio", None));
        assert!(refused("tidegate-events", "tokio", Some("dev")));
        assert!(refused("tidegate-events", "tidegate-workflows", None));
        assert!(refused("tidegate-engine", "tidegate-postgres", None));
        assert!(!refused("tidegate-engine", "tidegate-workflows", None));
        assert!(refused("tidegate", "sqlx", None));
        assert!(!refused("tidegate-postgres", "sqlx", None));
        assert!(refused("tidegate-redis", "actix-web", None));
        assert!(refused("xtask", "tidegate-kernel", None));
        assert!(refused("tidegate-redis", "tidegate-testing", None));
        assert!(!refused("tidegate-redis", "tidegate-testing", Some("dev")));
    }
}
