//! CIFAR-100, binary version.
#![no_main]

use libfuzzer_sys::fuzz_target;
use valleyscope_fuzz::data_set;

fuzz_target!(|data: &[u8]| {
    data_set("cifar100", &[("train.bin", data), ("test.bin", data)]);
});
