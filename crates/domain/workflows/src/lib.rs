//! Workflows: the language of their definitions, the compiled form that a run follows, and their versions.
//!
//! A document becomes a [`definition`], the definition a [`compiled::CompiledWorkflow`]; everything a caller writes in `${{ }}` is an
//! [`expression`]. All of it is pure: no clock, no IO.

pub mod compiled;
pub mod compute;
pub mod definition;
pub mod error;
pub mod expression;
pub mod input;
pub mod model;
pub mod ports;
pub mod run;
pub mod service;
pub mod step;
pub mod trigger;

pub use service::Workflows;
