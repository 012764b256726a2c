//! Valleyscope looks into the valleys of a neural network's loss.
//!
//! One idea runs through it: a network's loss is a function of one flat vector of parameters, `L(w)`. Slices are
//! `L(w + l·u)`, interpolations `L(w + t·(w' − w))`, averages are means of `w`. The modules build on one another in
//! the order in which they are listed here; none uses a later one.
//!
//! ```
//! use std::sync::Arc;
//! use valleyscope::data::Dataset;
//! use valleyscope::landscape::direction::{self, DirectionKind};
//! use valleyscope::network::{initialisation::initial_parameters, zoo};
//! use valleyscope::objective::{BatchNormPolicy, Compute, Objective, move_along};
//!
//! let data = Arc::new(Dataset::open("builtin:train=40:test=20")?);
//! let graph = Arc::new(zoo::build("resnet8:width=4", data.shape, data.classes.len())?);
//! let objective = Objective::new(graph.clone(), data, Compute::cpu(), 20)?;
//! let w = initial_parameters(&graph, 1);
//! let u = direction::random(&graph, DirectionKind::Uniform, 1)?;
//! let statistics = graph.initial_statistics();
//! let at = |l| objective.evaluate(&move_along(&w, &u, l), &statistics, BatchNormPolicy::Batch);
//! assert_ne!(at(0.0)?[0].train.loss, at(1.0)?[0].train.loss);
//! # Ok::<(), valleyscope::Error>(())
//! ```

pub mod error;
pub mod files;
pub mod random;

pub mod network;

pub mod data;

pub mod objective;

pub mod checkpoint;

pub mod training;

pub mod landscape;

pub mod curvature;
pub mod dynamics;

pub mod experiment;

pub mod engine;

pub mod figure;

pub mod render;

pub mod app;

pub mod cli;

pub use error::{Error, Result};
