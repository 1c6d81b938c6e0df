//! What the demo does on a server and shows of it, through the HTTP API alone.

mod screen;
mod story;
mod visit;

pub(crate) use screen::Screen;
pub(crate) use story::run_story;
pub(crate) use visit::Login;
