//! The steps of the demo and what it prints. It uses the HTTP API alone.

mod paid;
mod screen;
mod story;
mod visit;

pub(crate) use screen::Screen;
pub(crate) use story::run_story;
pub(crate) use visit::Login;
