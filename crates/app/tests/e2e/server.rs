//! A server that a test has started.

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

/// Waits until a server says where it listens, as the first that it says: its address, and what else it will say. Keep that: a
/// server does not stop because nobody reads it, but a test may want to.
pub async fn listening(server: &mut Child) -> (String, Lines<BufReader<ChildStdout>>) {
    let mut out = BufReader::new(server.stdout.take().expect("its output is piped")).lines();
    let first = out.next_line().await.expect("its output is text").expect("it says where it listens");
    let url = first.strip_prefix("listening on ").expect("it says where it listens").to_owned();
    (url, out)
}
