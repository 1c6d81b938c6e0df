//! tidegate-events.
