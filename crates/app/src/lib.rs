//! The thin program around the domains: settings, wiring, HTTP and the command line.
//!
//! Nothing here decides anything about tenants, workflows, events or money; it reads requests, calls one service
//! method and writes answers.

pub mod cli;
mod compute;
mod detection;
mod engine;
pub mod http;
mod jobs;
mod mail;
pub mod measures;
pub mod secrets;
pub mod server;
pub mod settings;
pub mod supervisor;
pub mod system;
pub mod telemetry;
pub mod tenancy;

mod checked;
mod outbound;
mod services;
mod store;
mod triggers;
mod unreadable;
mod workers;

pub use services::Services;
