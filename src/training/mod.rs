//! Training: SGD on the flat vector, the papers' schedule, weight averaging, SGD from the average, and the run folder
//! that holds it all.

pub mod options;
pub mod run;
pub mod schedule;
pub mod sgd;
mod trainer;

pub use options::TrainingOptions;
pub use run::{EpochMetrics, Results, RunFolder, RunRecord, RunStatus};
pub use trainer::{Event, Trainer};
