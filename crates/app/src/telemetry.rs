//! Log lines for people or for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::settings::LogFormat;

/// Starts logging to standard error, so that standard output stays the command's own.
///
/// # Errors
/// A sentence about the filter, where it cannot be read.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    // Libraries tell more than anybody asked for; whoever wants to hear it names them in the filter, which comes last.
    let whole = format!("actix_server=warn,{},{filter}", tidegate_postgres::QUIET_DRIVER);
    let filter = EnvFilter::try_new(whole).map_err(|error| format!("--log {filter:?}: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start, in a process that runs several servers, keeps the first one's settings.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    Ok(())
}
