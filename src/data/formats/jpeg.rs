//! Whether a JPEG image is all there. The decoder fills up what is missing with grey, which would go unnoticed.

const START: u8 = 0xd8;
const END: u8 = 0xd9;
/// Begins the compressed pixels.
const SCAN: u8 = 0xda;

/// False for a JPEG image without its end marker; true for everything else, which the decoder judges.
pub(super) fn has_end(bytes: &[u8]) -> bool {
    let Some(mut rest) = bytes.strip_prefix(&[0xff, START]) else {
        return true;
    };
    // Segment by segment up to the pixels: a thumbnail in one of them has an end marker of its own.
    loop {
        match rest {
            [0xff, SCAN, pixels @ ..] => {
                // In the pixels a byte 255 is never followed by that of the end marker; anything may follow the end.
                return pixels.array_windows().any(|pair| *pair == [0xff, END]);
            }
            [0xff, 0xff, ..] => rest = rest.get(1..).unwrap_or_default(),
            [0xff, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(2 + length..).unwrap_or_default();
            }
            // No segment: damaged, or ended before the pixels.
            _ => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cut_image_has_no_end() {
        // A segment that holds an end marker, then two bytes of pixels.
        let whole = b"\xff\xd8\xff\xe1\x00\x04\xff\xd9\xff\xff\xda\x00\x02\x01\x02\xff\xd9";
        assert!(has_end(whole));
        assert!(has_end(&[whole.as_slice(), b"more"].concat()));
        for length in 11..whole.len() {
            assert!(!has_end(&whole[..length]), "{length}");
        }
        for length in 0..whole.len() {
            let _ = has_end(&whole[..length]);
        }
        assert!(has_end(b"\x89PNG"));
    }
}
