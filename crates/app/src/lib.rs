//! The thin program around the domains: settings, wiring, HTTP and the command line.
//!
//! Nothing here decides anything about tenants, workflows, events or money; it reads requests, calls one service
//! method and writes answers.

mod billing;
mod checked;
pub mod cli;
mod events;
pub mod http;
mod jobs;
pub mod measures;
mod platform;
pub mod secrets;
pub mod server;
mod services;
pub mod settings;
mod store;
mod supervisor;
pub mod system;
mod telemetry;
pub mod tenancy;
mod unreadable;
mod workers;
mod workflows;

pub use services::Services;
