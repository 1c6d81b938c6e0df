//! The API over HTTP, against a server with a database of its own. There is one file per resource.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod after_commit;
mod api_keys;
mod authorization;
mod bad_input;
mod cors;
mod dashboards;
mod deletion;
mod events;
mod files;
mod idempotency;
mod import;
mod jobs;
mod limits;
mod login;
mod mail;
mod manner;
mod members;
mod monitoring;
mod outage;
mod patterns;
mod quotas;
mod refresh;
mod relay;
mod room;
mod runs;
mod secrets;
mod support;
mod tenancy;
mod tokens;
mod triggers;
mod usage;
mod validate;
mod workflows;
mod workspace_deletion;
mod workspaces;
