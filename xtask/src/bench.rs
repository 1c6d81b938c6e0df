//! `bench`: benchmarks of the release build on a private PostgreSQL with fsync, or on the embedded one. `xtask-load`
//! measures in a process of its own; this file starts what it needs and prints the results.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Context, Failure};
use crate::services::{Durability, Services};
use crate::shell;

/// The benchmark that needs no PostgreSQL server.
const EMBEDDED: &str = "embedded";

/// The benchmarks that embed crates.
const EMBEDDING: [&str; 2] = ["jobs", "quota"];

/// The benchmark that stores files.
const FILES: &str = "files";
/// The benchmark that needs a server with Redis, and one that caches in its process.
const CACHE: &str = "cache";

/// Arguments of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Bench {
    /// One of `ingest`, `list`, `runs`, `jobs`, `quota`, `auth`, `files`, `cache` and `embedded`.
    #[arg(value_parser = ["ingest", "list", "runs", "jobs", "quota", "auth", "files", "cache", "embedded"])]
    name: String,
    /// Repetitions of each measurement.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Duration of a measurement, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Build without optimisation, to test the benchmark itself; the figures mean nothing then.
    #[arg(long)]
    debug: bool,
    /// Further arguments of the benchmark, such as `--window 10000000` of `ingest` or `--rows 100000` of `list`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Measures, prints a table, and writes `target/bench/<name>.json`.
pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    let programs = build(bench.debug)?;
    let load = || {
        let mut command = Command::new(programs.join("xtask-load"));
        command.args(["--rounds", &bench.rounds.to_string(), "--seconds", &bench.seconds.to_string()]);
        command
    };
    let mut measuring = load();
    // Dropped at the end, which stops the services.
    let mut served = None;
    if bench.name == EMBEDDED {
        measuring.args([EMBEDDED, "--program"]).arg(programs.join("tidegate"));
    } else {
        let services = served.insert(Services::start(Durability::Full)?);
        let admin_url = services.database_url().to_owned();
        shell::output(
            Command::new(programs.join("tidegate")).args(["migrate", "up"]).env("MIGRATE_DATABASE_URL", &admin_url),
        )?;
        let login = shell::output(load().args(["--admin-url", &admin_url, "prepare"]))?;
        let with_redis = ["--redis-url", services.redis_url()].map(str::to_owned);
        let flags = if bench.name == CACHE { &with_redis[..] } else { &[] };
        let objects = shell::repository().join("target/bench/objects");
        let on = Running { login: &login, bench: &bench.name, objects: &objects };
        let (server, pid) = serve(&programs, &on, flags, services)?;
        measuring.args(["--admin-url", &admin_url, "--server", &server, &bench.name]);
        if bench.name == CACHE {
            let flags = ["--cache", "in-process"].map(str::to_owned);
            measuring.args(["--in-process", &serve(&programs, &on, &flags, services)?.0]);
        }
        if EMBEDDING.contains(&&*bench.name) {
            measuring.args(["--login", &login]);
        }
        if bench.name == FILES {
            measuring.args(["--pid", &pid.to_string(), "--objects"]).arg(objects);
        }
    }
    measuring.args(&bench.arguments).stderr(Stdio::inherit());
    let mut report: Value = serde_json::from_str(&shell::output(&mut measuring)?).context("reading the report")?;
    if let Some(report) = report.as_object_mut() {
        report.insert("machine".to_owned(), machine());
    }
    print(&report);
    let folder = shell::repository().join("target/bench");
    let file = folder.join(format!("{}.json", bench.name));
    let text = serde_json::to_string_pretty(&report).context("writing the report")?;
    fs::create_dir_all(&folder).and_then(|()| fs::write(&file, text + "\n")).context("writing the report")?;
    println!("\n{}", file.display());
    Ok(())
}

