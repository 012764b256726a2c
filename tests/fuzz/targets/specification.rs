//! The text that names a data set.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(parsed) = valleyscope::data::Specification::parse(text)
    {
        let again = valleyscope::data::Specification::parse(&parsed.to_string());
        assert_eq!(again.ok(), Some(parsed));
    }
});
