//! Recipes over all of the above.

pub mod demo;
pub mod growth;
pub mod hashed;
pub mod throughput;
