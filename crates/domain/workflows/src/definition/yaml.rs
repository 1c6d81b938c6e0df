//! Reads YAML 1.2 with its core schema, one document, no tags but the core's.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use super::Problem;
use super::document::{Content, MAX_ALIASED, MAX_DEPTH, MAX_NODES, Mark, Member, Node, unreadable};

/// The document in `source`.
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
                let value = scalar(&text, style, tag.as_deref()).map_err(|detail| unreadable(mark, detail))?;
                builder.add(Node::scalar(mark, span.end.index(), value), Some(text), anchor)?;
            }
            Event::SequenceStart(anchor, tag) => builder.open(mark, anchor, tag, Content::List(Vec::new()))?,
            Event::MappingStart(anchor, tag) => builder.open(mark, anchor, tag, Content::Object(Vec::new()))?,
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
    /// The bytes of the texts and keys that aliases wrote out.
    aliased: usize,
}

/// A list or an object that has not ended.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(String, Mark)>,
}

impl Builder {
    fn count(&mut self, nodes: usize, at: Mark) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let detail = format!("the document has more than {MAX_NODES} values once its aliases are written out");
            return Err(unreadable(at, detail));
        }
        Ok(())
    }

    fn open(&mut self, at: Mark, anchor: usize, tag: Option<Cow<'_, Tag>>, content: Content) -> Result<(), Problem> {
        self.count(1, at)?;
        if tag.is_some_and(|tag| !is_core(&tag)) {
            return Err(unreadable(at, "tags are not used in workflows"));
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

    fn add(&mut self, node: Node, text: Option<Cow<'_, str>>, anchor: usize) -> Result<(), Problem> {
        self.count(1, node.start)?;
        self.place(node, text, anchor)
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

    fn place(&mut self, node: Node, text: Option<Cow<'_, str>>, anchor: usize) -> Result<(), Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.content, open.key.take()) {
            (Content::List(items), _) => items.push(node),
            (Content::Object(members), Some((key, at))) => members.push(Member { key, at, value: node }),
            (Content::Object(_), None) => {
                let key = text.map(Cow::into_owned).or_else(|| node.as_text().map(str::to_owned));
                match key {
                    Some(key) => open.key = Some((key, node.start)),
                    None => return Err(unreadable(node.start, "a key has to be a text")),
                }
            }
            (Content::Scalar(_), _) => {}
        }
        Ok(())
    }
}

/// The value of a scalar by the core schema (YAML 1.2.2, section 10.3.2).
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let plain = match tag {
        Some(tag) if !is_core(tag) => return Err("tags are not used in workflows".to_owned()),
        Some(tag) => tag.suffix != "str",
        None => style == ScalarStyle::Plain,
    };
    if !plain {
        return Ok(Value::from(text));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::from(text)),
    })
}

fn is_core(tag: &Tag) -> bool {
    tag.is_yaml_core_schema()
        && matches!(tag.suffix.as_str(), "str" | "int" | "float" | "bool" | "null" | "map" | "seq")
}

fn number(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(Value::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(Value::from);
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let signed = text.parse::<i64>().map(Value::from).ok();
        if let Some(number) = signed.or_else(|| text.parse::<u64>().map(Value::from).ok()) {
            return Some(number);
        }
    }
    if !unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then(|| Value::from(number))
}
