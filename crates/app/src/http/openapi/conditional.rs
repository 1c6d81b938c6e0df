//! What all JSON reads have in common: the `ETag` of their responses, and `If-None-Match` with 304.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::{Header, RefOr, Required, ResponseBuilder};

/// The syntax of entity tags in headers (RFC 9110, section 8.8.3).
const TAG: &str = "^(W/)?\"[!#-~]*\"$";
/// A list of them, or `*`. The server also takes other white space and empty elements.
const TAGS: &str = "^(\\*|(W/)?\"[!#-~]*\"(, ?(W/)?\"[!#-~]*\")*)$";

/// Describes the conditional form of a GET, if its response is JSON.
pub(super) fn describe(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    let Some(RefOr::T(ok)) = responses.get_mut("200") else { return };
    if !ok.content.keys().any(|kind| kind.ends_with("json")) {
        return;
    }
    ok.headers.insert("ETag".to_owned(), tag().into());
    let unchanged = ResponseBuilder::new()
        .description("The caller has it already (`If-None-Match`); there is no body")
        .header("ETag", tag())
        .build();
    responses.insert("304".to_owned(), unchanged.into());
    operation.parameters.get_or_insert_default().push(if_none_match().into());
}

fn text(pattern: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build()
}

fn tag() -> Header {
    let description = "Changes with the response; the name of a content coding is part of it";
    HeaderBuilder::new().schema(Some(text(TAG))).description(Some(description)).build()
}

fn if_none_match() -> Parameter {
    ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("`ETag`s of responses that the caller has; 304 if it has the current one."))
        .schema(Some(text(TAGS)))
        .build()
}
