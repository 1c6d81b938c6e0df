//! A collector made with OpenTelemetry's own package for Python, and what it has to have got of the tours.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::install::Installed;
use super::source;
use crate::failure::{Context, Failure};

/// How long spans may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A collector that listens. It ends when this does, since its input ends then.
pub(super) struct Collector {
    child: Child,
    address: String,
    spans: PathBuf,
}

impl Collector {
    /// Starts it on a free port.
    pub(super) fn start(installed: &Installed) -> Result<Self, Failure> {
        println!("peers: a collector of traces");
        let spans = installed.folder.join("spans.jsonl");
        fs::write(&spans, "").context(format_args!("emptying {}", spans.display()))?;
        let mut child = installed
            .python_program("python3")
            .arg(source("python/collector.py"))
            .arg(&spans)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the collector")?;
        let output = child.stdout.take().ok_or_else(|| Failure::failed("the collector has no output"))?;
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address).context("reading the collector's address")?;
        Ok(Self { child, address: address.trim().to_owned(), spans })
    }

    /// `http://HOST:PORT`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Waits until the spans of the tours have come: a request, the run that it started, and a transaction of the request.
    pub(super) fn check(&self) -> Result<(), Failure> {
        println!("peers: the traces of the tours");
        let since = Instant::now();
        loop {
            let spans = read(&self.spans)?;
            if is_whole(&spans) {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                let spans: Vec<String> = spans.iter().map(Value::to_string).collect();
                return Err(Failure::failed(format!(
                    "no trace has a request, its run and a transaction:\n{}",
                    spans.join("\n")
                )));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn read(file: &Path) -> Result<Vec<Value>, Failure> {
    let text = fs::read_to_string(file).context(format_args!("reading {}", file.display()))?;
    // The last line may be on its way.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
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
