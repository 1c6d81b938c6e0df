//! Accounts: verification, forgotten and changed passwords, changed addresses, profiles, and what operators do.

mod activation;
mod addresses;
mod passwords;
mod profile;
mod races;
mod second_factor;
mod sessions;
mod signing_keys;
mod verification;

const AUTH: &str = "/api/v1/auth";
const ME: &str = "/api/v1/auth/me";
