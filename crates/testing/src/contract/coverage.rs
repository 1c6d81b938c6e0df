//! Checks that the suite of each port calls every method of the port. A method without an obligation fails here.

mod ports;
mod suite;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ports::Ports;
use suite::Suite;

/// Methods that obligations call through the service that uses them in production.
const THROUGH_A_SERVICE: [(&str, &str); 2] =
    [("PatternCounters::apply", "pattern::detection::count"), ("WorkflowRepository::add", "Workflows::create")];

/// Source files below `folder`, unsorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry").path());
    let all = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    all.filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn parsed(file: &Path) -> syn::File {
    let text = fs::read_to_string(file).expect("a source file");
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The parsed sources below some folders of `crates/`.
fn sources(folders: &[&str]) -> Vec<syn::File> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    folders.iter().flat_map(|folder| files(&crates.join(folder))).map(|file| parsed(&file)).collect()
}

fn ports() -> Ports {
    let declared = sources(&["domain", "engine/src", "use-cases/src"]);
    Ports::read(&declared, &sources(&["adapters/postgres/src", "adapters/redis/src"]))
}

/// Every public module of the contract, with its sources.
fn suites() -> Vec<(String, Vec<syn::File>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/contract");
    let modules = parsed(&folder.join("mod.rs")).items.into_iter().filter_map(|item| match item {
        syn::Item::Mod(module) if matches!(module.vis, syn::Visibility::Public(_)) => Some(module.ident.to_string()),
        _ => None,
    });
    let read = |suite: String| {
        let parts = folder.join(&suite);
        let parts = if parts.is_dir() { files(&parts) } else { Vec::new() };
        let all = std::iter::once(folder.join(format!("{suite}.rs"))).chain(parts);
        (suite, all.map(|file| parsed(&file)).collect())
    };
    modules.map(read).collect()
}

#[test]
fn every_method_of_a_port_is_tried_by_its_own_suite() {
    let ports = ports();
    let (mut methods, mut tried) = (ports.methods_of_adapters(), BTreeSet::new());
    for (name, files) in suites() {
        let suite = Suite::read(&ports, &files);
        let calls = suite.tried();
        assert!(!calls.is_empty(), "{name} tries nothing of {:?}", suite.about);
        methods.extend(ports.methods_of(&suite.about));
        tried.extend(calls);
    }
    let missing: BTreeSet<String> = methods.difference(&tried).cloned().collect();
    let known = BTreeSet::from(THROUGH_A_SERVICE.map(|(method, _)| method.to_owned()));
    assert_eq!(missing, known, "methods that no obligation tries, beside those that are known");
}

/// The methods that count as tried in a suite with this body, for two ports that both have a method `keep`.
fn tried(body: &str) -> Vec<String> {
    let declared = "
        pub trait Boxes { fn keep(&mut self); }
        pub trait Jars { fn keep(&mut self); fn open(&self) -> Box<dyn Lids>; }
        pub trait Lids { async fn turn(&mut self); }
        pub trait AboveTx { fn boxes(&mut self) -> Box<dyn Boxes + '_>; }
        pub trait ShelfTx: AboveTx {}
        pub type Shelf = dyn UnitOfWork<dyn ShelfTx, SystemScope>;
    ";
    let suite = format!(
        "subject! {{
            about {{ shelf: Shelf = store, lids: dyn Lids = store, }}
            beside {{ #[doc = \"Beside.\"] jars: dyn Jars = store, }}
        }}
        struct TestWorker<'a> {{ subject: &'a Subject }}
        impl Subject {{ async fn begin(&self) -> Box<dyn ShelfTx> {{ unknown() }} }}
        pub async fn case(subject: &Subject, hand: &TestWorker<'_>) {{ {body} }}"
    );
    let parse = |text: &str| syn::parse_file(text).expect("sources of a test");
    let (ports, files) = (Ports::read(&[parse(declared)], &[]), [parse(&suite)]);
    Suite::read(&ports, &files).tried().into_iter().filter(|method| !method.starts_with("UnitOfWork")).collect()
}

#[test]
fn a_call_counts_for_the_trait_that_it_is_made_on() {
    for body in [
        "let mut tx = subject.shelf.begin(&scope).await.expect(\"begins\"); tx.boxes().keep();",
        "hand.subject.begin().await.boxes().keep()",
        "let turn = async |tx: &mut Box<dyn ShelfTx>| tx.boxes().keep();",
        "assert_eq!(subject.begin().await.boxes().keep(), 1, \"{body}\");",
        "for mut tx in [subject.begin().await] { if true { tx.boxes().keep(); } }",
    ] {
        assert_eq!(tried(body), ["Boxes::keep"], "{body}");
    }
    assert_eq!(tried("let lids = Arc::clone(&subject.lids); lids.turn().await;"), ["Lids::turn"]);
    assert_eq!(tried("subject.jars.open().turn().await"), ["Lids::turn"], "what another port answers has its own type");
}

#[test]
fn a_call_on_anything_else_does_not_count() {
    for body in [
        "subject.jars.keep()",
        "subject.lids.keep()",
        "service.boxes().keep()",
        "subject.service().boxes().keep()",
        "let tx = service(); tx.boxes().keep();",
        "{ let mut tx = subject.begin().await; } tx.boxes().keep();",
        "let mut tx = subject.begin().await; let tx = other(); tx.boxes().keep();",
        "// subject.begin().await.boxes().keep()\n",
        "let text = \"subject.begin().await.boxes().keep()\";",
    ] {
        assert_eq!(tried(body), Vec::<String>::new(), "{body}");
    }
}
