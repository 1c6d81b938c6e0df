//! The adapter against a real PostgreSQL.

mod patterns;
