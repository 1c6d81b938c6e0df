//! Starting a server in a test.

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

/// Waits until a server prints its address in its first line. Returns the address, and the further lines of its output.
/// Keep those: a server does not need a reader, but a test may want the lines.
pub async fn listening(server: &mut Child) -> (String, Lines<BufReader<ChildStdout>>) {
    let mut out = BufReader::new(server.stdout.take().expect("its output is piped")).lines();
    let first = out.next_line().await.expect("its output is text").expect("it says where it listens");
    let url = first.strip_prefix("listening on ").expect("it says where it listens").to_owned();
    (url, out)
}
