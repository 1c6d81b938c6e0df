//! tidegate-use-cases.
