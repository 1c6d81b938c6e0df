//! tidegate-tenancy.
