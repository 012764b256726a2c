//! Recipes over all of the above.

pub mod demo;
pub mod hashed;
pub mod throughput;
