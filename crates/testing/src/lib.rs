//! tidegate-testing.
