//! Path parameters: extractors of ids and numbers, and their schemas in the OpenAPI document.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::num::ParseIntError;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use tidegate_billing::Plan;
use tidegate_billing::invoice::PromoCode;
use utoipa::ToSchema;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Components, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr, Required};
use uuid::Uuid;

use super::problem::Problem;
use super::schema;

/// A path parameter, such as the `{wf}` in `/workflows/{wf}`.
pub(crate) trait PathPart: FromStr + 'static {
    /// Its name, without the braces.
    const NAME: &'static str;

    /// A value that refers to nothing in any workspace.
    fn of_nothing() -> Self;
}

/// An extractor of a path parameter.
///
/// A text that is no `T` refers to nothing, so the response is that of a thing that does not exist: 404. The extractor
/// itself refuses no request, so that a caller without the permission gets 403 first.
#[derive(Debug)]
pub(crate) struct InPath<T>(Option<T>);

impl<T: PathPart> FromRequest for InPath<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.match_info().get(T::NAME).and_then(|text| text.parse().ok()))))
    }
}

impl<T: PathPart> InPath<T> {
    /// The value of the parameter.
    ///
    /// # Errors
    /// 404 if the text is no `T`.
    pub(crate) fn or_not_found(self) -> Result<T, Problem> {
        self.0.ok_or_else(Problem::not_found)
    }

    /// The value of the parameter, or a value that refers to nothing if the text is no `T`. For services that check a
    /// permission before they look for the thing, so that 403 comes before 404.
    pub(crate) fn or_nothing(self) -> T {
        self.0.unwrap_or_else(T::of_nothing)
    }
}

/// The number of a version in a path, from 1.
#[derive(Debug)]
pub(crate) struct VersionNumber(pub(crate) i32);

impl FromStr for VersionNumber {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

impl PathPart for VersionNumber {
    const NAME: &'static str = "version";

    fn of_nothing() -> Self {
        Self(0)
    }
}

/// The name of a plan in a path.
#[derive(Debug)]
pub(crate) struct PlanName(pub(crate) String);

impl FromStr for PlanName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Plan::is_name(text).then(|| Self(text.to_owned())).ok_or(())
    }
}

impl PathPart for PlanName {
    const NAME: &'static str = "plan";

    fn of_nothing() -> Self {
        Self(String::new())
    }
}

/// The text of a promo code in a path.
#[derive(Debug)]
pub(crate) struct PromoCodeText(pub(crate) String);

impl FromStr for PromoCodeText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(PromoCode::normalized(text)))
    }
}

impl PathPart for PromoCodeText {
    const NAME: &'static str = "code";

    fn of_nothing() -> Self {
        Self(String::new())
    }
}

/// For operators. Members name their workspace by its slug too, and enter it; see `Entered`.
impl PathPart for tidegate_kernel::WorkspaceId {
    const NAME: &'static str = "ws";

    fn of_nothing() -> Self {
        Self::from_uuid(Uuid::nil())
    }
}

macro_rules! ids_in_paths {
    ($($name:literal $id:ident $description:literal;)*) => {
        $(impl PathPart for tidegate_kernel::$id {
            const NAME: &'static str = $name;

            fn of_nothing() -> Self {
                Self::from_uuid(Uuid::nil())
            }
        })*

        /// The OpenAPI parameter for a name in a path; `None` for an unknown name. It adds the schema of an id to
        /// `components`.
        pub(crate) fn parameter(name: &str, components: &mut Components) -> Option<Parameter> {
            let (description, schema) = match name {
                "ws" => ("Id or slug of the workspace", named::<schema::WorkspaceRef>(components)),
                VersionNumber::NAME => ("The number of the version, from 1", version_number()),
                PlanName::NAME => ("The name of the plan", named::<schema::PlanName>(components)),
                PromoCodeText::NAME => ("The promo code", named::<schema::PromoCodeText>(components)),
                $($name => ($description, named::<schema::$id>(components)),)*
                _ => return None,
            };
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
            Some(parameter.description(Some(description)).schema(Some(schema)).build())
        }
    };
}

// A new path parameter needs a line here.
ids_in_paths! {
    "user" UserId "Id of the person";
    "session" SessionId "Id of the session";
    "factor" FactorId "Id of the second factor";
    "key" ApiKeyId "Id of the API key";
    "evt" EventId "The event's `event_id`";
    "sug" SuggestionId "Id of the suggestion";
    "wf" WorkflowId "Id of the workflow";
    "run" RunId "Id of the run";
    "job" JobId "Id of the job";
    "fil" FileId "Id of the file";
    "upl" UploadId "Id of the presigned upload";
    "inv" InvoiceId "Id of the invoice";
    "note" CreditNoteId "Id of the credit note";
}

/// Adds the schema of `T` to the components and returns a reference to it.
fn named<T: ToSchema>(components: &mut Components) -> RefOr<Schema> {
    let name = T::name().into_owned();
    let reference = Ref::from_schema_name(&name);
    components.schemas.entry(name).or_insert_with(T::schema);
    reference.into()
}

fn version_number() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(i32::MAX));
    number.build().into()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use tidegate_kernel::WorkflowId;

    use super::*;

    #[test]
    fn a_text_that_is_no_id_names_nothing() {
        let read = |text: &'static str| {
            let request = TestRequest::default().param("wf", text).to_http_request();
            InPath::<WorkflowId>::from_request(&request, &mut Payload::None).into_inner().unwrap()
        };
        let id = "wf_01jz3q9m0e7c2v5y8t4r6n1k0d";
        assert_eq!(read(id).or_not_found().unwrap().to_string(), id);
        assert_eq!(read(id).or_nothing().to_string(), id);
        for text in ["", "wf_", "run_01jz3q9m0e7c2v5y8t4r6n1k0d"] {
            assert!(read(text).or_not_found().is_err(), "{text}");
            assert_eq!(read(text).or_nothing(), WorkflowId::from_uuid(Uuid::nil()), "{text}");
        }
    }
}
