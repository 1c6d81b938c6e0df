//! What an expression reads, found by static analysis.

use super::Root;
use super::syntax::{Kind, Node};

/// One place where an expression reads a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The root.
    pub root: Root,
    /// The byte offset of the root.
    pub offset: usize,
    /// The names selected on it, each with its byte offset. The path ends at a computed name.
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
        // A computed index may read other roots.
        indexes(node, found);
        return;
    }
    node.kind.children().into_iter().for_each(|child| visit(child, found));
}

/// The reference, if `node` is a chain of selections on a root.
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
    // The path ends at a computed index.
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
