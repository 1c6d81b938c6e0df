//! Reads JSON (RFC 8259) with the place of each part.

use serde_json::Value;

use super::Problem;
use super::document::{Content, MAX_DEPTH, MAX_NODES, Mark, Member, Node, mark_of, unreadable};
use super::scalar::{self, RANGE, WHOLE};

/// Parses the document in `source`.
pub(super) fn read(source: &str) -> Result<Node, Problem> {
    let mut reader = Reader { source, at: 0, line: 1, line_start: 0, chars: Position::default(), depth: 0, nodes: 0 };
    reader.space();
    let node = reader.value()?;
    reader.space();
    if reader.at < source.len() { Err(reader.fail("something follows the end of the document")) } else { Ok(node) }
}

/// Converts byte offsets to characters. It only moves forward.
#[derive(Debug, Default)]
struct Position {
    byte: usize,
    chars: usize,
}

struct Reader<'s> {
    source: &'s str,
    at: usize,
    line: usize,
    /// The index of the line's first character.
    line_start: usize,
    chars: Position,
    depth: usize,
    nodes: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn fail(&self, detail: &str) -> Problem {
        unreadable(mark_of(self.source, self.at), format!("this is not JSON: {detail}"))
    }

    fn index(&mut self) -> usize {
        let passed = self.source.get(self.chars.byte..self.at).unwrap_or_default();
        self.chars = Position { byte: self.at, chars: self.chars.chars + passed.chars().count() };
        self.chars.chars
    }

    fn mark(&mut self) -> Mark {
        let index = self.index();
        Mark { line: self.line, column: 1 + index - self.line_start, index }
    }

    fn space(&mut self) {
        while let Some(byte) = self.source.as_bytes().get(self.at) {
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    self.line_start = self.index();
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                _ => break,
            }
        }
    }

    fn take(&mut self, sign: char) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.at += 1;
        }
        found
    }

    fn value(&mut self) -> Result<Node, Problem> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.fail(&format!("it has more than {MAX_NODES} values")));
        }
        let start = self.mark();
        let content = match self.rest().chars().next() {
            Some('{') => self.nested(Self::object)?,
            Some('[') => self.nested(Self::list)?,
            Some('"') => Content::Scalar(Value::from(self.text()?)),
            Some(_) => self.word()?,
            None => return Err(self.fail("it ends where a value should be")),
        };
        Ok(Node { start, end: self.index(), content })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Content, Problem>) -> Result<Content, Problem> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fail(&format!("it nests more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        self.at += 1;
        self.space();
        let content = read(self);
        self.depth -= 1;
        content
    }

    fn object(&mut self) -> Result<Content, Problem> {
        let mut members = Vec::new();
        if self.take('}') {
            return Ok(Content::Object(members));
        }
        loop {
            let at = self.mark();
            if !self.rest().starts_with('"') {
                return Err(self.fail("expected a key in double quotes"));
            }
            let key = self.text()?;
            self.space();
            if !self.take(':') {
                return Err(self.fail("expected `:` after a key"));
            }
            self.space();
            members.push(Member { key, at, value: self.value()? });
            self.space();
            if self.take('}') {
                return Ok(Content::Object(members));
            }
            if !self.take(',') {
                return Err(self.fail("expected `,` or `}`"));
            }
            self.space();
        }
    }

    fn list(&mut self) -> Result<Content, Problem> {
        let mut items = Vec::new();
        if self.take(']') {
            return Ok(Content::List(items));
        }
        loop {
            items.push(self.value()?);
            self.space();
            if self.take(']') {
                return Ok(Content::List(items));
            }
            if !self.take(',') {
                return Err(self.fail("expected `,` or `]`"));
            }
            self.space();
        }
    }

    fn text(&mut self) -> Result<String, Problem> {
        let mut escaped = false;
        let inside = self.rest().bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let Some(length) = inside.map(|length| length + 2) else {
            return Err(self.fail("a text has no closing quote"));
        };
        let text: Result<String, _> = serde_json::from_str(&self.rest()[..length]);
        match text {
            Ok(text) => {
                self.at += length;
                Ok(text)
            }
            Err(error) => {
                let error = error.to_string();
                let half = error.contains("surrogate") || error.contains("unexpected end of hex escape");
                let detail = if half {
                    "a text holds half of a surrogate pair (\\ud800 to \\udfff)"
                } else {
                    "a text holds a control character or an escape sequence that JSON does not know"
                };
                Err(self.fail(detail))
            }
        }
    }

    /// `true`, `false`, `null` or a number.
    fn word(&mut self) -> Result<Content, Problem> {
        let ends = |c: char| matches!(c, ',' | ']' | '}' | ':' | '"' | '[' | '{') || c.is_ascii_whitespace();
        let length = self.rest().find(ends).unwrap_or(self.rest().len());
        let word = &self.rest()[..length];
        let content = match serde_json::from_str(word) {
            // `-0` is also read as a double, but without a loss.
            Ok(Value::Number(number)) if number.as_f64() != Some(0.0) && number.is_f64() && scalar::is_whole(word) => {
                Content::Unfit(WHOLE.to_owned())
            }
            Ok(value) => Content::Scalar(value),
            Err(error) if error.to_string().starts_with("number out of range") => Content::Unfit(RANGE.to_owned()),
            Err(_) => return Err(self.fail("expected a value")),
        };
        self.at += length;
        Ok(content)
    }
}
