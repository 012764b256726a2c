//! Files: read within bounds, written whole or not at all, and the safetensors container.

pub mod checksum;
pub mod safetensors_file;
pub mod whole_file;
