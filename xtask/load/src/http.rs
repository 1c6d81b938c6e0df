//! A minimal HTTP/1.1 client with one keep-alive connection, so that the generator uses little of the machine that it
//! shares with the server.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::failure::Failure;

/// One connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    token: Option<String>,
    /// Further header lines of every request, each with its line end.
    pub(crate) extra: String,
    request: Vec<u8>,
    head: String,
}

/// The server's response.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The value of `Tidegate-Position` or `Tidegate-Watermark`.
    pub(crate) position: Option<i64>,
    /// The value of `ETag`.
    pub(crate) tag: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body as JSON, if the status is `expected`.
    pub(crate) fn json(&self, expected: u16) -> Result<serde_json::Value, Failure> {
        self.expect(expected)?;
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// Fails if the status is not `expected`.
    pub(crate) fn expect(&self, expected: u16) -> Result<(), Failure> {
        if self.status == expected {
            return Ok(());
        }
        let body = String::from_utf8_lossy(&self.body);
        Err(Failure::new(format!("{} instead of {expected}: {body}", self.status)))
    }
}

impl Client {
    /// Connects to `server`, a host and a port, as the owner of the token.
    pub(crate) async fn connect(server: &str, token: Option<&str>) -> Result<Self, Failure> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let token = token.map(str::to_owned);
        Ok(Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
            token,
            extra: String::new(),
            request: Vec::new(),
            head: String::new(),
        })
    }

    /// Sends a GET.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Response, Failure> {
        self.send("GET", path, "", b"").await
    }

    /// Sends a POST with JSON.
    pub(crate) async fn post(&mut self, path: &str, body: &serde_json::Value) -> Result<Response, Failure> {
        self.send("POST", path, "application/json", body.to_string().as_bytes()).await
    }

    /// Sends any request; `path` follows `/api/v1`.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> Result<Response, Failure> {
        use std::io::Write;
        self.request.clear();
        write!(self.request, "{method} /api/v1{path} HTTP/1.1\r\nhost: bench\r\n")?;
        if let Some(token) = &self.token {
            write!(self.request, "authorization: Bearer {token}\r\n")?;
        }
        if !kind.is_empty() {
            write!(self.request, "content-type: {kind}\r\ncontent-length: {}\r\n", body.len())?;
        }
        self.request.extend_from_slice(self.extra.as_bytes());
        self.request.extend_from_slice(b"\r\n");
        self.request.extend_from_slice(body);
        self.stream.get_mut().write_all(&self.request).await?;
        self.receive().await
    }

    async fn receive(&mut self) -> Result<Response, Failure> {
        let status = self.line().await?.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Failure::new("the server does not speak HTTP/1.1"))?;
        let mut response = Response { status, position: None, tag: None, body: Vec::new() };
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse()?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value.eq_ignore_ascii_case("chunked");
            } else if name.eq_ignore_ascii_case("etag") {
                response.tag = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("tidegate-position") || name.eq_ignore_ascii_case("tidegate-watermark")
            {
                response.position = value.parse().ok();
            }
        }
        if !chunked {
            response.body.resize(length, 0);
            self.stream.read_exact(&mut response.body).await?;
            return Ok(response);
        }
        loop {
            let size = usize::from_str_radix(self.line().await?, 16)?;
            let start = response.body.len();
            response.body.resize(start + size, 0);
            self.stream.read_exact(response.body.get_mut(start..).unwrap_or_default()).await?;
            self.line().await?;
            if size == 0 {
                return Ok(response);
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<&str, Failure> {
        self.head.clear();
        if self.stream.read_line(&mut self.head).await? == 0 {
            return Err(Failure::new("the server closed the connection"));
        }
        Ok(self.head.trim_end())
    }
}
