//! Collects the SQL statements in the sources of this crate, to find those that no test explains.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use walkdir::WalkDir;

/// How a statement begins. The first literal of a composed statement begins so too.
const VERBS: [&str; 5] = ["select ", "insert ", "update ", "delete ", "with "];

/// A statement as a literal: the pieces between its placeholders.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Statement {
    pub file: String,
    pub text: String,
}

impl Statement {
    /// Whether `seen`, a statement with single spaces, contains every piece of this one.
    pub fn is_in(&self, seen: &str) -> bool {
        let mut rest = Some(seen);
        for piece in self.text.split(['{', '}']).step_by(2) {
            rest = rest.and_then(|rest| rest.split_once(piece.trim())).map(|(_, rest)| rest);
        }
        rest.is_some()
    }
}

/// All statements in the files below `src` whose path passes.
pub fn written(is_meant: impl Fn(&str) -> bool) -> BTreeSet<Statement> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut statements = BTreeSet::new();
    for entry in WalkDir::new(&sources) {
        let entry = entry.expect("a folder of sources");
        let file = entry.path().strip_prefix(&sources).expect("it is below the sources").display().to_string();
        if entry.file_type().is_file() && is_meant(&file) && !file.ends_with("tests.rs") {
            let source = fs::read_to_string(entry.path()).expect("a source");
            let mut found = Vec::new();
            literals(source.parse().expect("it is Rust"), &mut found);
            let found = found.into_iter().map(|text| spaced(&text));
            let found = found.filter(|text| VERBS.iter().any(|verb| text.starts_with(verb)));
            statements.extend(found.map(|text| Statement { file: file.clone(), text }));
        }
    }
    statements
}

/// The text with single spaces between words.
pub fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All string literals, also those in macros.
fn literals(tokens: TokenStream, found: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => literals(group.stream(), found),
            TokenTree::Literal(literal) => {
                let literal = literal.to_string();
                let text = literal.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                found.extend(text.map(|text| text.replace("\\\n", "").replace("\\\"", "\"")));
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}
