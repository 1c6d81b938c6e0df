//! Drives what happens behind requests.

pub mod follower;
