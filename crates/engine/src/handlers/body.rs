//! The body of an HTTP answer as a value: JSON, a string, or bytes in base64 with their content type.
//!
//! The body is never altered silently. Bytes that are invalid in their charset are not replaced, and JSON that cannot
//! be parsed is an error, not a string.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::{Encoding, UTF_8};
use serde_json::{Value, json};
use tidegate_workflows::run::StepError;

/// How to read a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As the content type says.
    Auto,
    /// As JSON, whatever the content type.
    Json,
    /// As a string, whatever the content type.
    Text,
    /// As bytes in base64, whatever the content type.
    Base64,
}

impl Reading {
    /// The reading that the input `as` names; [`Reading::Auto`] if it is absent.
    pub(super) fn named(value: Option<&Value>) -> Result<Self, StepError> {
        match value {
            None | Some(Value::Null) => Ok(Self::Auto),
            Some(Value::String(name)) => match name.as_str() {
                "auto" => Ok(Self::Auto),
                "json" => Ok(Self::Json),
                "text" => Ok(Self::Text),
                "base64" => Ok(Self::Base64),
                _ => Err(unknown()),
            },
            Some(_) => Err(unknown()),
        }
    }
}

fn unknown() -> StepError {
    StepError::permanent("http-request", "`as` has to be one of auto, json, text, base64")
}

/// A `Content-Type` (RFC 9110, section 8.3).
#[derive(Debug, Default)]
struct ContentType {
    /// Type and subtype, in lower case.
    essence: String,
    charset: Option<String>,
}

impl ContentType {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charset = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
        });
        Self { essence, charset }
    }

    /// Whether this is a JSON type by the WHATWG MIME Sniffing standard, section 4.6.
    fn is_json(&self) -> bool {
        matches!(self.essence.as_str(), "application/json" | "text/json") || self.essence.ends_with("+json")
    }

    /// Whether the type declares binary data, whatever the bytes look like.
    fn is_binary(&self) -> bool {
        const BINARY: [&str; 6] = [
            "application/octet-stream",
            "application/pdf",
            "application/zip",
            "application/gzip",
            "application/wasm",
            "application/vnd.apache.parquet",
        ];
        let kind = self.essence.split('/').next().unwrap_or_default();
        let of_media = matches!(kind, "image" | "audio" | "video" | "font") && !self.essence.ends_with("+xml");
        of_media || BINARY.contains(&self.essence.as_str())
    }

    /// Decodes the bytes. The charset is that of the byte order mark, else the declared one, else UTF-8. Returns the
    /// reason if the bytes are not valid in it.
    fn text(&self, bytes: &[u8]) -> Result<String, String> {
        let encoding = match &self.charset {
            Some(label) => Encoding::for_label(label.as_bytes())
                .ok_or_else(|| format!("its charset `{}` is not known", shown(label)))?,
            None => UTF_8,
        };
        let (text, used, broken) = encoding.decode(bytes);
        if broken { Err(format!("it is not valid {}", used.name())) } else { Ok(text.into_owned()) }
    }
}

/// The value of a body. An empty body is null, whatever `reading` is.
///
/// # Errors
/// A permanent [`StepError`] if the body does not match its content type or `reading`.
pub(super) fn read(reading: Reading, content_type: Option<&str>, bytes: &[u8]) -> Result<Value, StepError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let kind = content_type.map(ContentType::parse).unwrap_or_default();
    let base64 = || json!({"base64": STANDARD.encode(bytes), "content_type": content_type});
    match reading {
        Reading::Auto if kind.is_json() => json_of(&kind, bytes),
        Reading::Auto if kind.is_binary() => Ok(base64()),
        Reading::Auto => Ok(kind.text(bytes).map_or_else(|_| base64(), Value::String)),
        Reading::Json => json_of(&kind, bytes),
        Reading::Text => kind.text(bytes).map(Value::String).map_err(|why| {
            let message = format!("the answer's body is no text: {why}; `as: base64` takes its bytes");
            StepError::permanent("body-not-text", message)
        }),
        Reading::Base64 => Ok(base64()),
    }
}

/// Parses JSON in its charset. It may be nested 127 levels deep. A number beyond the range of a double and half of a
/// surrogate pair are errors.
fn json_of(kind: &ContentType, bytes: &[u8]) -> Result<Value, StepError> {
    kind.text(bytes).and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string())).map_err(|why| {
        let message = format!("the answer's body is not JSON that can be read: {why}; `as: text` takes it as it is");
        StepError::permanent("body-not-json", message)
    })
}

