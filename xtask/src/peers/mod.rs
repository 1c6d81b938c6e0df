//! `peers`: tests with foreign programs. Generators check the OpenAPI document and make clients, which do the README's
//! tour. Prometheus checks the metrics and the rules, OpenTelemetry's collector receives traces, a Python mail server
//! mails, an S3 server objects, and a server like Stripe payments.
//!
//! A document that passes Tidegate's own tests may still be unusable for others. The packages and their versions are in
//! `xtask/peers/`. They are installed in `target/peers/` and stay there, so only the first run needs the network.

mod companion;
mod install;
mod mail;
mod objects;
mod payments;
mod prometheus;
mod server;
mod traces;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::failure::{Context, Failure};
use crate::shell;
use install::Installed;
use mail::MailServer;
use server::Server;
use traces::Collector;

/// The document under test.
const DOCUMENT: &str = "docs/openapi.json";

/// Runs all parts, the quick ones first.
pub(crate) fn run() -> Result<(), Failure> {
    let installed = install::all()?;
    prometheus::find()?;
    prometheus::check_files()?;
    let document = shell::repository().join(DOCUMENT);
    step("openapi-spec-validator", &mut validator(&installed, &document))?;
    typescript(&installed, &document)?;
    python(&installed, &document)?;
    objects::check(&installed)?;
    payments::check(&installed)?;
    let collector = Collector::start(&installed)?;
    let mails = MailServer::start(&installed)?;
    let server = Server::start(&installed.folder.join("server"), collector.address(), mails.environment())?;
    let tour = installed.node.join("out/tour.js");
    step("the tour in TypeScript", Command::new("node").arg(tour).arg(server.address()))?;
    let mut tour = installed.python_program("python3");
    tour.arg(source("python/tour.py")).arg(server.address()).env("PYTHONPATH", &installed.python_client);
    step("the tour in Python", &mut tour)?;
    // After the tours, so that there are metrics.
    prometheus::check_metrics(&server)?;
    mails.check()?;
    collector.check()
}

/// A file of `xtask/peers/`.
fn source(name: &str) -> std::path::PathBuf {
    shell::repository().join("xtask/peers").join(name)
}

/// Runs one part, and prints its output if it fails.
fn step(name: &str, command: &mut Command) -> Result<(), Failure> {
    println!("peers: {name}");
    let output = command.output().context(format_args!("starting {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("");
    Err(Failure::failed(format!("{name}: {}\n{said}", output.status)))
}

fn validator(installed: &Installed, document: &Path) -> Command {
    let mut validator = installed.python_program("openapi-spec-validator");
    validator.args(["--schema", "3.1"]).arg(document);
    validator
}

/// Generates the types and compiles a program that uses them, with the compiler's strictest settings.
fn typescript(installed: &Installed, document: &Path) -> Result<(), Failure> {
    let node = &installed.node;
    for file in ["tour.ts", "tsconfig.json"] {
        fs::copy(source("node").join(file), node.join(file)).context(format_args!("copying {file}"))?;
    }
    let mut types = installed.node_program("openapi-typescript");
    step("openapi-typescript", types.arg(document).args(["--output", "schema.ts"]))?;
    step("tsc", &mut installed.node_program("tsc"))
}

/// Generates the client and compiles it. The generator only warns if it leaves out an operation; here that is a
/// failure.
fn python(installed: &Installed, document: &Path) -> Result<(), Failure> {
    let client = installed.python_client.join("tidegate_client");
    let mut generator = installed.python_program("openapi-python-client");
    generator.args(["generate", "--meta", "none", "--overwrite"]);
    generator.arg("--config").arg(source("python/client.yaml")).arg("--path").arg(document);
    step("openapi-python-client", generator.arg("--output-path").arg(&client))?;
    let text = fs::read_to_string(document).context("reading the document")?;
    let left_out = left_out(&text, |module| client.join("api").join(module).is_file())?;
    if !left_out.is_empty() {
        return Err(Failure::failed(format!("openapi-python-client leaves out {}", left_out.join(", "))));
    }
    let mut compile = installed.python_program("python3");
    step("compileall", compile.args(["-m", "compileall", "-q"]).arg(&client))
}

/// The operations of the document that have no module in the client.
fn left_out(document: &str, exists: impl Fn(&Path) -> bool) -> Result<Vec<String>, Failure> {
    let document: Value = serde_json::from_str(document).context("reading the document")?;
    let mut missing = Vec::new();
    for item in document["paths"].as_object().into_iter().flat_map(|paths| paths.values()) {
        for operation in item.as_object().into_iter().flat_map(|operations| operations.values()) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (tag, name) = (text(&operation["tags"][0]).replace(' ', "_"), text(&operation["operationId"]));
            if !exists(&Path::new(&tag).join(format!("{name}.py"))) {
                missing.push(name);
            }
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_without_a_module_is_named() {
        let document = r#"{"paths": {"/a": {"get": {"tags": ["api keys"], "operationId": "api_keys_list"},
            "post": {"tags": ["api keys"], "operationId": "api_keys_create"}}}}"#;
        let missing = left_out(document, |module| module == Path::new("api_keys/api_keys_list.py"));
        assert_eq!(missing.unwrap(), ["api_keys_create"]);
    }
}
