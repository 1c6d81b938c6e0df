//! Rules for direct dependencies, from `cargo metadata`. `deny.toml` has the same for transitive dependencies.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Problem, rule_list};
use crate::failure::{Context, Failure};
use crate::shell;

/// The folder of the domain crates.
const DOMAIN_FOLDER: &str = "crates/domain";

/// Technologies, and the crates that may depend on them outside of tests.
const OWNERS: &[(&str, &[&str])] = &[
    ("actix-web", &["tidegate"]),
    ("deadpool-redis", &["tidegate-redis"]),
    ("jsonwebtoken", &["tidegate"]),
    ("object_store", &["tidegate-object-store"]),
    ("opentelemetry", &["tidegate"]),
    ("opentelemetry-otlp", &["tidegate"]),
    ("pglite-oxide", &["tidegate-embedded-postgres"]),
    (
        "reqwest",
        &["tidegate-object-store", "tidegate-outbound-http", "tidegate-stripe", "tidegate-testing", "tidegate"],
    ),
    ("ring", &["tidegate"]),
    ("rustls", &["tidegate-object-store", "tidegate-outbound-http"]),
    ("sea-orm", &["tidegate-postgres"]),
    ("sea-query-sqlx", &["tidegate-postgres"]),
    ("sqlx", &["tidegate-postgres", "tidegate-testing"]),
    ("utoipa", &["tidegate"]),
    ("utoipa-actix-web", &["tidegate"]),
];

/// Libraries that a domain crate may use only in tests.
const TEST_TOOLS: [&str; 7] = ["cap", "cel", "insta", "mockall", "proptest", "serde_json", "trybuild"];

/// The part of `cargo metadata` that the rules read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
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

/// The rules and the crates that they apply to.
struct Rules {
    /// The domain crates: those below [`DOMAIN_FOLDER`].
    domain: BTreeSet<String>,
    /// The libraries that domain crates may use.
    pure: Vec<String>,
}

/// Checks every crate of the workspace.
pub(super) fn check() -> Result<Vec<Problem>, Failure> {
    let text = shell::output(shell::cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("reading cargo metadata")?;
    let domain_folder = shell::repository().join(DOMAIN_FOLDER);
    let is_domain = |package: &&Package| package.manifest_path.starts_with(&domain_folder);
    let rules = Rules {
        domain: metadata.packages.iter().filter(is_domain).map(|package| package.name.clone()).collect(),
        pure: rule_list(shell::repository(), "pure-libraries.txt")?,
    };
    let mut problems = Vec::new();
    for package in &metadata.packages {
        problems.extend(package.dependencies.iter().filter_map(|dependency| {
            let why = rules.refusal(&package.name, dependency)?;
            Some(format!("{}: not on {}: {why}", package.name, dependency.name))
        }));
    }
    let used = |library: &String| {
        metadata.packages.iter().filter(is_domain).any(|package| {
            package.dependencies.iter().any(|dependency| dependency.name == *library && !dependency.is_for_tests())
        })
    };
    let unused = rules.pure.iter().filter(|library| !used(library));
    problems.extend(unused.map(|library| format!("xtask/rules/pure-libraries.txt: {library} is not used; remove it")));
    Ok(problems)
}

impl Rules {
    /// The reason why `package` may not have this dependency, if there is one.
    fn refusal(&self, package: &str, dependency: &Dependency) -> Option<&'static str> {
        let (name, for_tests) = (dependency.name.as_str(), dependency.is_for_tests());
        let ours = name == "tidegate" || name.starts_with("tidegate-");
        if name == "tidegate" {
            return Some("the program depends on everything else");
        }
        if name == "tidegate-testing" {
            return (!for_tests).then_some("it is for tests");
        }
        if package == "xtask" && ours {
            return Some("xtask stays light");
        }
        if self.domain.contains(package) {
            let listed = self.pure.iter().any(|library| library == name) || name == "tidegate-kernel";
            let in_tests = for_tests && TEST_TOOLS.contains(&name);
            return (!listed && !in_tests)
                .then_some("a domain crate has the kernel and the libraries of pure-libraries.txt");
        }
        if package == "tidegate-engine" || package == "tidegate-use-cases" {
            let adapter = ours && !self.domain.contains(name) && name != "tidegate-engine";
            return (adapter && !for_tests).then_some("it knows ports, not adapters");
        }
        let owners = OWNERS.iter().find(|(library, _)| *library == name).map(|(_, owners)| *owners)?;
        let tool = package.starts_with("xtask");
        (!for_tests && !tool && !owners.contains(&package)).then_some("another crate hides this technology")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(package: &str, name: &str, kind: Option<&str>) -> bool {
        let dependency = Dependency { name: name.to_owned(), kind: kind.map(str::to_owned) };
        let domain = ["tidegate-kernel", "tidegate-events", "tidegate-workflows"].map(str::to_owned).into();
        let rules = Rules { domain, pure: vec!["serde".to_owned()] };
        rules.refusal(package, &dependency).is_some()
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
