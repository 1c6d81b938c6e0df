//! The server for the tours, with the embedded PostgreSQL.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::failure::{Context, Failure};
use crate::services::keeper::Keeper;
use crate::shell;

/// A running server. It and its data are removed when this is dropped or the process ends, for whatever reason.
pub(super) struct Server {
    address: String,
    child: Child,
    keeper: Option<Keeper>,
}

impl Server {
    /// Builds the program, and starts it on a free port with its data in `folder`. It sends traces to `collector` and
    /// mails as `mail` says.
    pub(super) fn start(
        folder: &Path,
        collector: &str,
        mail: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, Failure> {
        println!("peers: a server");
        let program = shell::built("tidegate", shell::DEV, &["-p", "tidegate"])?;
        if folder.exists() {
            fs::remove_dir_all(folder).context(format_args!("emptying {}", folder.display()))?;
        }
        fs::create_dir_all(folder).context(format_args!("making {}", folder.display()))?;
        let mut keeper = Keeper::start(folder)?;
        let log = folder.join("log");
        let errors = File::create(&log).context(format_args!("creating {}", log.display()))?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--rate-limit", "login=off,register=off", "--data-dir"])
            .arg(folder.join("data"))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
            .envs(mail)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context("starting the server")?;
        keeper.keep(child.id(), "TERM")?;
        let output = child.stdout.take();
        let mut server = Self { address: String::new(), child, keeper: Some(keeper) };
        let mut lines = BufReader::new(output.ok_or_else(|| Failure::failed("the server has no output"))?).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(format!("http://{}", line.split_once("listening on http://")?.1.trim())));
        // Reads the rest of its output, so that it never blocks on a full pipe.
        thread::spawn(move || lines.for_each(drop));
        server.address = address.ok_or_else(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            Failure::failed(format!("the server did not start:\n{said}"))
        })?;
        Ok(server)
    }

    /// `http://HOST:PORT`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The keeper stops the server and removes its data when the pipe closes.
        let keeper = self.keeper.take().map(Keeper::release);
        let _ = self.child.wait();
        if let Some(mut keeper) = keeper {
            let _ = keeper.wait();
        }
    }
}
