//! What paths name: ids and numbers, read as what they are.

use std::future::{Ready, ready};
use std::num::ParseIntError;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use uuid::Uuid;

use super::problem::Problem;

/// A part of a path that names something, such as the `{wf}` in `/workflows/{wf}`.
pub(crate) trait PathPart: FromStr + 'static {
    /// Its name in paths, without the braces.
    const NAME: &'static str;

    /// The value that names nothing, in any workspace.
    fn of_nothing() -> Self;
}

/// A part of the path, as an extractor.
///
/// A text that is no `T` names nothing, and is answered as a thing that does not exist: 404. The extractor itself refuses no
/// request, so that a caller who may not ask at all gets that answer first.
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
    /// What the path names.
    ///
    /// # Errors
    /// 404 where the text is no `T`.
    pub(crate) fn or_not_found(self) -> Result<T, Problem> {
        self.0.ok_or_else(Problem::not_found)
    }

    /// What the path names, or a value that names nothing where the text is no `T`. For services that check a permission before
    /// they look for the thing: 403 comes before 404.
    pub(crate) fn or_nothing(self) -> T {
        self.0.unwrap_or_else(T::of_nothing)
    }
}

/// The number of a version in a path. Versions count from 1.
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

macro_rules! ids_in_paths {
    ($($name:literal $id:ident;)*) => {
        $(impl PathPart for tidegate_kernel::$id {
            const NAME: &'static str = $name;

            fn of_nothing() -> Self {
                Self::from_uuid(Uuid::nil())
            }
        })*
    };
}

// A new name in a path is a line here.
ids_in_paths! {
    "user" UserId;
    "session" SessionId;
    "key" ApiKeyId;
    "evt" EventId;
    "sug" SuggestionId;
    "wf" WorkflowId;
    "run" RunId;
    "job" JobId;
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
