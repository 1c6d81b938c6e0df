//! JSON log lines: `timestamp`, `level`, `target`, `message`, and every field of the event and of the spans around it.
//!
//! All fields are at the top level, so that `request_id` and `workspace_id` are always in the same place. If several
//! have the same name, the event's field wins, then that of the innermost span.

use std::fmt::{self, Debug};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// Writes each event as one JSON object. The fields of spans MUST be formatted as JSON too.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(formatted) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(Value::Object(members)) = serde_json::from_str(&formatted.fields)
            {
                fields.0.extend(members);
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = Line {
            timestamp: &timestamp,
            level: metadata.level().as_str(),
            target: metadata.target(),
            message: fields.0.remove("message").unwrap_or_else(|| Value::String(String::new())),
            fields: fields.0,
        };
        writeln!(writer, "{}", serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

struct Line<'a> {
    timestamp: &'a str,
    level: &'a str,
    target: &'a str,
    message: Value,
    fields: Map<String, Value>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("timestamp", self.timestamp)?;
        line.serialize_entry("level", self.level)?;
        line.serialize_entry("target", self.target)?;
        line.serialize_entry("message", &self.message)?;
        let taken = ["timestamp", "level", "target"];
        for (name, value) in self.fields.iter().filter(|(name, _)| !taken.contains(&name.as_str())) {
            line.serialize_entry(name, value)?;
        }
        line.end()
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().trim_start_matches("r#").to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    /// Records an error with its chain of causes.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(value.source(), |cause| cause.source());
        self.put(field, causes.fold(value.to_string(), |text, cause| format!("{text}: {cause}")));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt;

    /// The lines that `work` logs, parsed.
    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let text = Arc::new(Mutex::new(Vec::new()));
        let written = text.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || Shared(written.clone()))
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn ids_of_the_spans_around_and_errors_stand_beside_the_message() {
        let lines = logged(|| {
            let request =
                tracing::error_span!("request", request_id = "r-1", workspace_id = tracing::field::Empty, status = 1);
            let _in = request.enter();
            request.record("workspace_id", "ws_1");
            let attempt = tracing::error_span!("attempt", attempt = 2, status = 2);
            let error = std::io::Error::other(std::fmt::Error);
            let error: &(dyn std::error::Error + 'static) = &error;
            attempt.in_scope(|| tracing::warn!(error, n = 3, ok = true, "it \"failed\"\n{}", "here"));
            drop(attempt);
            tracing::info!(status = 3, level = "mine", "then");
        });
        let timestamp = lines[0]["timestamp"].as_str().unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(timestamp).is_ok(), "{timestamp}");
        for (name, expected) in [
            ("level", Value::from("WARN")),
            ("target", module_path!().into()),
            ("message", "it \"failed\"\nhere".into()),
            ("request_id", "r-1".into()),
            ("workspace_id", "ws_1".into()),
            ("attempt", 2.into()),
            ("status", 2.into()),
            ("n", 3.into()),
            ("ok", true.into()),
        ] {
            assert_eq!(lines[0][name], expected, "{name}: {}", lines[0]);
        }
        assert!(lines[0]["error"].as_str().unwrap().contains("an error occurred when formatting"), "{}", lines[0]);
        assert_eq!((&lines[1]["status"], &lines[1]["level"]), (&3.into(), &"INFO".into()));
        assert_eq!((&lines[1]["message"], lines[1].get("attempt")), (&"then".into(), None));
    }
}
