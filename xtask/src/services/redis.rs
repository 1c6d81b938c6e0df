//! A private Redis without persistence.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Started, create_log, free_port};
use crate::failure::{Context, Failure};

/// Starts `redis-server`; it may not answer yet.
pub(super) fn start(program: &Path, folder: &Path) -> Result<Started, Failure> {
    let port = free_port()?;
    let log = folder.join("redis.log");
    let output = create_log(&log)?;
    let child = Command::new(program)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(folder)
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stderr(output.try_clone().context("opening Redis's log")?)
        .stdout(output)
        .spawn()
        .context(format_args!("starting {}", program.display()))?;
    Ok(Started {
        child,
        stop_signal: "TERM",
        url: format!("redis://127.0.0.1:{port}"),
        log,
        ready: Box::new(move || answers(port)),
    })
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = [0; 5];
    stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && &answer == b"+PONG"
}