fn shown(label: &str) -> String {
    label.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(reading: Reading, content_type: &str, bytes: &[u8]) -> Value {
        read(reading, (!content_type.is_empty()).then_some(content_type), bytes).unwrap()
    }

    fn error(reading: Reading, content_type: &str, bytes: &[u8]) -> StepError {
        let error = read(reading, Some(content_type), bytes).unwrap_err();
        assert_eq!(StepError::permanent(&error.code, error.message.clone()), error, "trying again cures nothing");
        error
    }

    #[test]
    fn a_body_becomes_what_its_type_says() {
        for (content_type, bytes, expected) in [
            ("application/json", b"{\"a\": [1, 1.5, null]}".as_slice(), json!({"a": [1, 1.5, null]})),
            ("Application/Problem+JSON; charset=utf-8", b"\xef\xbb\xbf[1]", json!([1])),
            ("application/json; charset=utf-16le", b"[\x001\x00]\x00", json!([1])),
            ("text/plain", "grüße".as_bytes(), json!("grüße")),
            ("text/plain; charset=ISO-8859-1", b"gr\xfc\xdfe", json!("grüße")),
            ("text/html;charset=\"Shift_JIS\"", b"\x93\xfa\x96\x7b", json!("日本")),
            ("text/plain", b"\xff\xfeh\x00i\x00", json!("hi")),
            ("", b"plain", json!("plain")),
            ("image/svg+xml", b"<svg/>", json!("<svg/>")),
            ("application/json", b"", Value::Null),
            ("image/png", b"", Value::Null),
            // Bytes that are not valid text become base64, unlike text.
            ("text/plain", b"gr\xfc\xdfe", json!({"base64": "Z3L832U=", "content_type": "text/plain"})),
            (
                "text/plain; charset=nonsense",
                b"a",
                json!({"base64": "YQ==", "content_type": "text/plain; charset=nonsense"}),
            ),
            ("image/png", b"abc", json!({"base64": "YWJj", "content_type": "image/png"})),
            ("application/octet-stream", b"abc", json!({"base64": "YWJj", "content_type": "application/octet-stream"})),
            ("", b"\xff\x00", json!({"base64": "/wA=", "content_type": null})),
        ] {
            assert_eq!(value(Reading::Auto, content_type, bytes), expected, "{content_type} {bytes:?}");
        }
    }

    #[test]
    fn json_that_cannot_be_read_is_an_error_and_never_a_text() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for broken in ["{\"a\": 1", "[1e400]", "[\"\\ud800\"]", "nonsense", "[1] [2]", "[NaN]", &deep] {
            let error = error(Reading::Auto, "application/json", broken.as_bytes());
            assert_eq!(error.code, "body-not-json", "{broken}");
            assert!(error.message.contains("`as: text`"), "{}", error.message);
            assert_eq!(value(Reading::Text, "application/json", broken.as_bytes()), json!(broken));
        }
        assert_eq!(error(Reading::Auto, "application/json", b"[\"\xff\"]").code, "body-not-json");
        assert_eq!(error(Reading::Json, "text/plain", b"hello").code, "body-not-json");
    }

    #[test]
    fn as_says_otherwise() {
        assert_eq!(value(Reading::Json, "text/plain", b"[1]"), json!([1]));
        assert_eq!(value(Reading::Text, "image/png", b"abc"), json!("abc"));
        let packed = json!({"base64": "WzFd", "content_type": "application/json"});
        assert_eq!(value(Reading::Base64, "application/json", b"[1]"), packed);
        let refused = error(Reading::Text, "text/plain", b"\xff");
        assert_eq!(refused.code, "body-not-text");
        assert!(refused.message.contains("UTF-8") && refused.message.contains("`as: base64`"), "{}", refused.message);
        for (name, reading) in [
            (json!("auto"), Reading::Auto),
            (json!("json"), Reading::Json),
            (json!("text"), Reading::Text),
            (json!("base64"), Reading::Base64),
            (Value::Null, Reading::Auto),
        ] {
            assert_eq!(Reading::named(Some(&name)).unwrap(), reading);
        }
        assert!(Reading::named(Some(&json!("xml"))).is_err() && Reading::named(Some(&json!(1))).is_err());
    }
}
