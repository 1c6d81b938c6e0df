//! Redis servers of one test, which it may kill and start again.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);
/// The number of slots of a cluster.
const SLOTS: u16 = 16_384;

/// A Redis server on a port of its own. It ends when this is dropped.
pub struct RedisServer {
    port: u16,
    arguments: Vec<String>,
    folder: TempDir,
    child: Child,
}

impl RedisServer {
    /// Starts a server with further arguments.
    pub async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port().await;
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = spawn(port, folder.path(), &arguments);
        let server = Self { port, arguments, folder, child };
        server.until_ready().await;
        server
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a crash does.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Starts it again on the same port, with what it had stored.
    pub async fn start_again(&mut self) {
        self.child = spawn(self.port, self.folder.path(), &self.arguments);
        self.until_ready().await;
    }

    async fn until_ready(&self) {
        let ready = async {
            while !self.try_command(&["PING"]).await.is_some_and(|answer| answer.starts_with("+PONG")) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(START, ready).await.expect("Redis starts");
    }

    /// The answer to a command, as it is sent.
    pub async fn command(&self, words: &[&str]) -> String {
        let answer = self.try_command(words).await.expect("Redis answers");
        assert!(!answer.starts_with('-'), "{words:?}: {answer}");
        answer
    }

    async fn try_command(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(text.as_bytes()).await.ok()?;
        let mut answer = vec![0; 64 * 1024];
        let length = timeout(Duration::from_secs(30), stream.read(&mut answer)).await.ok()?.ok()?;
        answer.truncate(length);
        (length > 0).then(|| String::from_utf8_lossy(&answer).into_owned())
    }
}

fn spawn(port: u16, folder: &Path, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--appendonly", "no", "--port"]).arg(port.to_string());
    command.arg("--dir").arg(folder);
    if !arguments.iter().any(|argument| argument == "--save") {
        command.args(["--save", ""]);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("redis-server starts; `cargo xtask doctor` says where to get it")
}

/// A port that is free now. The bus of a cluster has the port 10,000 higher.
async fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        if port < u16::MAX - 10_000 {
            return port;
        }
    }
}

/// Three nodes, each with a third of the slots and without replicas.
pub struct RedisCluster {
    /// The nodes.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the nodes and waits until they serve all slots.
    pub async fn start() -> Self {
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(RedisServer::start(&arguments).await);
        }
        for (n, node) in (0_u16..).zip(&nodes) {
            let (first, last) = (SLOTS / 3 * n, if n == 2 { SLOTS - 1 } else { SLOTS / 3 * (n + 1) - 1 });
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await;
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]).await;
            if n > 0 {
                node.command(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port.to_string()]).await;
            }
        }
        let cluster = Self { nodes };
        cluster.until_whole().await;
        cluster
    }

    /// Waits until every node knows that all slots are served.
    pub async fn until_whole(&self) {
        let whole = async {
            for node in &self.nodes {
                while !node.command(&["CLUSTER", "INFO"]).await.contains("cluster_state:ok")
                    || !node.command(&["CLUSTER", "INFO"]).await.contains("cluster_known_nodes:3")
                {
                    sleep(Duration::from_millis(20)).await;
                }
            }
        };
        timeout(START, whole).await.expect("the nodes find each other");
    }

    /// The address with all nodes.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_from(0)
    }

    /// The address with all nodes, from the one with this index on.
    #[must_use]
    pub fn url_from(&self, first: usize) -> String {
        let ports = self.nodes.iter().cycle().skip(first).take(self.nodes.len());
        let nodes: Vec<String> = ports.map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }
}
