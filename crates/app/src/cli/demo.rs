//! `tidegate demo`: turns real events into patterns, a suggestion, a workflow and a finished run, through the HTTP API
//! alone.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::client::demo::{self, Login, Screen};
use super::server::serve::wait_for_signal;
use super::server::temporary::TemporaryServer;

/// Options of `tidegate demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Use this server instead of starting one
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Data directory of the started server; default: a temporary directory
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data_dir: Option<PathBuf>,

    /// Address of the started server; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", conflicts_with = "url")]
    listen: std::net::SocketAddr,

    /// Exit at the end of the demo instead of leaving the server running
    #[arg(long)]
    exit: bool,

    /// Log filter of the started server, such as `info`
    #[arg(long, default_value = "error", conflicts_with = "url")]
    log: String,
}

pub(super) async fn run(demo: Demo) -> Result<(), Failure> {
    if let Some(url) = demo.url.as_ref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        return Err(Failure::Usage(format!("--url {url:?} is not an address such as http://127.0.0.1:8080")));
    }
    let screen = Screen::new();
    let server = match &demo.url {
        Some(_) => None,
        None => {
            screen.waiting("Starting a server with its own PostgreSQL (the first start unpacks it)");
            Some(TemporaryServer::start(demo.data_dir.as_deref(), demo.listen, &demo.log).await?)
        }
    };
    let base = match (&demo.url, &server) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(server)) => server.base(),
        (None, None) => return Err(Failure::Failed("there is no server".to_owned())),
    };
    let told = tokio::select! {
        told = run_story(&demo, &screen, &base) => told,
        () = wait_for_signal() => Err(Failure::Failed("interrupted".to_owned())),
    };
    let told = match told {
        Ok(login) if !demo.exit => {
            screen.visit(&base, &login, server.is_some());
            if server.is_some() {
                wait_for_signal().await;
                screen.line("Stopping.");
            }
            Ok(())
        }
        other => other.map(drop),
    };
    if let Some(server) = server {
        server.close().await;
    }
    told
}

async fn run_story(demo: &Demo, screen: &Screen, base: &str) -> Result<Login, Failure> {
    if demo.url.is_some() {
        screen.line(&format!("Using the server at {base}. A person and two workspaces of the demo stay there."));
    } else {
        screen.line(&format!("A server is up at {base}."));
    }
    demo::run_story(base, screen, demo.url.is_none()).await
}
