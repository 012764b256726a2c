//! Inputs that fuzzing found, each reaching another place of a reader (tests/fuzz): they stay answered with a value or an
//! error of one line. `fuzzed.json` holds them as hexadecimal text, by the reader's name.

mod common;
#[path = "fuzz/lib.rs"]
mod readers;

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

#[test]
fn what_fuzzing_found_is_still_answered() {
    let found = common::json("fuzzed.json");
    for (name, read) in readers::READERS {
        let inputs = found[name].as_array().unwrap_or_else(|| panic!("no inputs for {name}"));
        assert!(!inputs.is_empty(), "{name}");
        for input in inputs {
            read(&bytes(input.as_str().unwrap()));
        }
    }
}
