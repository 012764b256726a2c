//! Valleyscope looks into the valleys of a neural network's loss.
//!
//! One idea runs through it: a network's loss is a function of one flat vector of parameters, `L(w)`. Slices are
//! `L(w + l·u)`, interpolations `L(w + t·(w' − w))`, averages are means of `w`. The modules build on one another in
//! the order in which they are listed here; none uses a later one.

pub mod error;
pub mod random;

pub mod network;

pub mod data;

pub mod objective;

pub mod checkpoint;

pub mod training;

pub mod landscape;

pub mod experiment;

pub mod engine;

pub mod figure;

pub mod render;

pub mod app;

pub mod cli;

pub use error::{Error, Result};
