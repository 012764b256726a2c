//! Recipes over all of the above.

pub mod demo;
