//! tidegate-embedded-postgres.
