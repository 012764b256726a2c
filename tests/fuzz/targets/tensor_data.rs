//! A data set in a safetensors file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use valleyscope_fuzz::data_file;

fuzz_target!(|data: &[u8]| {
    data_file("safetensors", "data.safetensors", data);
});
