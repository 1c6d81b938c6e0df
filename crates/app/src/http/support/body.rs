//! Strict JSON bodies: the right content type, known fields only, and an error for every wrong field.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tidegate_kernel::json::{self, JsonProblem, JsonProblemKind, WholeNumbers};
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::problem::{BODY_TOO_LARGE, FieldError, INVALID, MALFORMED_BODY, Problem, UNSUPPORTED_MEDIA_TYPE};

/// The default limit of a JSON body: 1 MiB.
pub const MAX_JSON_BYTES: usize = 1024 * 1024;

/// An extractor of a JSON body that has been parsed and validated.
///
/// A PATCH may also send a merge patch (RFC 7396). Refuses with 400 if the body is not JSON, 413 above
/// [`MAX_JSON_BYTES`], 415 for another content type, and 422 with every wrong field.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + Validate + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_patch = request.method() == Method::PATCH;
        let is_json = media_type(request)
            .is_some_and(|media| media == "application/json" || (is_patch && media == "application/merge-patch+json"));
        let bytes = read(payload.take(), MAX_JSON_BYTES);
        Box::pin(async move {
            if !is_json {
                return Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json in UTF-8."));
            }
            parse(&bytes.await?).map(Self)
        })
    }
}

/// Refuses null: in a merge patch it removes a member, and a member that is read with this cannot be removed.
pub fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads null in a merge patch as the removal of a member: `Some(None)`.
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The media type of the request's body, in lower case and without parameters; `None` if it is missing, repeated, or
/// has a charset other than UTF-8.
pub fn media_type(request: &HttpRequest) -> Option<String> {
    let mut values = request.headers().get_all(CONTENT_TYPE);
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (media, parameters) = value.split_once(';').unwrap_or((value, ""));
    let foreign = |parameter: &str| {
        parameter.split_once('=').is_some_and(|(name, charset)| {
            let charset = charset.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("charset") && !charset.eq_ignore_ascii_case("utf-8")
        })
    };
    if parameters.split(';').any(foreign) { None } else { Some(media.trim().to_ascii_lowercase()) }
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// 413 if the body is larger, 400 if the connection ends early.
pub async fn read(mut payload: Payload, limit: usize) -> Result<web::Bytes, Problem> {
    use futures::StreamExt;
    let mut bytes = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Problem::new(&MALFORMED_BODY, format!("The body ended early: {error}.")))?;
        if bytes.len() + chunk.len() > limit {
            return Err(Problem::new(&BODY_TOO_LARGE, format!("The body may have at most {limit} bytes.")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Parses `T` from JSON and validates it.
///
/// # Errors
/// 400 if `bytes` is not JSON. 422 with the pointer of every wrong field, of a repeated name, of a number that would
/// lose its value, or of half a surrogate pair.
pub fn parse<T: DeserializeOwned + Validate>(bytes: &[u8]) -> Result<T, Problem> {
    let text = str::from_utf8(bytes).map_err(|error| {
        Problem::new(&MALFORMED_BODY, format!("The body is not UTF-8 from byte {} on.", error.valid_up_to()))
    })?;
    let is_object = text.trim_ascii_start().starts_with('{');
    match json::check(text, WholeNumbers::Bounded) {
        Ok(()) => {}
        // In an object, a field may be too deep; the code below names that field.
        Err(problem) if is_object && problem.kind == JsonProblemKind::Depth => {}
        Err(problem) => return Err(unfit(problem)),
    }
    // Serde would read a list as the fields in their order.
    if !is_object {
        return Err(Problem::invalid(vec![FieldError::new("", "The body has to be a JSON object.")]));
    }
    let malformed = |error: serde_json::Error| Problem::new(&MALFORMED_BODY, format!("The body is not JSON: {error}."));
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        if inner.is_data() {
            let text = inner.to_string();
            let detail = in_words_of_json(text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail));
            Problem::invalid(vec![FieldError {
                line: Some(inner.line()),
                column: Some(inner.column()),
                ..FieldError::new(pointer, detail)
            }])
        } else {
            malformed(inner)
        }
    })?;
    value.validate().map_err(|errors| {
        let mut fields = Vec::new();
        collect(&errors, "", &mut fields);
        fields.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        Problem::new(&INVALID, Problem::invalid(fields.clone()).to_string().replacen("invalid: ", "", 1))
            .with_errors(fields)
    })?;
    Ok(value)
}

/// serde's reason for refusing a value, with the types of JSON instead of those of Rust.
fn in_words_of_json(reason: &str) -> String {
    let Some((found, expected)) = reason.rsplit_once(", expected ") else { return reason.to_owned() };
    let whole = |from: i128, to: i128| format!("an integer from {from} to {to}");
    let expected = match expected {
        "i32" => whole(i32::MIN.into(), i32::MAX.into()),
        "i64" => whole(i64::MIN.into(), i64::MAX.into()),
        "u8" => whole(0, u8::MAX.into()),
        "u16" => whole(0, u16::MAX.into()),
        "u32" => whole(0, u32::MAX.into()),
        "u64" => whole(0, u64::MAX.into()),
        "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        // A list with another number of elements than the struct has fields.
        rust if rust.starts_with("struct ") && found.starts_with("invalid length") => {
            return "invalid type: list, expected an object".to_owned();
        }
        rust if rust == "a map" || rust.starts_with("struct ") => "an object".to_owned(),
        json => json.to_owned(),
    };
    let found = match found {
        "invalid type: map" => "invalid type: object",
        "invalid type: sequence" => "invalid type: list",
        found => found,
    };
    format!("{found}, expected {expected}")
}

/// The problem of a body that is not JSON, or that JSON parsers understand differently.
fn unfit(problem: JsonProblem) -> Problem {
    let JsonProblem { kind, detail, pointer, line, column } = problem;
    match kind {
        JsonProblemKind::Syntax | JsonProblemKind::Depth => {
            Problem::new(&MALFORMED_BODY, format!("The body is not JSON: {detail} at line {line} column {column}."))
        }
        _ => Problem::invalid(vec![FieldError {
            line: Some(line),
            column: Some(column),
            ..FieldError::new(pointer, detail)
        }]),
    }
}

/// The JSON pointer (RFC 6901) of the place where deserializing failed.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                format!("/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Segment::Unknown => String::new(),
        })
        .collect()
}

