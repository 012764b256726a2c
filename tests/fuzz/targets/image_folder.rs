//! A folder of images; the ending says nothing about what is in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use valleyscope_fuzz::data_set;

fuzz_target!(|data: &[u8]| {
    data_set("folder", &[("train/a/1.png", data), ("test/a/1.jpg", data)]);
});
