//! A proxy between a server and its PostgreSQL that reads the protocol: the statements, and when something was changed.
//!
//! It parses only the types and the lengths of messages (PostgreSQL 17, chapter 53).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};

/// The roles of requests. Background work has the role of the engine.
const ROLES: [&str; 2] = ["ROLE tidegate_api", "ROLE tidegate_directory"];

#[derive(Default)]
struct Seen {
    /// The texts of simple queries and of executed statements, in order.
    statements: Vec<String>,
    /// Whether transactions are refused after one has committed a change.
    refuses: bool,
    changed: bool,
}

/// A proxy on a port of its own.
pub struct Relay {
    url: String,
    seen: Arc<Mutex<Seen>>,
}

impl Relay {
    /// A proxy to the PostgreSQL at `url`.
    pub async fn to(url: &str) -> Self {
        let (head, rest) = url.split_once('@').expect("an address with a login");
        let (host, path) = rest.split_once('/').expect("an address with a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let database = path.split('?').next().unwrap_or_default();
        let url = format!("{head}@127.0.0.1:{port}/{database}?sslmode=disable");
        let seen = Arc::<Mutex<Seen>>::default();
        let (host, shared) = (host.to_owned(), seen.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&host).await.expect("the PostgreSQL answers");
                tokio::spawn(relay(client, server, shared.clone()));
            }
        });
        Self { url, seen }
    }

    /// The URL of the proxy, with the login and the database of PostgreSQL.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on refuses to begin a transaction after one has committed a change.
    pub fn refuse_after_a_change(&self) {
        self.seen(|seen| *seen = Seen { refuses: true, ..Seen::default() });
    }

    /// Stops refusing, and returns whether something was changed meanwhile.
    pub fn relent(&self) -> bool {
        self.seen(|seen| std::mem::take(seen).changed)
    }

    /// The statements of requests since the last call.
    pub fn statements(&self) -> Vec<String> {
        self.seen(|seen| std::mem::take(&mut seen.statements))
    }
}

/// The state of a connection.
#[derive(Default)]
struct Conversation {
    prepared: HashMap<Vec<u8>, String>,
    bound: String,
    /// Whether the open transaction belongs to a request, and whether it has changed something.
    watched: bool,
    changes: bool,
}

impl Conversation {
    /// Reads a message of the client and returns whether it may pass.
    fn hear(&mut self, kind: u8, body: &[u8], seen: &Mutex<Seen>) -> bool {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parts = body.split(|byte| *byte == 0);
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match kind {
            b'P' => {
                self.prepared.insert(first.to_vec(), text(second));
            }
            b'B' => self.bound = self.prepared.get(second).cloned().unwrap_or_default(),
            b'Q' if first.starts_with(b"BEGIN") => {
                let begin = text(first);
                self.watched = ROLES.iter().any(|role| begin.contains(role));
                self.changes = false;
                if self.watched {
                    if seen.refuses && seen.changed {
                        return false;
                    }
                    seen.statements.push(begin);
                }
            }
            b'Q' if self.watched => {
                if first.starts_with(b"COMMIT") && self.changes {
                    seen.changed = true;
                }
                seen.statements.push(text(first));
            }
            b'E' if self.watched => {
                let lower = self.bound.to_lowercase();
                // Events are added by a function of the schema.
                let writes = ["insert into", "delete from", "ingest_events("].iter().any(|words| lower.contains(words));
                self.changes |= writes || lower.contains("update ") && lower.contains(" set ");
                seen.statements.push(self.bound.clone());
            }
            _ => {}
        }
        true
    }
}

/// Reads a message: its type and the body. The first message of a connection has no type.
async fn message(from: &mut OwnedReadHalf, typed: bool) -> std::io::Result<(u8, Vec<u8>, Vec<u8>)> {
    let kind = if typed { from.read_u8().await? } else { 0 };
    let length = from.read_u32().await?;
    let mut body = vec![0; usize::try_from(length).unwrap_or(4).saturating_sub(4)];
    from.read_exact(&mut body).await?;
    let mut raw = if typed { vec![kind] } else { Vec::new() };
    raw.extend(length.to_be_bytes());
    raw.extend(&body);
    Ok((kind, body, raw))
}

async fn relay(client: TcpStream, server: TcpStream, seen: Arc<Mutex<Seen>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = async {
        let mut conversation = Conversation::default();
        let mut typed = false;
        while let Ok((kind, body, raw)) = message(&mut from_client, typed).await {
            typed = true;
            if !conversation.hear(kind, &body, &seen) || to_server.write_all(&raw).await.is_err() {
                break;
            }
        }
    };
    // The first end that closes ends both.
    tokio::select! {
        () = asking => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}
