//! tidegate-engine.
