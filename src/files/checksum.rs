//! A checksum by which what was made is told apart: the same from version to version and on every machine.

/// Of several parts, each with its length: FNV-1a of 64 bits. It tells apart what is different by accident, not what
/// somebody made to look alike.
pub fn of(parts: &[&[u8]]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for &byte in (part.len() as u64).to_le_bytes().iter().chain(*part) {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_fnvs() {
        // Of nothing it is the offset; of one empty part, that of its length, eight zeros.
        assert_eq!(of(&[]), 0xcbf2_9ce4_8422_2325);
        let zeros = (0..8).fold(0xcbf2_9ce4_8422_2325_u64, |sum, _| sum.wrapping_mul(0x100_0000_01b3));
        assert_eq!(of(&[&[]]), zeros);
    }
}
