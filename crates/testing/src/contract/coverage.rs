//! Every method of a repository port is tried by some obligation: one that is added without any fails here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Ports of a store that no transaction gives out.
const ACROSS_WORKSPACES: [&str; 11] = [
    "EventBacklog",
    "DueTriggers",
    "CallLedger",
    "EngineStore",
    "WorkspaceErasure",
    "QuarantineDirectory",
    "JobStore",
    "DeadJobs",
    "Upkeep",
    "MailOutbox",
    "InstallationFigures",
];

/// Methods that obligations reach through what uses them in production.
const THROUGH_A_SERVICE: [(&str, &str); 4] = [
    ("PatternCounters::apply", "pattern::detection::count"),
    ("PatternRepository::list", "Patterns::list"),
    ("WorkflowRepository::add", "Workflows::create"),
    ("WorkflowRepository::list", "Workflows::list"),
];

/// Files below `folder`, in no order.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the sources of domains and of the engine say of traits.
#[derive(Default)]
struct Ports {
    /// The methods of each trait.
    methods: BTreeMap<String, BTreeSet<String>>,
    /// By what name transactions give out a trait.
    accessors: BTreeMap<String, BTreeSet<String>>,
}

impl Ports {
    fn read(text: &str) -> Self {
        let (mut ports, mut current) = (Self::default(), None);
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("pub trait ") {
                current = rest.split([':', ' ', '<']).next().map(str::to_owned);
            } else if line == "}" {
                current = None;
            }
            let (Some(port), Some(method)) = (&current, line.strip_prefix("    ")) else { continue };
            let Some((name, rest)) =
                method.strip_prefix("async ").unwrap_or(method).strip_prefix("fn ").and_then(|f| f.split_once('('))
            else {
                continue;
            };
            if let Some((_, given)) = rest.split_once("-> &mut dyn ") {
                ports.accessors.entry(given.trim_end_matches(';').to_owned()).or_default().insert(name.to_owned());
            } else {
                ports.methods.entry(port.clone()).or_default().insert(name.to_owned());
            }
        }
        ports
    }
}

#[test]
fn every_method_of_a_port_is_tried() {
    let sources = ["domain", "engine/src"].map(|folder| files(&crates().join(folder))).concat();
    let sources = sources.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let text: String = sources.map(|file| fs::read_to_string(file).expect("a source file")).collect();
    let ports = Ports::read(&text);
    let tried: String = files(&crates().join("testing/src/contract"))
        .iter()
        .map(|file| fs::read_to_string(file).expect("a source file").split_whitespace().collect::<String>())
        .collect();
    let mut missing = BTreeSet::new();
    let nothing = BTreeSet::new();
    for (port, methods) in &ports.methods {
        let accessors = ports.accessors.get(port).unwrap_or(&nothing);
        for method in methods {
            let direct = if ACROSS_WORKSPACES.contains(&port.as_str()) {
                tried.contains(&format!(".{method}("))
            } else if accessors.is_empty() {
                continue;
            } else {
                accessors.iter().any(|accessor| tried.contains(&format!(".{accessor}().{method}(")))
            };
            if !direct {
                missing.insert(format!("{port}::{method}"));
            }
        }
    }
    let known = THROUGH_A_SERVICE.map(|(method, _)| method.to_owned()).into();
    assert_eq!(missing, known, "methods that no obligation tries, beside those that are known");
}
