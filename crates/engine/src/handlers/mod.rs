//! Steps that do something outside: each type with its handler, in a file of its own. Those that need nothing from outside are
//! in `tidegate_workflows::step`, and the state machine does them itself.

mod body;
mod emit_event;
mod http_request;
mod map;
mod while_open;

use std::sync::Arc;

use tidegate_workflows::step::{StepRegistry, StepTypeError};

pub use emit_event::EmitEvent;
pub use http_request::HttpRequest;
pub use map::{BindError, HandlerMap, NamedHandler};
pub use while_open::OpenWorkspaces;

use crate::ports::{EventEmitter, OutboundHttp};

/// The step types of a whole server.
///
/// # Errors
/// [`StepTypeError`] where one of them is malformed: a defect.
pub fn step_types() -> Result<StepRegistry, StepTypeError> {
    let mut steps = StepRegistry::built_in()?;
    steps.register(http_request::step_type())?;
    steps.register(emit_event::step_type())?;
    Ok(steps)
}

/// The handlers of [`step_types`].
#[must_use]
pub fn standard(http: Arc<dyn OutboundHttp>, events: Arc<dyn EventEmitter>) -> Vec<NamedHandler> {
    vec![
        (http_request::NAME.to_owned(), Arc::new(HttpRequest::new(http))),
        (emit_event::NAME.to_owned(), Arc::new(EmitEvent::new(events))),
    ]
}
