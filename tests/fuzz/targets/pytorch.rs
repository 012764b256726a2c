//! A checkpoint as `torch.save` writes it: zip, the older stream of pickles, tar.
#![no_main]

use libfuzzer_sys::fuzz_target;
use valleyscope_fuzz::checkpoint;

fuzz_target!(|data: &[u8]| {
    checkpoint("checkpoint.pt", data);
});
