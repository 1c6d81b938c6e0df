//! tidegate-workflows.
