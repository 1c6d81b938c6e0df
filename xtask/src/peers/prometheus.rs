//! Checks of metrics and rules with Prometheus's `promtool`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::server::Server;
use crate::failure::{Context, Failure};
use crate::shell;

/// Refuses to start if `promtool` is missing.
pub(super) fn find() -> Result<(), Failure> {
    if shell::find("promtool").is_some() {
        return Ok(());
    }
    Err(Failure::refused("promtool is missing, so metrics cannot be checked; install it (Debian: prometheus)"))
}

/// Checks the files in `deploy/prometheus/` with `promtool`, and tests their alerts.
pub(super) fn check_files() -> Result<(), Failure> {
    let folder = shell::repository().join("deploy/prometheus");
    for (what, file) in [
        (["check", "config"], "prometheus.yaml"),
        (["check", "rules"], "rules.yaml"),
        (["test", "rules"], "rules.test.yaml"),
    ] {
        super::step(
            &format!("promtool {} {}", what[0], what[1]),
            Command::new("promtool").args(what).arg(folder.join(file)),
        )?;
    }
    Ok(())
}

/// Checks the format, the names and the units of the metrics with `promtool`.
pub(super) fn check_metrics(server: &Server) -> Result<(), Failure> {
    println!("peers: promtool check metrics");
    let metrics = get(server.address(), "/metrics")?;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting promtool")?;
    if let Some(mut input) = promtool.stdin.take() {
        input.write_all(metrics.as_bytes()).context("handing the metrics to promtool")?;
    }
    let output = promtool.wait_with_output().context("waiting for promtool")?;
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("");
    // `promtool` prints its advice without failing, so any output counts as a failure.
    if output.status.success() && said.trim().is_empty() {
        Ok(())
    } else {
        Err(Failure::failed(format!("promtool check metrics: {}\n{said}", output.status)))
    }
}

/// The body of the response.
fn get(address: &str, path: &str) -> Result<String, Failure> {
    let host = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).context(format_args!("connecting to {host}"))?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {host}\r\n\r\n").context("asking")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context(format_args!("reading {path}"))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(Failure::failed(format!("GET {path}: {}", answer.lines().next().unwrap_or_default()))),
    }
}
