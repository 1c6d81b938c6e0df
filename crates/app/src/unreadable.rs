//! Malformed HTTP requests: a metric and one warning a minute, instead of one log line for each.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Context;

use crate::platform::Platform;

/// The target under which actix-http logs an error for each connection that ends abnormally.
const HTTP_READER: &str = "actix_http::h1::dispatcher";

/// Begins every log filter, so that these errors reach [`UnreadableRequests`] whatever the rest of the filter says.
pub(crate) const HEARD: &str = "actix_http::h1::dispatcher=error";

/// The interval of the warning, if there were unreadable requests.
const TOLD: Duration = Duration::from_secs(60);

/// Unreadable requests since the last warning.
static UNTOLD: AtomicU64 = AtomicU64::new(0);

/// Counts connection errors that callers cause and keeps them out of the log, because anybody can cause as many as they
/// like.
pub(crate) struct UnreadableRequests;

impl<S: Subscriber> Layer<S> for UnreadableRequests {
    /// Without a hint, all of the program would make what this layer never looks at.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

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

/// The message of a log event.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Why a request could not be read, as a metric label; `None` if the caller did not cause the error.
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

/// Starts the task that warns of unreadable requests.
pub(crate) fn support(platform: &Platform) {
    let stopping = platform.stopping.clone();
    let effect = "requests that cannot be read are not told of";
    platform.supervisor.spawn("unreadable-requests", effect, move || report_unreadable_requests(stopping.clone()));
}

/// Warns once a minute, and once more at the end, of the number of unreadable requests.
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
