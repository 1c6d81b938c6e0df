//! tidegate-in-process.
