//! MNIST: the input is the file of images, its labels fit two images.
#![no_main]

use libfuzzer_sys::fuzz_target;
use valleyscope_fuzz::data_set;

/// Two labels.
const LABELS: &[u8] = b"\x00\x00\x08\x01\x00\x00\x00\x02\x03\x04";

fuzz_target!(|data: &[u8]| {
    data_set(
        "mnist",
        &[
            ("train-images-idx3-ubyte", data),
            ("train-labels-idx1-ubyte", LABELS),
            ("t10k-images-idx3-ubyte", data),
            ("t10k-labels-idx1-ubyte", LABELS),
        ],
    );
});
