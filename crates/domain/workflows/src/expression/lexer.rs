//! The tokens of CEL, by the lexical part of its specification:
//! <https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax>.

use super::ExpressionError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// The name of a member, between backticks.
    Quoted(String),
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

impl Token {
    /// The token's name in messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Quoted(name) => format!("'{name}' in backticks"),
            Self::Int(_) | Self::Uint(_) | Self::Double(_) => "a number".to_owned(),
            Self::Text(_) | Self::Bytes(_) => "a text".to_owned(),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

const SIGNS: [&str; 23] = [
    "==", "!=", "<=", ">=", "&&", "||", "(", ")", "[", "]", "{", "}", ".", ",", "-", "+", "*", "/", "%", "?", ":", "<",
    ">",
];

/// Every token with its byte offset. The last token is [`Token::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        if c.is_ascii_whitespace() {
            at += 1;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some((token, length)) = text(rest, at)? {
            found.push((at, token));
            at += length;
        } else if c.is_ascii_digit() || c == '.' && rest[1..].starts_with(|next: char| next.is_ascii_digit()) {
            let (token, length) = number(rest, at)?;
            found.push((at, token));
            at += length;
        } else if c.is_ascii_alphabetic() || c == '_' {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push((at, Token::Name(rest[..length].to_owned())));
            at += length;
        } else if let Some(quoted) = rest.strip_prefix('`') {
            let name = quoted_name(quoted, at)?;
            let length = name.len() + 2;
            found.push((at, Token::Quoted(name)));
            at += length;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            found.push((at, Token::Sign(sign)));
            at += sign.len();
        } else if c == '!' {
            found.push((at, Token::Sign("!")));
            at += 1;
        } else {
            let hint = if c == '=' { "; `==` compares" } else { "" };
            return Err(ExpressionError::new(at, format!("`{}` does not belong here{hint}", c.escape_debug())));
        }
    }
    found.push((source.len(), Token::End));
    Ok(found)
}

/// A member name in backticks: letters, digits, `_`, `.`, `-`, `/` and spaces.
fn quoted_name(rest: &str, at: usize) -> Result<String, ExpressionError> {
    let refused = |detail: &str| Err(ExpressionError::new(at, detail));
    let Some(length) = rest.find('`') else { return refused("this name has no closing backtick") };
    let name = &rest[..length];
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' ')) {
        return refused(
            "between backticks stand letters, digits, `_`, `.`, `-`, `/` and spaces; write ['…'] for others",
        );
    }
    Ok(name.to_owned())
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), ExpressionError> {
    let too_large = || ExpressionError::new(at, "this number is outside the range of its type");
    let digits = |from: usize, hex: bool| {
        let ends = |c: char| if hex { !c.is_ascii_hexdigit() } else { !c.is_ascii_digit() };
        rest[from..].find(ends).map_or(rest.len(), |length| from + length)
    };
    let unsigned = |end: usize| rest[end..].starts_with(['u', 'U']);
    if (rest.starts_with("0x") || rest.starts_with("0X")) && digits(2, true) > 2 {
        let end = digits(2, true);
        let value = u64::from_str_radix(&rest[2..end], 16).map_err(|_| too_large())?;
        return Ok(if unsigned(end) { (Token::Uint(value), end + 1) } else { (Token::Int(value), end) });
    }
    let mut end = digits(0, false);
    let mut whole = true;
    if rest[end..].starts_with('.') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        end = digits(end + 1, false);
        whole = false;
    }
    if let Some(exponent) = rest[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        if exponent[sign..].starts_with(|c: char| c.is_ascii_digit()) {
            end = digits(end + 1 + sign, false);
            whole = false;
        }
    }
    if !whole {
        let value: f64 = rest[..end].parse().map_err(|_| too_large())?;
        return if value.is_finite() { Ok((Token::Double(value), end)) } else { Err(too_large()) };
    }
    let value: u64 = rest[..end].parse().map_err(|_| too_large())?;
    Ok(if unsigned(end) { (Token::Uint(value), end + 1) } else { (Token::Int(value), end) })
}

/// A text or bytes literal at the start of `rest`, and its length.
fn text(rest: &str, at: usize) -> Result<Option<(Token, usize)>, ExpressionError> {
    let prefix = rest.bytes().take(2).take_while(|b| matches!(b, b'r' | b'R' | b'b' | b'B')).count();
    let lower = rest[..prefix].to_ascii_lowercase();
    if lower == "rr" || lower == "bb" {
        return Ok(None);
    }
    let (raw, bytes) = (lower.contains('r'), lower.contains('b'));
    let body = &rest[prefix..];
    let quote = match ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote)) {
        Some(quote) => quote,
        None => return Ok(None),
    };
    let open = || ExpressionError::new(at, format!("this text has no closing {quote}"));
    let mut made = Vec::new();
    let mut place = prefix + quote.len();
    loop {
        let here = &rest[place..];
        if here.starts_with(quote) {
            break;
        }
        let c = here.chars().next().ok_or_else(open)?;
        if quote.len() == 1 && matches!(c, '\n' | '\r') {
            return Err(open());
        }
        if c == '\\' && !raw {
            let (value, length) = escape(&here[1..], bytes).ok_or_else(|| {
                ExpressionError::new(at + place, "this is not an escape sequence; a backslash is written `\\\\`")
            })?;
            made.extend(value);
            place += 1 + length;
        } else {
            made.extend_from_slice(&here.as_bytes()[..c.len_utf8()]);
            place += c.len_utf8();
        }
    }
    let length = place + quote.len();
    if bytes {
        return Ok(Some((Token::Bytes(made), length)));
    }
    let made = String::from_utf8(made).map_err(|_| ExpressionError::new(at, "this text is not Unicode"))?;
    Ok(Some((Token::Text(made), length)))
}

/// The value of the escape sequence after a backslash, and its length.
fn escape(rest: &str, bytes: bool) -> Option<(Vec<u8>, usize)> {
    let c = rest.chars().next()?;
    let simple = match c {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0C',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0B',
        '\\' | '?' | '"' | '\'' | '`' => c,
        _ => '\0',
    };
    if simple != '\0' {
        return Some((simple.to_string().into_bytes(), 1));
    }
    let (digits, radix, from) = match c {
        'x' | 'X' => (2, 16, 1),
        'u' => (4, 16, 1),
        'U' => (8, 16, 1),
        '0'..='3' => (3, 8, 0),
        _ => return None,
    };
    let code = u32::from_str_radix(rest.get(from..from + digits)?, radix).ok()?;
    let value = match (bytes, u8::try_from(code)) {
        (true, Ok(byte)) if digits < 4 => vec![byte],
        (true, _) => return None,
        _ => char::from_u32(code)?.to_string().into_bytes(),
    };
    Some((value, from + digits))
}
