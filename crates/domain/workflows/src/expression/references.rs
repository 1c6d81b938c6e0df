//! What an expression reads, as far as its text tells.

use super::Root;
use super::syntax::{Kind, Node};

/// One place where an expression reads a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The root.
    pub root: Root,
    /// The byte where the root stands.
    pub offset: usize,
    /// The names selected on it, each with the byte where it is selected; it ends where a name is computed.
    pub path: Vec<(String, usize)>,
}

pub(super) fn of(node: &Node) -> Vec<Reference> {
    let mut found = Vec::new();
    visit(node, &mut found);
    found
}

fn visit(node: &Node, found: &mut Vec<Reference>) {
    if let Some(reference) = chain(node) {
        found.push(reference);
        // A computed index may read more.
        indexes(node, found);
        return;
    }
    node.kind.children().into_iter().for_each(|child| visit(child, found));
}

/// The reference that `node` is, when it is nothing but selections on a root.
fn chain(node: &Node) -> Option<Reference> {
    match &node.kind {
        Kind::Root(root) => Some(Reference { root: *root, offset: node.at, path: Vec::new() }),
        Kind::Select { operand, field, .. } => extend(operand, Some((field, node.at))),
        Kind::Index { operand, key, .. } => extend(
            operand,
            match &key.kind {
                Kind::Text(name) => Some((name, key.at)),
                _ => None,
            },
        ),
        _ => None,
    }
}

fn extend(operand: &Node, name: Option<(&String, usize)>) -> Option<Reference> {
    let mut reference = chain(operand)?;
    // After a computed index nothing more is known.
    let known = name.is_some() && !ends_computed(operand);
    if let (Some((name, at)), true) = (name, known) {
        reference.path.push((name.clone(), at));
    }
    Some(reference)
}

fn ends_computed(node: &Node) -> bool {
    match &node.kind {
        Kind::Select { operand, .. } => ends_computed(operand),
        Kind::Index { operand, key, .. } => !matches!(key.kind, Kind::Text(_)) || ends_computed(operand),
        _ => false,
    }
}

fn indexes(node: &Node, found: &mut Vec<Reference>) {
    match &node.kind {
        Kind::Select { operand, .. } => indexes(operand, found),
        Kind::Index { operand, key, .. } => {
            indexes(operand, found);
            visit(key, found);
        }
        _ => {}
    }
}
