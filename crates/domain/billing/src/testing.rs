//! What unit tests of this crate share.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use chrono::{DateTime, Utc};
use tidegate_kernel::{Clock, Entropy, Environment, ScopeIssuer};

/// A clock that stands still until it is set, and entropy that is none.
pub(crate) struct Fixed(Mutex<DateTime<Utc>>);

impl Fixed {
    /// Sets the time.
    pub(crate) fn set(&self, at: &str) {
        *self.0.lock().unwrap() = at.parse().unwrap();
    }
}

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// A clock at this time, and an environment with it.
pub(crate) fn clock(at: &str) -> (Arc<Fixed>, Environment) {
    let fixed = Arc::new(Fixed(Mutex::new(at.parse().unwrap())));
    (fixed.clone(), Environment::new(fixed.clone(), fixed))
}

/// An environment at this time.
pub(crate) fn environment(at: &str) -> Environment {
    clock(at).1
}

/// An issuer of scopes.
#[expect(clippy::disallowed_methods, reason = "a test issues its own scopes")]
pub(crate) fn issuer() -> ScopeIssuer {
    ScopeIssuer::root()
}

/// The output of a future that never waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}
