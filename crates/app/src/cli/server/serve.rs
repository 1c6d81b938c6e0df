//! `tidegate serve`: runs the server until a signal stops it.

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Failure, print};
use crate::server::Application;
use crate::settings::Settings;
use crate::{system, telemetry};

pub(crate) async fn run(settings: Settings) -> Result<(), Failure> {
    let traces = telemetry::start(&settings.log, settings.log_format).map_err(Failure::Usage)?;
    let application = Application::build(&settings, system::environment()).await?;
    print(&format!("listening on http://{}", application.address()));
    let handle = application.stop_handle();
    tokio::spawn(async move {
        wait_for_signal().await;
        tracing::info!("stopping: no new requests; those under way may finish");
        handle.stop().await;
    });
    let result = application.run().await.map_err(|error| Failure::Failed(error.to_string()));
    if let Some(traces) = traces {
        traces.stop().await;
    }
    result
}

/// Waits for the signal to stop: SIGTERM, or SIGINT (Ctrl-C).
pub(crate) async fn wait_for_signal() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
