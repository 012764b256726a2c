//! A checkpoint in a safetensors file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use valleyscope_fuzz::checkpoint;

fuzz_target!(|data: &[u8]| {
    checkpoint("checkpoint.safetensors", data);
});
