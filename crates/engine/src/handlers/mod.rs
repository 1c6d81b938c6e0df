//! Steps that do something outside. `transform`, `condition` and `delay` need none: the state machine does them itself.

mod body;
mod emit_event;
mod http_request;

use std::sync::Arc;

use tidegate_workflows::plan::StepKind;

pub use emit_event::EmitEvent;
pub use http_request::HttpRequest;

use crate::ports::{EventEmitter, HandlerMap, OutboundHttp};

/// The handlers of a whole server.
#[must_use]
pub fn standard(http: Arc<dyn OutboundHttp>, events: Arc<dyn EventEmitter>) -> HandlerMap {
    let mut handlers = HandlerMap::new();
    handlers.insert(StepKind::HttpRequest, Arc::new(HttpRequest::new(http)));
    handlers.insert(StepKind::EmitEvent, Arc::new(EmitEvent::new(events)));
    handlers
}
