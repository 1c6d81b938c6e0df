//! Python programs that the server sends to during the tours. Each writes what it receives as JSON lines.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::install::Installed;
use super::source;
use crate::failure::{Context, Failure};

/// How long to wait for expected lines.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A listening program. It ends when this process ends, because its input is closed then.
pub(super) struct Companion {
    child: Child,
    address: String,
    lines: PathBuf,
}

impl Companion {
    /// Starts a script, which first prints its address. `argument` tells it where to write the lines that `lines` has.
    pub(super) fn start(installed: &Installed, script: &str, argument: &Path, lines: PathBuf) -> Result<Self, Failure> {
        let mut child = installed
            .python_program("python3")
            .arg(source("python").join(script))
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context(format_args!("starting {script}"))?;
        let output = child.stdout.take().ok_or_else(|| Failure::failed(format!("{script} has no output")))?;
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address).context(format_args!("reading where {script} listens"))?;
        Ok(Self { child, address: address.trim().to_owned(), lines })
    }

    /// The address that it listens on.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Waits until the received lines satisfy `is_so`.
    pub(super) fn wait(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Result<(), Failure> {
        println!("peers: {what}");
        let since = Instant::now();
        loop {
            let got = read(&self.lines)?;
            if is_so(&got) {
                return Ok(());
            }
            if since.elapsed() > TIMEOUT {
                let got: Vec<String> = got.iter().map(Value::to_string).collect();
                return Err(Failure::failed(format!("{what}: not among\n{}", got.join("\n"))));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn read(file: &Path) -> Result<Vec<Value>, Failure> {
    let text = fs::read_to_string(file).context(format_args!("reading {}", file.display()))?;
    // The last line may be incomplete.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
