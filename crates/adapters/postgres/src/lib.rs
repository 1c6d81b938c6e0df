//! tidegate-postgres.
