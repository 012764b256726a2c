//! Files of parameters: solutions as safetensors under PyTorch's names, written whole or not at all.

pub mod solution;
pub mod whole_file;