/// Builds the server and the generator, and returns the folder of both.
fn build(debug: bool) -> Result<PathBuf, Failure> {
    // The same profile as container images; `release` has no link-time optimisation, for faster builds.
    let profile = if debug { shell::DEV } else { "dist" };
    let server = shell::built("tidegate", profile, &["-p", "tidegate", "-p", "xtask-load"])?;
    Ok(server.parent().map_or_else(PathBuf::new, Path::to_owned))
}

/// What a server of a benchmark works on.
struct Running<'a> {
    login: &'a str,
    bench: &'a str,
    objects: &'a Path,
}

/// Starts the server with a login that is subject to row-level security, and returns its host and port, and its process
/// id.
fn serve(
    programs: &Path,
    on: &Running<'_>,
    flags: &[String],
    services: &mut Services,
) -> Result<(String, u32), Failure> {
    let Running { login, bench, objects } = *on;
    // `list` reads events that were not ingested, so detection must not count them. `jobs` embeds an engine that needs
    // the shards. `cache` has two servers.
    let role = if ["list", CACHE].contains(&bench) || EMBEDDING.contains(&bench) { "api" } else { "all" };
    let mut child = Command::new(programs.join("tidegate"))
        .args(["serve", "--listen", "127.0.0.1:0", "--role", role, "--default-plan", "unlimited"])
        .args(["--rate-limit", "login=off,register=off", "--log", "error"])
        .args(flags)
        .env("DATABASE_URL", login)
        .env("OBJECT_STORE_URL", format!("file://{}", objects.display()))
        .env("TIDEGATE_SECRET", "a secret of benchmarks, long enough for a server")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the server")?;
    let (output, pid) = (child.stdout.take(), child.id());
    services.keep(child, "TERM")?;
    let mut lines = BufReader::new(output.ok_or_else(|| Failure::failed("the server has no output"))?).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("listening on http://")?.1.to_owned()));
    // Reads the rest of its output, so that it never blocks on a full pipe.
    thread::spawn(move || lines.for_each(drop));
    let address = address.ok_or_else(|| Failure::failed("the server did not start; it says why above"))?;
    Ok((address, pid))
}

/// A description of the machine.
fn machine() -> Value {
    let said = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        shell::output(command.args(arguments).current_dir(shell::repository())).unwrap_or_default()
    };
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    json!({
        "cores": thread::available_parallelism().map_or(0, usize::from),
        "cpu": field("/proc/cpuinfo", "model name"),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": said("uname", &["-sr"]),
        "rust": said("rustc", &["--version"]),
        "postgres": crate::services::install::postgres().and_then(|folder| crate::services::install::major_version(&folder)),
        "commit": said("git", &["rev-parse", "--short", "HEAD"]),
    })
}

fn print(report: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    println!("{}: {}", text(&report["bench"]), text(&report["setting"]));
    println!("{:18} {:>12}  {:16} {:>12}  {:12} rounds", "", "median", "", "bare", "bar");
    for metric in report["metrics"].as_array().into_iter().flatten() {
        let rounds: Vec<String> = metric["rounds"].as_array().into_iter().flatten().map(number).collect();
        let bar = &metric["bar"];
        let met = match bar["met"].as_bool() {
            Some(true) => format!("{} ok", text(&bar["limit"])),
            Some(false) => format!("{} MISSED", text(&bar["limit"])),
            None => String::new(),
        };
        println!(
            "{:18} {:>12}  {:16} {:>12}  {met:12} {}",
            text(&metric["name"]),
            number(&metric["median"]),
            text(&metric["unit"]),
            number(&metric["bare"]),
            rounds.join(" ")
        );
    }
}

/// A number with three significant digits.
fn number(value: &Value) -> String {
    match value.as_f64() {
        None => String::new(),
        Some(number) if number.abs() >= 100.0 => format!("{number:.0}"),
        Some(number) if number.abs() >= 10.0 => format!("{number:.1}"),
        Some(number) => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        assert_eq!([1234.5, 12.34, 0.123].map(|figure| number(&json!(figure))), ["1234", "12.3", "0.12"]);
        assert_eq!(number(&Value::Null), "");
    }
}
