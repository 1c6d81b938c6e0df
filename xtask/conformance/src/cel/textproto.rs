//! A parser of the text format of protocol buffers, as far as the suite uses it: fields, messages, lists and texts.
//!
//! <https://protobuf.dev/reference/protobuf/textformat-spec/>. It needs no descriptors: a field has the name in the
//! text, and an extension or an `Any` the name in its brackets.

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Message(Message),
    /// A text, or bytes.
    Text(Vec<u8>),
    /// A number, a bool, or the name of an enum's value.
    Word(String),
}

/// Fields in their order. A repeated field occurs more than once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Message(Vec<(String, Value)>);

impl Message {
    /// Every value of the field.
    pub(crate) fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m Value> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value)
    }

    /// The messages in the field.
    pub(crate) fn messages<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m Self> {
        self.all(name).filter_map(|value| match value {
            Value::Message(message) => Some(message),
            _ => None,
        })
    }

    /// The first message in the field.
    pub(crate) fn message<'m>(&'m self, name: &'m str) -> Option<&'m Self> {
        self.messages(name).next()
    }

    /// The field as text; empty if it is missing.
    pub(crate) fn text(&self, name: &str) -> String {
        match self.all(name).next() {
            Some(Value::Text(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Some(Value::Word(word)) => word.clone(),
            _ => String::new(),
        }
    }

    /// The first field, whatever its name.
    pub(crate) fn first(&self) -> Option<(&str, &Value)> {
        self.0.first().map(|(name, value)| (name.as_str(), value))
    }
}

/// Parses a whole file. The error has the line number.
pub(crate) fn parse(text: &str) -> Result<Message, String> {
    let mut reader = Reader { rest: text };
    let message = reader.message(None);
    message.map_err(|detail| {
        let line = text[..text.len() - reader.rest.len()].lines().count();
        format!("line {line}: {detail}")
    })
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
    }

    /// Takes the character if it is next.
    fn take(&mut self, sign: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Result<&'t str, String> {
        self.skip();
        let ends = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+'));
        let (word, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        if word.is_empty() { Err("a name or a number is missing".to_owned()) } else { Ok(word) }
    }

    fn message(&mut self, close: Option<char>) -> Result<Message, String> {
        let mut fields = Vec::new();
        loop {
            self.skip();
            match close {
                None if self.rest.is_empty() => break,
                Some(close) if self.take(close) => break,
                _ => {}
            }
            let name = if self.take('[') {
                let end = self.rest.find(']').ok_or("`[` without `]`")?;
                let name = self.rest[..end].trim().to_owned();
                self.rest = &self.rest[end + 1..];
                name
            } else {
                self.word()?.to_owned()
            };
            let _ = self.take(':');
            if self.take('[') {
                while !self.take(']') {
                    fields.push((name.clone(), self.value()?));
                    let _ = self.take(',');
                }
            } else {
                fields.push((name, self.value()?));
            }
            let _ = self.take(',') || self.take(';');
        }
        Ok(Message(fields))
    }

    fn value(&mut self) -> Result<Value, String> {
        if self.take('{') {
            return self.message(Some('}')).map(Value::Message);
        }
        if self.take('<') {
            return self.message(Some('>')).map(Value::Message);
        }
        let mut text: Option<Vec<u8>> = None;
        loop {
            self.skip();
            let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else { break };
            self.rest = &self.rest[1..];
            self.quoted(quote, text.get_or_insert_default())?;
        }
        match text {
            Some(text) => Ok(Value::Text(text)),
            None => self.word().map(|word| Value::Word(word.to_owned())),
        }
    }

    /// The rest of a text up to its closing quote.
    fn quoted(&mut self, quote: char, text: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let c = self.rest.chars().next().ok_or("a text without its closing quote")?;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                _ if c == quote => return Ok(()),
                '\\' => self.escape(text)?,
                _ => text.extend(c.to_string().as_bytes()),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), String> {
        let c = self.rest.chars().next().ok_or("a text without its closing quote")?;
        let mut take = |from: usize, most: usize, radix: u32| {
            let digits = self.rest[from..].chars().take(most).take_while(|c| c.is_digit(radix)).count();
            let code = u32::from_str_radix(&self.rest[from..from + digits], radix);
            self.rest = &self.rest[from + digits..];
            code.map_err(|_| "an escape without its digits".to_owned())
        };
        let (code, is_byte) = match c {
            'x' | 'X' => (take(1, 2, 16)?, true),
            'u' => (take(1, 4, 16)?, false),
            'U' => (take(1, 8, 16)?, false),
            '0'..='7' => (take(0, 3, 8)?, true),
            _ => {
                self.rest = &self.rest[c.len_utf8()..];
                let simple = match c {
                    'a' => 7,
                    'b' => 8,
                    'f' => 12,
                    'n' => 10,
                    'r' => 13,
                    't' => 9,
                    'v' => 11,
                    '\\' | '\'' | '"' | '?' => u32::from(c),
                    _ => return Err(format!("`\\{c}` is no escape")),
                };
                (simple, true)
            }
        };
        match (u8::try_from(code), char::from_u32(code)) {
            (Ok(byte), _) if is_byte => text.push(byte),
            (_, Some(c)) if !is_byte => text.extend(c.to_string().as_bytes()),
            _ => return Err("an escape outside its range".to_owned()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_format_is_read() {
        let text =
            "# about\nname: 'a' \"b\\n\\101\\x42\\u00e4\" case { n: -1 list: [1, 2]; [x.y/z] < t: true > } case: {}";
        let message = parse(text).unwrap();
        assert_eq!(message.text("name"), "ab\nABä");
        assert_eq!(message.messages("case").count(), 2);
        let case = message.message("case").unwrap();
        assert_eq!((case.text("n"), case.all("list").count()), ("-1".to_owned(), 2));
        assert_eq!(case.message("x.y/z").unwrap().text("t"), "true");
        assert_eq!(parse("a: 1\nb: 'x").unwrap_err(), "line 2: a text without its closing quote");
    }
}
