//! An example of a custom step type: `chat.post` posts a message in a channel.
//!
//! A step type is data ([`step_type`]) and, if it has side effects, a handler ([`Post`]). Code that compiles documents
//! needs the registry ([`step_types`]), and code that drives runs needs the handlers ([`handlers`]); `tests/story.rs`
//! wires both.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tidegate_engine::handlers::{BindError, HandlerMap};
use tidegate_engine::ports::{StepHandler, StepTask};
use tidegate_workflows::run::StepError;
use tidegate_workflows::step::{StepOutput, StepRegistry, StepType, StepTypeError, Timeouts};

/// The name for `uses` in documents.
pub const NAME: &str = "chat.post";

/// The step type: its input, its output and its timeout.
#[must_use]
pub fn step_type() -> StepType {
    StepType {
        with: json!({
            "type": "object",
            "required": ["channel", "text"],
            "additionalProperties": false,
            "properties": {
                "channel": {"type": "string", "pattern": "^#[a-z0-9-]+$", "title": "a channel such as #releases"},
                "text": {"type": "string", "minLength": 1, "maxLength": 4_000},
                "urgency": {"enum": ["low", "high"], "default": "low"},
            },
            "examples": [{"channel": "#releases", "text": "1.2 is out"}],
        }),
        output: StepOutput::Schema(json!({
            "type": "object",
            "required": ["message"],
            "properties": {"message": {"type": "string"}},
        })),
        timeouts: Timeouts { default: Duration::from_secs(10), max: Duration::from_secs(60) },
        ..StepType::effect(NAME, "Says something in a channel.")
    }
}

/// The built-in types and this one. Begin with `tidegate_engine::handlers::step_types` to have `http.request` and
/// `emit_event` too.
///
/// # Errors
/// [`StepTypeError`] if the type is malformed or its name is taken.
pub fn step_types() -> Result<StepRegistry, StepTypeError> {
    let mut steps = StepRegistry::built_in()?;
    steps.register(step_type())?;
    Ok(steps)
}

/// The handlers of these types. An engine cannot start without a handler for each type with side effects.
///
/// # Errors
/// [`BindError`] if a type with side effects has no handler.
pub fn handlers(steps: &StepRegistry, chat: Arc<dyn Chat>) -> Result<HandlerMap, BindError> {
    let post: Arc<dyn StepHandler> = Arc::new(Post { chat });
    HandlerMap::bind(steps, [(NAME.to_owned(), post)])
}

/// A chat to post messages to.
#[async_trait]
pub trait Chat: Send + Sync {
    /// Posts a message and returns its id. MUST post only one message for one `key`, however often it is called.
    async fn post(&self, channel: &str, text: &str, key: &str) -> Result<String, StepError>;
}

/// The handler of `chat.post`.
pub struct Post {
    chat: Arc<dyn Chat>,
}

#[async_trait]
impl StepHandler for Post {
    async fn execute(&self, task: &StepTask) -> Result<Value, StepError> {
        // An expression in the document can give any value, so its type is checked here.
        let text = |name: &str| {
            let value = task.input.get(name).and_then(Value::as_str);
            value.ok_or_else(|| StepError::permanent("chat-post", format!("`{name}` has to be a text")))
        };
        let message = self.chat.post(text("channel")?, text("text")?, &task.idempotency_key).await?;
        Ok(json!({ "message": message }))
    }
}
