//! A collector made with OpenTelemetry's Python package, and the spans that it must receive from the tours.

use std::fs;

use serde_json::Value;

use super::companion::Companion;
use super::install::Installed;
use crate::failure::{Context, Failure};

/// A running collector.
pub(super) struct Collector(Companion);

impl Collector {
    /// Starts it on a free port.
    pub(super) fn start(installed: &Installed) -> Result<Self, Failure> {
        println!("peers: a collector of traces");
        let spans = installed.folder.join("spans.jsonl");
        fs::write(&spans, "").context(format_args!("emptying {}", spans.display()))?;
        Companion::start(installed, "collector.py", &spans.clone(), spans).map(Self)
    }

    /// `http://HOST:PORT`.
    pub(super) fn address(&self) -> &str {
        self.0.address()
    }

    /// Waits until the spans of the tours have arrived: a request, the run that it started, and a transaction of the
    /// request.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.0.wait("the traces of the tours", is_whole)
    }
}

/// Whether a run and a transaction are children of the same request, in one trace.
fn is_whole(spans: &[Value]) -> bool {
    let child = |of: &Value, name: &str| {
        spans.iter().any(|span| span["name"] == name && span["parent"] == of["id"] && span["trace"] == of["trace"])
    };
    let request = |span: &&Value| span["kind"] == "SPAN_KIND_SERVER";
    spans.iter().filter(request).any(|request| child(request, "run") && child(request, "transaction"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_of_another_trace_is_not_a_requests() {
        let span = |trace: &str, id: &str, parent: &str, name: &str, kind: &str| json!({"trace": trace, "id": id, "parent": parent, "name": name, "kind": kind});
        let request = span("a", "1", "", "POST /runs", "SPAN_KIND_SERVER");
        let transaction = span("a", "2", "1", "transaction", "SPAN_KIND_CLIENT");
        let run = |trace: &str| span(trace, "3", "1", "run", "SPAN_KIND_INTERNAL");
        assert!(is_whole(&[run("a"), transaction.clone(), request.clone()]));
        assert!(!is_whole(&[run("b"), transaction.clone(), request.clone()]));
        assert!(!is_whole(&[transaction, request]));
    }
}
