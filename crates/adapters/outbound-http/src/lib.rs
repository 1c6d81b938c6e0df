//! tidegate-outbound-http.
