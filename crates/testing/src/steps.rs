//! The step types of a whole server.

use std::sync::Arc;

use tidegate_workflows::step::{StepRegistry, StepType};

/// The step types of a whole server.
#[must_use]
pub fn step_types() -> Arc<StepRegistry> {
    Arc::new(tidegate_engine::handlers::step_types().expect("the types are well formed"))
}

/// One of these step types.
#[must_use]
pub fn step_type(name: &str) -> Arc<StepType> {
    step_types().get(name).expect("there is a type of this name").clone()
}
