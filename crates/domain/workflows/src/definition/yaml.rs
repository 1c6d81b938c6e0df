//! Parses YAML 1.2 with its core schema: one document, only the core tags.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::Problem;
use super::document::{Content, MAX_ALIASED, MAX_DEPTH, MAX_NODES, Mark, Member, Node, unreadable};
use super::scalar::{not_used, resolve};

/// Parses the document in `source`.
pub(super) fn read(source: &str) -> Result<Node, Problem> {
    let mut builder = Builder::default();
    let mut documents = 0;
    for event in Parser::new_from_str(source) {
        let (event, span) = event.map_err(|error| {
            let mark = Mark { line: error.marker().line(), column: error.marker().col() + 1, index: 0 };
            unreadable(mark, format!("this is not YAML: {}", error.info()))
        })?;
        let mark = mark(&span);
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(unreadable(mark, "this file holds a second document; a workflow is one document"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let content = resolve(&text, style == ScalarStyle::Plain, tag.as_deref())
                    .map_err(|detail| unreadable(mark, detail))?;
                let node = Node { start: mark, end: span.end.index(), content };
                builder.add(node, Key { merges: plain && text == "<<", text: text.into_owned() }, anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                builder.open(mark, anchor, tag.as_deref(), "seq", Content::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                builder.open(mark, anchor, tag.as_deref(), "map", Content::Object(Vec::new()))?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.close(span.end.index())?,
            Event::Alias(anchor) => builder.alias(mark, anchor)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }
    builder.root.ok_or_else(|| unreadable(Mark { line: 1, column: 1, index: 0 }, "the document is empty"))
}

fn mark(span: &Span) -> Mark {
    Mark { line: span.start.line(), column: span.start.col() + 1, index: span.start.index() }
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// The size of the texts and keys that aliases have expanded to, in bytes.
    aliased: usize,
}

/// A list or an object that has not ended.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(Key, Mark)>,
}

/// A scalar as a key. It keeps its text, whatever its value would be, because names in JSON are texts.
struct Key {
    text: String,
    /// Whether it is the merge key of YAML 1.1, which YAML 1.2 does not have.
    merges: bool,
}

const MERGES: &str = "YAML 1.2 has no merge key `<<`: write the members out, or `'<<'` for a member of this name";

impl Builder {
    fn count(&mut self, nodes: usize, at: Mark) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let detail = format!("the document has more than {MAX_NODES} values once its aliases are written out");
            return Err(unreadable(at, detail));
        }
        Ok(())
    }

    fn open(
        &mut self,
        at: Mark,
        anchor: usize,
        tag: Option<&Tag>,
        kind: &str,
        content: Content,
    ) -> Result<(), Problem> {
        self.count(1, at)?;
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema() || tag.suffix != kind) {
            return Err(unreadable(at, not_used(tag)));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(unreadable(at, format!("the document nests more than {MAX_DEPTH} deep")));
        }
        self.open.push(Open { node: Node { start: at, end: at.index, content }, anchor, key: None });
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let mut node = open.node;
        node.end = end;
        self.place(node, None, open.anchor)
    }

    fn add(&mut self, node: Node, key: Key, anchor: usize) -> Result<(), Problem> {
        self.count(1, node.start)?;
        self.place(node, Some(key), anchor)
    }

    fn alias(&mut self, at: Mark, anchor: usize) -> Result<(), Problem> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(unreadable(at, "this alias stands inside of what it names"));
        };
        let (count, depth, bytes) = (node.count(), node.depth(), node.text_bytes());
        self.aliased += bytes;
        if self.aliased > MAX_ALIASED {
            let detail = format!("the aliases of the document write out more than {MAX_ALIASED} bytes of text");
            return Err(unreadable(at, detail));
        }
        let node = Node { start: at, ..node.clone() };
        self.count(count, at)?;
        if self.open.len() + depth > MAX_DEPTH {
            return Err(unreadable(at, format!("the document nests more than {MAX_DEPTH} deep")));
        }
        self.place(node, None, 0)
    }

    fn place(&mut self, mut node: Node, key: Option<Key>, anchor: usize) -> Result<(), Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.content, open.key.take()) {
            (Content::List(items), _) => items.push(node),
            (Content::Object(members), Some((key, at))) => {
                if key.merges {
                    node = Node { start: at, end: at.index, content: Content::Unfit(MERGES.to_owned()) };
                }
                members.push(Member { key: key.text, at, value: node });
            }
            (Content::Object(_), None) => {
                let aliased = || Some(Key { text: node.as_text()?.to_owned(), merges: false });
                match key.or_else(aliased) {
                    Some(key) => open.key = Some((key, node.start)),
                    None => return Err(unreadable(node.start, "a key has to be a text")),
                }
            }
            (Content::Scalar(_) | Content::Unfit(_), _) => {}
        }
        Ok(())
    }
}
