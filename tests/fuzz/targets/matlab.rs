//! SVHN: a MAT-file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use valleyscope_fuzz::data_set;

fuzz_target!(|data: &[u8]| {
    data_set("svhn", &[("train_32x32.mat", data), ("test_32x32.mat", data)]);
});
