//! Extractors that authenticate a request and open its scope.

use std::future::{Future, Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use std::sync::Arc;
use tidegate_kernel::{Client, OperatorScope, Origin, PersonScope, WorkspaceScope};
use tidegate_tenancy::{
    AuthenticateError, EnterError, LiveSession, NotAPerson, OperatorError, Principal, WorkspaceRef,
};

use super::envelope::CurrentRequest;
use super::problem::{PERSON_REQUIRED, Problem, SECOND_FACTOR_POLICY, UNAUTHENTICATED};
use super::quota;
use crate::Services;
use crate::telemetry::traces;

/// An authenticated caller: a person or an API key. 401 if there is none.
#[derive(Debug)]
pub struct Caller {
    /// The person or the API key.
    pub principal: Principal,
    /// The request, and the program that sent it.
    pub origin: Origin,
}

/// The request, and the program that sent it.
#[derive(Debug)]
pub struct RequestOrigin(pub Origin);

/// A caller with a scope in the workspace of the path (`{ws}`). 401 if it is not authenticated, 404 if it does not
/// belong there.
///
/// The extractor puts the workspace's id into the request's extensions, for the middleware.
#[derive(Debug)]
pub struct Entered(pub WorkspaceScope);

/// A person with a scope over what they own across workspaces. 403 for an API key.
#[derive(Debug)]
pub struct Person {
    /// The session that the request was made with.
    pub live: Arc<LiveSession>,
    /// The scope.
    pub scope: PersonScope,
}

/// A caller who, if it is a person, has proven who they are within the last minutes, for what cannot be undone. 401
/// `step-up-required` for others. An API key has no more to prove.
#[derive(Debug)]
pub struct RecentCaller;

/// A person who is an operator of the installation. 403 for an API key, 404 for everybody else.
#[derive(Debug)]
pub struct Operator(pub OperatorScope);

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

fn services(request: &HttpRequest) -> Result<web::Data<Services>, Problem> {
    request.app_data::<web::Data<Services>>().cloned().ok_or_else(Problem::internal)
}

/// The token of `Authorization: Bearer`; 401 without one, with another scheme, or with two.
fn bearer(request: &HttpRequest) -> Result<String, Problem> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let (first, second) = (headers.next(), headers.next());
    let token = first.filter(|_| second.is_none()).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    token.ok_or_else(|| unauthenticated("Send `Authorization: Bearer` with an access token or an API key."))
}

fn unauthenticated(detail: &str) -> Problem {
    let challenge = HeaderValue::from_static("Bearer realm=\"tidegate\"");
    Problem::new(&UNAUTHENTICATED, detail).with_header(WWW_AUTHENTICATE, challenge)
}

impl FromRequest for RequestOrigin {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let current = CurrentRequest::from_request(request, payload).into_inner();
        let origin = services(request).and_then(|services| {
            let CurrentRequest(request_id) = current?;
            Ok(Self(Origin { request_id, client: client(request, &services) }))
        });
        ready(origin)
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let parts = (services(request), bearer(request), RequestOrigin::from_request(request, payload).into_inner());
        Box::pin(async move {
            let (services, bearer, RequestOrigin(origin)) = (parts.0?, parts.1?, parts.2?);
            let principal = services.tenancy.access.authenticate(&bearer).await?;
            Ok(Self { principal, origin })
        })
    }
}

impl FromRequest for Entered {
    type Error = Problem;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let caller = caller.await?;
            let named = request.match_info().get("ws").unwrap_or_default();
            let workspace = WorkspaceRef::parse(named).map_err(|_| Problem::not_found())?;
            let services = services(&request)?;
            let scope = services.tenancy.access.enter(&caller.principal, &workspace, caller.origin).await?;
            let scope = scope.with_trace(traces::current());
            tracing::Span::current().record("workspace_id", tracing::field::display(scope.workspace()));
            request.extensions_mut().insert(scope.workspace());
            quota::count_call(&request, &services, &scope).await?;
            Ok(Self(scope))
        })
    }
}

impl FromRequest for Person {
    type Error = Problem;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        let services = services(request);
        Box::pin(async move {
            let Caller { principal, origin } = caller.await?;
            let scope = services?.tenancy.access.person(&principal, origin)?;
            match principal {
                Principal::Person(live) => Ok(Self { live, scope }),
                Principal::ApiKey(_) => Err(NotAPerson.into()),
            }
        })
    }
}

impl FromRequest for RecentCaller {
    type Error = Problem;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let parts = (services(request), Caller::from_request(request, payload));
        Box::pin(async move {
            let (services, caller) = (parts.0?, parts.1.await?);
            if let Principal::Person(live) = &caller.principal {
                services.tenancy.accounts.require_recent(live).await?;
            }
            Ok(Self)
        })
    }
}

impl FromRequest for Operator {
    type Error = Problem;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        let services = services(request);
        Box::pin(async move {
            let Caller { principal, origin } = caller.await?;
            Ok(Self(services?.tenancy.access.operator(&principal, origin)?))
        })
    }
}

/// The address of the caller. Forwarding headers count only from trusted proxies.
pub fn client_address(request: &HttpRequest, services: &Services) -> Option<IpAddr> {
    let forwarded = HeaderName::from_static("x-forwarded-for");
    let headers: Vec<&str> = request.headers().get_all(forwarded).filter_map(|value| value.to_str().ok()).collect();
    services.tenancy.limits.client_address(request.peer_addr().map(|peer| peer.ip()), &headers)
}

/// The address and the user agent of the program that sent a request.
fn client(request: &HttpRequest, services: &Services) -> Client {
    let user_agent = request.headers().get(actix_web::http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    Client {
        address: client_address(request, services),
        user_agent: user_agent.map(|text| text.chars().take(200).collect()),
    }
}

impl From<AuthenticateError> for Problem {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Refused => unauthenticated("The access token or API key is not valid, or no longer."),
            AuthenticateError::Store(error) => error.into(),
        }
    }
}

impl From<EnterError> for Problem {
    fn from(error: EnterError) -> Self {
        match error {
            EnterError::NotFound => Self::not_found(),
            EnterError::SecondFactorRequired => Self::new(
                &SECOND_FACTOR_POLICY,
                "Add a second factor to your account, or prove the one you have at /api/v1/auth/step-up.",
            ),
            EnterError::Store(error) => error.into(),
        }
    }
}

impl From<OperatorError> for Problem {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::NotAPerson(error) => error.into(),
            OperatorError::NotFound => Self::not_found(),
        }
    }
}

impl From<NotAPerson> for Problem {
    fn from(_: NotAPerson) -> Self {
        Self::new(&PERSON_REQUIRED, "Log in as a person; an API key belongs to one workspace and to nobody.")
    }
}
