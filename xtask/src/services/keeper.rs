//! A small process that stops the services after this process has ended.
//!
//! It reads process ids from a pipe that only this process holds. When the pipe closes, for whatever reason, it stops
//! them, waits until they have ended and removes the folder. A signal handler would miss a kill, and a panic while
//! panicking.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::failure::{Context, Failure};

/// The shell script of the keeper. It stops the last service first. Ctrl-C reaches the whole foreground group, so the
/// keeper has a group of its own, and ignores signals anyway.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
folder=$1; shift
while read -r signal pid; do set -- "$signal:$pid" "$@"; done
for each in "$@"; do
  kill -s "${each%%:*}" "${each#*:}"
  tries=0
  while kill -s 0 "${each#*:}" && [ $tries -lt 600 ]; do sleep 0.05; tries=$((tries + 1)); done
  kill -s KILL "${each#*:}"
done
rm -rf -- "$folder"
"#;

/// This process's end of the pipe.
pub(crate) struct Keeper {
    child: Child,
    pipe: ChildStdin,
}

impl Keeper {
    /// Starts a keeper that removes `folder` at the end.
    pub(crate) fn start(folder: &Path) -> Result<Self, Failure> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "keeper"])
            .arg(folder)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting /bin/sh")?;
        let pipe = child.stdin.take().ok_or_else(|| Failure::failed("/bin/sh has no input"))?;
        Ok(Self { child, pipe })
    }

    /// Gives it a process to stop with `signal`.
    pub(crate) fn keep(&mut self, pid: u32, signal: &str) -> Result<(), Failure> {
        writeln!(self.pipe, "{signal} {pid}").context("handing a service over")
    }

    /// Closes the pipe. The returned child ends when all processes have ended.
    pub(crate) fn release(self) -> Child {
        drop(self.pipe);
        self.child
    }
}
