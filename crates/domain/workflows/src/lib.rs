//! Workflows: the language of their definitions, the compiled form that a run executes, and their versions.
//!
//! A document becomes a [`definition`], and the definition a [`compiled::CompiledWorkflow`]. The text inside `${{ }}`
//! is an [`expression`]. All three are pure: no clock, no IO.

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
