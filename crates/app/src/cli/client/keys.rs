//! `tidegate keys`: the keys that sign access tokens.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::api::{Api, Proxies, text};
use crate::cli::{Failure, print};

/// The subcommands of `tidegate keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// List the keys that sign and verify access tokens
    List(Server),
    /// Make a new key, which begins to sign after some seconds; older keys verify until their last token has expired
    Rotate(Rotate),
}

/// Arguments of `tidegate keys rotate`.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    server: Server,

    /// Delete the other keys: all access tokens end, and everybody has to refresh
    #[arg(long)]
    retire_others: bool,
}

/// The server and the credentials of an operator.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Address of the server
    #[arg(long, env = "TIDEGATE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,

    /// Access token of an operator
    #[arg(long, env = "TIDEGATE_TOKEN", hide_env_values = true)]
    token: String,
}

impl Server {
    fn api(&self) -> Result<Api, Failure> {
        let api = Api::new(&self.url, Duration::from_secs(30), Proxies::FromEnvironment);
        Ok(api.map_err(|error| Failure::Usage(error.to_string()))?.with_token(&self.token))
    }
}

pub(crate) async fn run(command: Keys) -> Result<(), Failure> {
    match command {
        Keys::List(server) => {
            let answer = server.api()?.get("/monitoring/signing-keys").await?;
            answer.items().iter().for_each(|key| print(&line(key)));
        }
        Keys::Rotate(rotate) => {
            let body = json!({ "retire_others": rotate.retire_others });
            let answer = rotate.server.api()?.post("/monitoring/signing-keys/rotate", &body).await?;
            print(&line(&answer.body));
        }
    }
    Ok(())
}

fn line(key: &Value) -> String {
    let state = if key["signing"] == true { "signs" } else { "verifies" };
    format!("{}  made {}  {state}", text(key, "/kid"), text(key, "/created_at"))
}
