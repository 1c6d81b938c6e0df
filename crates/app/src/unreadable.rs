//! Requests that are no HTTP: a measure, and a warning a minute, instead of a line of the log for each.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::platform::Platform;

/// Where actix-http reads requests. It writes an error for each connection that ends otherwise than it should.
const HTTP_READER: &str = "actix_http::h1::dispatcher";

/// What a filter of the log begins with, so that what is counted is heard whatever else the filter says.
pub(crate) const HEARD: &str = "actix_http::h1::dispatcher=error";

/// How often what could not be read is told of, where there was any.
const TOLD: Duration = Duration::from_secs(60);

/// Requests that could not be read and have not been told of.
static UNTOLD: AtomicU64 = AtomicU64::new(0);

/// Counts what callers do to connections, and keeps it out of the log: anybody can send what is no HTTP, as often as they like.
pub(crate) struct UnreadableRequests;

impl<S: Subscriber> Layer<S> for UnreadableRequests {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if metadata.target() != HTTP_READER || *metadata.level() != Level::ERROR {
            return true;
        }
        let mut message = Message::default();
        event.record(&mut message);
        let Some(reason) = reason(&message.0) else { return true };
        metrics::counter!("http_unreadable_requests_total", "reason" => reason).increment(1);
        UNTOLD.fetch_add(1, Ordering::Relaxed);
        false
    }
}

/// The text of an event.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Why a request could not be read, as a word; `None` for what is not the caller's doing.
fn reason(message: &str) -> Option<&'static str> {
    let error = message.strip_prefix("stream error: ")?;
    let known = [
        ("request parse error: message head is too large", "head_too_large"),
        ("request parse error: ", "malformed"),
        ("request did not complete within the specified timeout", "too_slow"),
        ("I/O error: ", "connection_lost"),
        ("connection shutdown timeout", "connection_lost"),
        ("handler dropped payload before reading EOF", "body_not_read"),
    ];
    known.iter().find(|(beginning, _)| error.starts_with(beginning)).map(|(_, reason)| *reason)
}

/// Starts what tells of requests that could not be read.
pub(crate) fn support(platform: &Platform) {
    let stopping = platform.stopping.clone();
    let effect = "requests that cannot be read are not told of";
    platform.supervisor.spawn("unreadable-requests", effect, move || report_unreadable_requests(stopping.clone()));
}

/// Tells once a minute, and once more at the end, how many requests could not be read.
async fn report_unreadable_requests(stopping: CancellationToken) {
    let mut turns = tokio::time::interval(TOLD);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        warn_of_unread();
    }
    warn_of_unread();
}

fn warn_of_unread() {
    let count = UNTOLD.swap(0, Ordering::Relaxed);
    if count > 0 {
        tracing::warn!(count, "requests could not be read; `http_unreadable_requests_total` in /metrics says why");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callers_do_is_counted_and_what_we_do_is_logged() {
        for (message, expected) in [
            ("stream error: request parse error: invalid Header provided", Some("malformed")),
            ("stream error: request parse error: message head is too large", Some("head_too_large")),
            ("stream error: request did not complete within the specified timeout", Some("too_slow")),
            ("stream error: I/O error: Connection reset by peer (os error 104)", Some("connection_lost")),
            ("stream error: internal error", None),
            ("stream error: service error", None),
            ("Response payload stream error: broken", None),
            ("Internal server error: unexpected eof", None),
        ] {
            assert_eq!(reason(message), expected, "{message}");
        }
    }
}
