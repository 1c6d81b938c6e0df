//! `doctor`: reports which tools this machine has, and how to get those that it lacks.

use std::process::Command;

use crate::failure::Failure;
use crate::services::install;
use crate::shell;

/// Disk space for a debug build, a release build and the databases of tests.
const GIGABYTES: u64 = 15;

/// The result of looking for one tool.
struct Finding {
    what: &'static str,
    /// What was found, or how to get it.
    state: Result<String, String>,
    /// Whether it is required.
    needed: bool,
}

/// Prints what was found. Fails if something is missing that `cargo xtask test` needs and cannot install.
pub(crate) fn run() -> Result<(), Failure> {
    let findings = [rust(), components(), nextest(), postgres(), redis(), peers(), disk()];
    let mut missing = 0;
    for finding in &findings {
        let (mark, text) = match &finding.state {
            Ok(text) => ("ok", text),
            Err(text) if finding.needed => ("missing", text),
            Err(text) => ("optional", text),
        };
        missing += usize::from(mark == "missing");
        println!("{mark:8}  {:10}  {text}", finding.what);
    }
    if missing == 0 { Ok(()) } else { Err(Failure::failed("see what is missing above")) }
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    shell::output(Command::new(program).args(arguments)).ok()?.lines().next().map(str::to_owned)
}

fn rust() -> Finding {
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    let numbers = |version: &str| -> Vec<u32> { version.split('.').filter_map(|part| part.parse().ok()).collect() };
    let found = said("rustc", &["--version"]);
    let version = found.as_deref().and_then(|line| line.split_whitespace().nth(1)).map(numbers).unwrap_or_default();
    let state = if version >= numbers(oldest) {
        Ok(found.unwrap_or_default())
    } else {
        Err(format!("Rust {oldest} or later: https://rustup.rs, then `rustup update stable`"))
    };
    Finding { what: "rust", state, needed: true }
}

fn components() -> Finding {
    let there = shell::find("cargo-clippy").is_some() && shell::find("rustfmt").is_some();
    let state = if there {
        Ok("clippy, rustfmt".to_owned())
    } else {
        Err("`rustup component add clippy rustfmt`, for .ci/run".to_owned())
    };
    Finding { what: "components", state, needed: false }
}

fn nextest() -> Finding {
    let advice = "`cargo install --locked cargo-nextest`; without it, `cargo test` runs the tests";
    let state = said("cargo-nextest", &["nextest", "--version"]).ok_or_else(|| advice.to_owned());
    Finding { what: "nextest", state, needed: false }
}

fn postgres() -> Finding {
    let found = install::postgres().and_then(|folder| {
        install::major_version(&folder).map(|version| format!("PostgreSQL {version} in {}", folder.display()))
    });
    Finding { what: "postgres", state: found.ok_or_else(|| service("postgresql")), needed: !can_install() }
}

fn redis() -> Finding {
    let found = install::redis().map(|program| program.display().to_string());
    Finding { what: "redis", state: found.ok_or_else(|| service("redis-server")), needed: !can_install() }
}

fn can_install() -> bool {
    shell::find("apt-get").is_some()
}

fn service(package: &str) -> String {
    if can_install() {
        format!("`cargo xtask test` installs it, or `apt-get install {package}`")
    } else {
        install::ADVICE.to_owned()
    }
}

fn peers() -> Finding {
    let lacking: Vec<_> =
        ["python3", "node", "npm", "promtool"].into_iter().filter(|name| shell::find(name).is_none()).collect();
    let state = if lacking.is_empty() {
        Ok("python3, node, npm, promtool".to_owned())
    } else {
        Err(format!("{}, for `cargo xtask peers` (Debian: python3-venv nodejs npm prometheus)", lacking.join(", ")))
    };
    Finding { what: "peers", state, needed: false }
}

fn disk() -> Finding {
    let mut df = Command::new("df");
    let table = shell::output(df.arg("-Pk").arg(shell::repository())).unwrap_or_default();
    let free = table.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    let state = match free.map(|kilobytes| kilobytes / (1 << 20)) {
        Some(free) if free < GIGABYTES => Err(format!("{free} GB free; builds and tests take up to {GIGABYTES} GB")),
        Some(free) => Ok(format!("{free} GB free")),
        None => Err("`df` does not say how much is free".to_owned()),
    };
    Finding { what: "disk", state, needed: false }
}
