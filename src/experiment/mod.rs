//! Recipes over all of the above.

pub mod averages;
pub mod cost;
pub mod demo;
pub mod descent;
pub mod growth;
pub mod hashed;
pub mod kept;
pub mod kinds;
pub mod laboratory;
pub mod logistic;
pub mod outcome;
pub mod recipe;
pub mod throughput;
