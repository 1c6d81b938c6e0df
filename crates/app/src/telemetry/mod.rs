//! Logging, as text or JSON, and tracing.

mod json;
mod slow;
pub(crate) mod traces;

use std::io::IsTerminal;

use tidegate_kernel::trace::SPANS;
use tidegate_postgres::SLOW_STATEMENTS;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::settings::LogFormat;
use crate::unreadable::{HEARD, UnreadableRequests};
use json::JsonLines;
use slow::SlowStatements;
pub use traces::Traces;

/// Starts logging to standard error, which leaves standard output to the command, and starts exporting traces if the
/// environment asks for it. It must be called within a runtime.
///
/// # Errors
/// A sentence about the filter or the environment variable that cannot be used.
pub fn start(filter: &str, format: LogFormat) -> Result<Option<Traces>, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("--log {filter:?}: {error}");
    let wanted = EnvFilter::try_new(directives(filter)).map_err(|error| unreadable(&error))?;
    let slow = SlowStatements::shown_where(wanted);
    // Spans for traces are never logged, whatever the filter says.
    let whole = format!("{HEARD},{SLOW_STATEMENTS},{},{SPANS}=off", directives(filter));
    let whole = EnvFilter::try_new(whole).map_err(|error| unreadable(&error))?;
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Text => {
            Box::new(fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()))
        }
        LogFormat::Json => {
            Box::new(fmt::layer().with_writer(std::io::stderr).fmt_fields(JsonFields::new()).event_format(JsonLines))
        }
    };
    // If a process runs several servers, the settings of the first start stay.
    let traces = Traces::from_environment()?;
    let _ = match &traces {
        Some(traces) => {
            let (lines, spans) = (lines.with_filter(whole), traces.layer());
            Registry::default().with(lines).with(spans).with(UnreadableRequests).with(slow).try_init()
        }
        None => Registry::default().with(lines.with_filter(whole)).with(UnreadableRequests).with(slow).try_init(),
    };
    Ok(traces)
}
/// The whole filter. With a bare level below warnings, such as `info`, the verbose libraries still log only warnings. A
/// later directive in `filter` that names them wins.
fn directives(filter: &str) -> String {
    let bare = filter.split(',').rev().find_map(|directive| directive.trim().parse::<LevelFilter>().ok());
    if bare > Some(LevelFilter::WARN) {
        format!("actix_server=warn,{},{filter}", tidegate_postgres::QUIET_DRIVER)
    } else {
        filter.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use tidegate_postgres::DRIVER_TARGET;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Whether the driver's log lines pass a filter, at the levels error, warn and info.
    fn heard(filter: &str) -> [bool; 3] {
        let filter = EnvFilter::try_new(directives(filter)).unwrap();
        let subscriber = tracing_subscriber::registry().with(filter);
        tracing::subscriber::with_default(subscriber, || {
            [
                tracing::enabled!(target: DRIVER_TARGET, tracing::Level::ERROR),
                tracing::enabled!(target: DRIVER_TARGET, tracing::Level::WARN),
                tracing::enabled!(target: DRIVER_TARGET, tracing::Level::INFO),
            ]
        })
    }

    #[test]
    fn what_nobody_asked_for_is_not_even_made() {
        let lines = fmt::layer().with_writer(std::io::sink).with_filter(EnvFilter::new(format!("info,{SPANS}=off")));
        let slow = SlowStatements::shown_where(EnvFilter::new("info"));
        let subscriber = Registry::default().with(lines).with(UnreadableRequests).with(slow);
        tracing::subscriber::with_default(subscriber, || {
            assert!(tracing::trace_span!(target: SPANS, "request").is_disabled(), "without an exporter of traces");
            assert!(!tracing::enabled!(target: "hyper", tracing::Level::TRACE));
            assert!(tracing::enabled!(target: "tidegate", tracing::Level::INFO));
            assert!(!tracing::error_span!("request").is_disabled());
        });
    }

    #[test]
    fn a_bare_level_holds_for_everything_and_lets_the_driver_tell_no_more_than_warnings() {
        for (filter, expected) in [
            ("info", [true, true, false]),
            ("trace", [true, true, false]),
            ("warn", [true, true, false]),
            ("error", [true, false, false]),
            ("ERROR", [true, false, false]),
            ("off", [false, false, false]),
            ("error,tidegate=debug", [true, false, false]),
            (format!("info,{DRIVER_TARGET}=info").as_str(), [true, true, true]),
            (format!("info,{DRIVER_TARGET}=error").as_str(), [true, false, false]),
            ("tidegate=debug", [false, false, false]),
        ] {
            assert_eq!(heard(filter), expected, "{filter}");
        }
    }
}
