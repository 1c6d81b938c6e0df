//! The program around the domains: settings, the composition root, HTTP and the command line.
//!
//! It has no rules about tenants, workflows, events or billing. A handler reads a request, calls one method of a
//! service and writes the response.

mod billing;
mod checked;
pub mod cli;
mod events;
pub mod files;
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
