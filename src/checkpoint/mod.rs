//! Checkpoints: files of tensors by name, PyTorch's and our own; the state dicts in them, matched with a network by name
//! and shape; and solutions written as safetensors under PyTorch's names.

mod file;
mod reference;
mod solution;
mod state_dict;
pub mod tensor;

pub use file::{CheckpointFile, Listing};
pub use reference::{Reference, entry_names};
pub use solution::{NamedTensors, Values};
pub use state_dict::StateDict;
