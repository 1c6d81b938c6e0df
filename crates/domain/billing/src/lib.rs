//! tidegate-billing.