fn collect(errors: &ValidationErrors, prefix: &str, into: &mut Vec<FieldError>) {
    for (field, kind) in errors.errors() {
        let pointer = format!("{prefix}/{field}");
        match kind {
            ValidationErrorsKind::Field(list) => into.extend(list.iter().map(|error| {
                let detail = match &error.message {
                    Some(message) => message.to_string(),
                    None => format!("`{field}` is not valid: {}.", error.code),
                };
                FieldError::new(pointer.clone(), detail)
            })),
            ValidationErrorsKind::Struct(inner) => collect(inner, &pointer, into),
            ValidationErrorsKind::List(items) => {
                for (index, inner) in items {
                    collect(inner, &format!("{pointer}/{index}"), into);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[validate(length(min = 2, message = "give at least 2 characters"))]
        name: String,
        #[expect(dead_code, reason = "only its reading matters")]
        n: Option<u8>,
        #[expect(dead_code, reason = "only its reading matters")]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its reading matters")]
        amount: i64,
    }

    fn errors(bytes: &[u8]) -> serde_json::Value {
        serde_json::to_value(parse::<Sample>(bytes).unwrap_err().body(None)).unwrap()
    }

    #[test]
    fn the_wrong_field_is_named() {
        assert_eq!(errors(br#"{"name":"ab","n":300}"#)["errors"][0]["pointer"], "/n");
        assert_eq!(errors(br#"{"name":"ab","m":1}"#)["errors"][0]["pointer"], "/m");
        let short = errors(br#"{"name":"a"}"#);
        assert_eq!(short["errors"][0]["pointer"], "/name");
        assert_eq!(short["detail"], "give at least 2 characters");
    }

    #[test]
    fn a_value_of_another_type_is_refused_in_words_of_json() {
        let detail = |bytes| errors(bytes)["errors"][0]["detail"].clone();
        let byte = "expected an integer from 0 to 255";
        assert_eq!(detail(br#"{"name":"ab","n":300}"#), format!("invalid value: integer `300`, {byte}"));
        assert_eq!(detail(br#"{"name":"ab","n":"two"}"#), format!("invalid type: string \"two\", {byte}"));
        assert_eq!(detail(br#"{"name":"ab","n":[]}"#), format!("invalid type: list, {byte}"));
        assert_eq!(detail(br#"{"name":{}}"#), "invalid type: object, expected a string");
        assert_eq!(detail(br#"{"name":"ab","inner":7}"#), "invalid type: integer `7`, expected an object");
        assert_eq!(detail(br#"{"name":"ab","inner":[]}"#), "invalid type: list, expected an object");
        let large = detail(br#"{"name":"ab","inner":{"amount":9223372036854775808}}"#);
        let amount = "expected an integer from -9223372036854775808 to 9223372036854775807";
        assert_eq!(large, format!("invalid value: integer `9223372036854775808`, {amount}"));
        assert_eq!(detail(br#"{}"#), "missing field `name`");
    }

    #[test]
    fn bodies_are_utf_8() {
        let of = |text: &str| {
            let request = actix_web::test::TestRequest::default().insert_header((CONTENT_TYPE, text));
            media_type(&request.to_http_request())
        };
        for good in [
            "application/json",
            " Application/JSON ; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json; profile=x; CHARSET = utf-8",
            "application/json;",
        ] {
            assert_eq!(of(good).as_deref(), Some("application/json"), "{good}");
        }
        for bad in ["utf-16", "\"utf-16le\"", "latin1", "us-ascii", "", "utf-8; charset=utf-16"] {
            assert_eq!(of(&format!("application/json; charset={bad}")), None, "{bad}");
        }
        let twice = actix_web::test::TestRequest::default().append_header((CONTENT_TYPE, "application/json"));
        let twice = twice.append_header((CONTENT_TYPE, "text/plain")).to_http_request();
        assert_eq!(media_type(&twice), None);
    }

    #[test]
    fn what_is_no_json_is_400_and_never_a_panic() {
        for bad in [&b""[..], b" ", b"{", b"[1", b"nul", br#"{"name":"ab"} x"#, b"[] []", b"\xff", &[b'['; 100_000]] {
            assert_eq!(errors(bad)["code"], "malformed-body", "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn what_readers_differ_in_is_422_with_its_place() {
        for (bytes, pointer) in [
            (&br#"{"name":"ab","name":"cd"}"#[..], "/name"),
            (br#"{"name":"ab","unknown":{"a":1,"a":2}}"#, "/unknown/a"),
            (br#"{"name":"\ud800"}"#, "/name"),
            (br#"{"name":"ab","n":1e400}"#, "/n"),
            (br#"{"name":"ab","n":18446744073709551616}"#, "/n"),
        ] {
            let problem = errors(bytes);
            assert_eq!((&problem["code"], &problem["errors"][0]["pointer"]), (&"invalid".into(), &pointer.into()));
            assert_eq!(problem["errors"][0]["line"], 1, "{problem}");
        }
    }

    #[test]
    fn only_an_object_has_fields() {
        for bad in [&b"[]"[..], br#"["ab", 1]"#, b" 7", b"null", br#""ab""#] {
            let problem = errors(bad);
            assert_eq!(
                (&problem["code"], &problem["errors"][0]["pointer"]),
                (&"invalid".into(), &"".into()),
                "{problem}"
            );
        }
    }
}
