//! Colour maps that are even to the eye and safe for colour-blind readers.

/// Eight colours of viridis (van der Walt and Smith, matplotlib), dark to light, in sRGB.
pub const VIRIDIS: [[u8; 3]; 8] = [
    [68, 1, 84],
    [70, 50, 126],
    [54, 92, 141],
    [39, 127, 142],
    [31, 161, 135],
    [74, 193, 109],
    [160, 218, 57],
    [253, 231, 37],
];
