//! The step types with effects: each type and its handler, in one file. Types without effects are in
//! `tidegate_workflows::step`, and the state machine runs them itself.

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

/// The step types of a server.
///
/// # Errors
/// [`StepTypeError`] if a built-in type is malformed, which is a defect of the program.
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
