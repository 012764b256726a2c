#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| valleyscope_fuzz::surface(data));
