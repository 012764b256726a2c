//! Training: SGD on the flat vector, the papers' schedule, weight averaging, and SGD from the average.

pub mod options;
pub mod schedule;
pub mod sgd;
mod trainer;

pub use options::TrainingOptions;
pub use trainer::{Event, Trainer};
