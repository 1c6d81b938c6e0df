//! The real binary as a process that a test can kill.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tidegate_testing::TestDatabase;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Where a server stores its data.
pub enum Home<'a> {
    /// A PostgreSQL server.
    Served(&'a TestDatabase),
    /// A PostgreSQL server, and a directory with objects.
    WithObjects(&'a TestDatabase, &'a Path),
    /// A data directory with the embedded PostgreSQL.
    Embedded(&'a Path),
}

/// A running server.
pub struct Server {
    child: Child,
    /// Kept open, so that the server can write to its output.
    _output: Lines<BufReader<ChildStdout>>,
    /// `http://127.0.0.1:…`.
    pub base: String,
}

impl Server {
    /// Starts the binary and waits until it listens.
    pub async fn start(home: &Home<'_>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--default-plan", "unlimited"]);
        command.args(["--rate-limit", "login=off,register=off", "--log", "warn"]);
        command.env_remove("DATABASE_URL").env_remove("REDIS_URL").env_remove("OBJECT_STORE_URL");
        match home {
            Home::Served(database) | Home::WithObjects(database, _) => {
                command.args(["--database-url", database.url(), "--max-connections", "4"]);
                command.args(["--secret", "a secret for tests that is long enough"]);
            }
            Home::Embedded(directory) => {
                command.arg("--data-dir").arg(directory);
            }
        }
        if let Home::WithObjects(_, objects) = home {
            command.args(["--object-store-url", &format!("file://{}", objects.display())]);
        }
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("the binary starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is ours")).lines();
        let listening = async {
            loop {
                let line = output
                    .next_line()
                    .await
                    .expect("its output can be read")
                    .expect("it does not end before it listens");
                if let Some(base) = line.strip_prefix("listening on ") {
                    return base.to_owned();
                }
            }
        };
        let base = tokio::time::timeout(Duration::from_secs(120), listening).await.expect("it starts in time");
        Self { child, _output: output, base }
    }

    /// Sends SIGKILL, so that the server can flush nothing.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Sends SIGTERM and returns whether the server exited successfully.
    pub async fn terminate(mut self) -> bool {
        let id = self.child.id().expect("it runs").to_string();
        // The shell's builtin `kill`: a small machine may have no such program.
        let sent =
            Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id]).status().await.expect("a shell can be run");
        assert!(sent.success(), "the signal is sent");
        let ended = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await;
        ended.expect("it ends in time").expect("its end can be seen").success()
    }
}
