//! A document as a tree that remembers the place of each part.

use serde_json::{Map, Value};

use super::Problem;

/// The maximum size of a document, in bytes.
pub const MAX_BYTES: usize = 1 << 18;
/// The maximum nesting of lists and objects.
pub(super) const MAX_DEPTH: usize = 48;
/// The maximum number of nodes in one document after expanding aliases; it rejects YAML bombs.
pub(super) const MAX_NODES: usize = 50_000;
/// The maximum size of all texts and keys that aliases expand to, in bytes.
pub(super) const MAX_ALIASED: usize = 1 << 18;

/// A place in the source. Lines and columns start at 1. Columns and the index count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) index: usize,
}

/// One part of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) start: Mark,
    /// The index after the last character.
    pub(super) end: usize,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// Null, a boolean, a number or a text.
    Scalar(Value),
    /// A scalar that would be read as a different value than is written, and why.
    Unfit(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) at: Mark,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The number of nodes, including itself.
    pub(super) fn count(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) | Content::Unfit(_) => 0,
            Content::List(items) => items.iter().map(Self::count).sum(),
            Content::Object(members) => members.iter().map(|member| member.value.count()).sum(),
        }
    }

    /// The total size of its texts and keys, in bytes.
    pub(super) fn text_bytes(&self) -> usize {
        match &self.content {
            Content::Scalar(_) | Content::Unfit(_) => self.as_text().map_or(0, str::len),
            Content::List(items) => items.iter().map(Self::text_bytes).sum(),
            Content::Object(members) => members.iter().map(|one| one.key.len() + one.value.text_bytes()).sum(),
        }
    }

    /// The nesting depth; 0 for a scalar.
    pub(super) fn depth(&self) -> usize {
        match &self.content {
            Content::Scalar(_) | Content::Unfit(_) => 0,
            Content::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Content::Object(members) => 1 + members.iter().map(|member| member.value.depth()).max().unwrap_or(0),
        }
    }

    /// The value without places. For documents that are rejected anyway: of a repeated key the last member counts, and
    /// an unfit scalar becomes null.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::Unfit(_) => Value::Null,
            Content::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Object(members) => {
                let members = members.iter().map(|member| (member.key.clone(), member.value.to_json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// The part at a JSON pointer, or its nearest existing parent.
    pub(super) fn nearest(&self, pointer: &str) -> &Self {
        let mut node = self;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let below = match &node.content {
                Content::Scalar(_) | Content::Unfit(_) => None,
                Content::List(items) => token.parse::<usize>().ok().and_then(|index| items.get(index)),
                Content::Object(members) => members.iter().rfind(|m| m.key == token).map(|m| &m.value),
            };
            match below {
                Some(below) => node = below,
                None => break,
            }
        }
        node
    }

    /// The kind of value, for messages.
    pub(super) fn describe(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(Value::Bool(_)) => "a boolean",
            Content::Scalar(Value::Number(_)) => "a number",
            Content::Scalar(_) => "a text",
            Content::Unfit(_) => "a value that cannot be kept",
            Content::List(_) => "a list",
            Content::Object(_) => "an object",
        }
    }
}

/// A problem that makes the whole document unreadable.
pub(super) fn unreadable(mark: Mark, detail: impl Into<String>) -> Problem {
    Problem { line: mark.line, column: mark.column, pointer: String::new(), detail: detail.into(), suggestion: None }
}

/// The place of a byte in `source`.
pub(super) fn mark_of(source: &str, byte: usize) -> Mark {
    let before = source.get(..byte).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Mark {
        line: 1 + before.matches('\n').count(),
        column: 1 + before[line_start..].chars().count(),
        index: before.chars().count(),
    }
}
