//! Training: SGD on the flat vector, the papers' schedule, weight averaging, SGD from the average, and the run folder
//! that holds it all. Beside it, descents on any function of a flat vector, step by step: gradient descent, L-BFGS and
//! plain SGD.

pub mod full_batch;
pub mod lbfgs;
pub mod options;
pub mod plain_sgd;
pub mod run;
pub mod schedule;
pub mod sgd;
mod trainer;

pub use full_batch::{End, FullBatch, GradientDescent, Look, Until};
pub use lbfgs::Lbfgs;
pub use options::TrainingOptions;
pub use plain_sgd::{Batches, PlainSgd};
pub use run::{EpochMetrics, Results, RunFolder, RunRecord, RunStatus};
pub use trainer::{Event, Trainer};
