//! Steps that do something outside. `transform`, `condition` and `delay` need none: the state machine does them itself.

mod body;
mod emit_event;
mod http_request;
mod while_open;

use std::sync::Arc;

use tidegate_workflows::compiled::StepKind;

pub use emit_event::EmitEvent;
pub use http_request::HttpRequest;
pub use while_open::OpenWorkspaces;

use crate::ports::{EventEmitter, HandlerMap, OutboundHttp, StepHandler};
use while_open::WhileOpen;

/// The handlers of a whole server: nothing that they do begins in a workspace that is deleted.
#[must_use]
pub fn standard(
    http: Arc<dyn OutboundHttp>,
    events: Arc<dyn EventEmitter>,
    workspaces: &Arc<OpenWorkspaces>,
) -> HandlerMap {
    let handlers: [(StepKind, Arc<dyn StepHandler>); 2] = [
        (StepKind::HttpRequest, Arc::new(HttpRequest::new(http))),
        (StepKind::EmitEvent, Arc::new(EmitEvent::new(events))),
    ];
    handlers
        .into_iter()
        .map(|(kind, inner)| {
            let handler: Arc<dyn StepHandler> = Arc::new(WhileOpen { inner, workspaces: Arc::clone(workspaces) });
            (kind, handler)
        })
        .collect()
}
