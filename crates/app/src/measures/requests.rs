//! Metrics of requests. Each thread caches its handles, so that a request costs one lookup in a small map.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use metrics::{Gauge, Histogram};

/// The method of a request and the status of its response.
type Outcome = (&'static str, u16);

thread_local! {
    static SECONDS: RefCell<HashMap<Outcome, HashMap<String, Histogram>>> = RefCell::default();
    static IN_FLIGHT: Gauge = metrics::gauge!("http_requests_in_flight");
}

/// Counts a request as in flight until it is dropped.
pub(crate) struct InFlight(Gauge);

impl InFlight {
    pub(crate) fn new() -> Self {
        let gauge = IN_FLIGHT.with(Clone::clone);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Records a response. `method` and `route` MUST be ones that the server knows, since their handles are kept for ever.
pub(crate) fn answered(method: &'static str, route: &str, status: u16, took: Duration) {
    SECONDS.with_borrow_mut(|known| {
        let routes = known.entry((method, status)).or_default();
        if let Some(seconds) = routes.get(route) {
            seconds.record(took.as_secs_f64());
            return;
        }
        let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
        let seconds = metrics::histogram!("http_request_duration_seconds", &labels);
        seconds.record(took.as_secs_f64());
        routes.insert(route.to_owned(), seconds);
    });
}
