//! Files of parameters: solutions as safetensors under PyTorch's names, and the run folder that training writes.

pub mod run;
pub mod solution;
pub mod whole_file;

pub use run::{EpochMetrics, Results, RunFolder, RunRecord, RunStatus};
