//! The server that the demo starts.

use std::net::SocketAddr;
use std::path::Path;

use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::cli::Failure;
use crate::server::{Application, StopHandle};
use crate::settings::Settings;
use crate::telemetry::Traces;
use crate::{system, telemetry};

/// The plan that this server sells besides the usual ones. Its limits are small enough to be reached.
const PLAN: &str = include_str!("../../../assets/demo-plan.json");

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

/// A server with the embedded PostgreSQL on a data directory of its own. It ignores the environment.
pub(crate) struct TemporaryServer {
    address: SocketAddr,
    stop: StopHandle,
    running: JoinHandle<std::io::Result<()>>,
    traces: Option<Traces>,
    /// Removed when this is dropped.
    _directory: Option<TempDir>,
}

impl TemporaryServer {
    /// Starts a server that listens on `listen`, with the log filter `log`. Its data is kept in `data_dir`, or in a
    /// temporary directory that is removed with it.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be started.
    pub(crate) async fn start(data_dir: Option<&Path>, listen: SocketAddr, log: &str) -> Result<Self, Failure> {
        let failed = |what: &str, error: &dyn std::fmt::Display| Failure::Failed(format!("{what}: {error}"));
        // Without the environment: its database, object store, mail server and payment provider are not the demo's.
        let flags = Flags::command().mut_args(|flag| flag.env(Resettable::Reset)).try_get_matches_from(["tidegate"]);
        let flags = flags.and_then(|flags| Flags::from_arg_matches(&flags));
        let mut settings = flags.map_err(|error| failed("the defaults cannot be read", &error))?.settings;
        let directory = match data_dir {
            Some(_) => None,
            None => Some(TempDir::new().map_err(|error| failed("cannot make a temporary directory", &error))?),
        };
        settings.listen = listen;
        settings.data_dir = match (data_dir, &directory) {
            (Some(kept), _) => kept.to_owned(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => settings.data_dir,
        };
        let plan = serde_json::from_str(PLAN).map_err(|error| failed("the plan of the demo cannot be read", &error))?;
        settings.further_plans = vec![plan];
        settings.seller_name = Some("Tidegate demo".to_owned());
        let traces = telemetry::start(log, settings.log_format).map_err(Failure::Usage)?;
        let application = Application::build(&settings, system::environment()).await?;
        let (address, stop) = (application.address(), application.stop_handle());
        let running = tokio::spawn(application.run());
        Ok(Self { address, stop, running, traces, _directory: directory })
    }

    /// The base URL of the server.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops the server and removes its temporary directory.
    pub(crate) async fn close(self) {
        self.stop.stop().await;
        if let Ok(Err(error)) = self.running.await {
            tracing::warn!(%error, "the server did not stop cleanly");
        }
        if let Some(traces) = self.traces {
            traces.stop().await;
        }
    }
}
