//! The adapter against a real PostgreSQL.

mod billing;
mod events;
mod patterns;
