//! STL-10: images and labels cut from one input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use valleyscope_fuzz::data_set;

fuzz_target!(|data: &[u8]| {
    let (labels, images) = data.split_at(data.len().min(2));
    let files = [
        ("train_X.bin", images),
        ("train_y.bin", labels),
        ("test_X.bin", images),
        ("test_y.bin", labels),
    ];
    data_set("stl10", &files)
});
