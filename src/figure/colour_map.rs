//! Colour maps, dark to light or through a light middle, that are even to the eye and safe for colour-blind readers.

use serde::{Deserialize, Serialize};

/// Colours of a map's table, at even places from one end to the other.
pub const STOPS: usize = 33;

/// How a share of a range becomes a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ColourMap {
    /// Viridis: dark violet over green to light yellow
    #[default]
    Viridis,
    /// Cividis: dark blue over grey to light yellow, the same to red-green-blind readers
    Cividis,
    /// Blue over white to red-brown, for differences
    Diverging,
}

impl ColourMap {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::Viridis, Self::Cividis, Self::Diverging];

    /// Its name on screen and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viridis => "viridis",
            Self::Cividis => "cividis",
            Self::Diverging => "diverging",
        }
    }

    /// Its table, [`STOPS`] colours in sRGB.
    pub fn colours(self) -> &'static [[u8; 3]; STOPS] {
        match self {
            Self::Viridis => &VIRIDIS,
            Self::Cividis => &CIVIDIS,
            Self::Diverging => &DIVERGING,
        }
    }

    /// The colour at a share of the way from the first end (0) to the last (1), linear in sRGB between the table's
    /// colours. Shares beyond the ends have the ends' colours.
    pub fn at(self, share: f64) -> [u8; 3] {
        let place = share.clamp(0.0, 1.0) * (STOPS - 1) as f64;
        let index = (place as usize).min(STOPS - 2);
        let weight = place - index as f64;
        let (low, high) = (self.colours()[index], self.colours()[index + 1]);
        std::array::from_fn(|channel| {
            let (low, high) = (f64::from(low[channel]), f64::from(high[channel]));
            (low + weight * (high - low)).round() as u8
        })
    }
}

/// Viridis by Stéfan van der Walt and Nathaniel Smith, sampled from matplotlib (CC0).
const VIRIDIS: [[u8; 3]; STOPS] = [
    [68, 1, 84],
    [71, 13, 96],
    [72, 24, 106],
    [72, 35, 116],
    [71, 45, 123],
    [69, 54, 129],
    [66, 64, 134],
    [63, 73, 137],
    [59, 82, 139],
    [55, 90, 141],
    [51, 99, 141],
    [47, 106, 142],
    [44, 114, 142],
    [41, 122, 142],
    [38, 129, 142],
    [35, 137, 142],
    [33, 144, 140],
    [31, 152, 139],
    [31, 159, 136],
    [33, 166, 133],
    [40, 174, 128],
    [49, 181, 123],
    [62, 188, 116],
    [76, 194, 108],
    [93, 201, 99],
    [110, 206, 88],
    [130, 211, 76],
    [150, 216, 63],
    [171, 220, 50],
    [192, 223, 36],
    [213, 226, 26],
    [234, 229, 26],
    [253, 231, 37],
];

/// Cividis by Jamie Nuñez, Christopher Anderton and Ryan Renslow (PLOS ONE 2018), sampled from matplotlib.
const CIVIDIS: [[u8; 3]; STOPS] = [
    [0, 34, 78],
    [0, 40, 91],
    [0, 46, 106],
    [4, 51, 113],
    [26, 56, 111],
    [39, 62, 110],
    [50, 67, 109],
    [59, 73, 108],
    [67, 78, 108],
    [75, 84, 108],
    [82, 89, 109],
    [90, 95, 110],
    [97, 101, 111],
    [104, 106, 113],
    [111, 112, 115],
    [117, 118, 118],
    [124, 123, 120],
    [132, 129, 121],
    [139, 135, 120],
    [147, 141, 120],
    [155, 147, 118],
    [163, 154, 117],
    [171, 160, 114],
    [179, 166, 112],
    [187, 173, 108],
    [195, 180, 105],
    [204, 186, 100],
    [212, 193, 95],
    [221, 201, 88],
    [230, 208, 81],
    [239, 215, 72],
    [248, 223, 60],
    [254, 232, 56],
];

/// Vik by Fabio Crameri (Scientific colour maps, MIT), sampled from cmcrameri.
const DIVERGING: [[u8; 3]; STOPS] = [
    [0, 18, 97],
    [2, 31, 105],
    [2, 43, 113],
    [2, 55, 121],
    [3, 68, 129],
    [4, 80, 137],
    [12, 94, 146],
    [27, 109, 155],
    [47, 124, 166],
    [71, 141, 177],
    [96, 157, 188],
    [121, 173, 199],
    [146, 189, 210],
    [172, 204, 220],
    [197, 219, 229],
    [220, 229, 233],
    [236, 229, 225],
    [238, 218, 207],
    [233, 203, 185],
    [226, 187, 164],
    [220, 171, 143],
    [213, 156, 123],
    [207, 142, 104],
    [201, 127, 85],
    [195, 114, 67],
    [188, 99, 49],
    [179, 83, 31],
    [165, 64, 14],
    [147, 46, 6],
    [131, 33, 6],
    [116, 21, 6],
    [102, 10, 7],
    [89, 0, 8],
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Lightness L* of CIE 1976, 0..100.
    fn lightness(colour: [u8; 3]) -> f64 {
        let linear = colour.map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.040_45 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        });
        let luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        if luminance > (6.0f64 / 29.0).powi(3) {
            116.0 * luminance.cbrt() - 16.0
        } else {
            luminance * (29.0f64 / 3.0).powi(3)
        }
    }

    #[test]
    fn sequential_maps_grow_lighter_in_even_steps() {
        for map in [ColourMap::Viridis, ColourMap::Cividis] {
            let light = map.colours().map(lightness);
            let mean = (light[STOPS - 1] - light[0]) / (STOPS - 1) as f64;
            for pair in light.windows(2) {
                let step = (pair[1] - pair[0]) / mean;
                assert!((0.8..1.35).contains(&step), "{}: a step of {step} means", map.name());
            }
        }
    }

    #[test]
    fn the_diverging_map_is_light_in_the_middle_and_dark_at_both_ends() {
        let light = ColourMap::Diverging.colours().map(lightness);
        let middle = STOPS / 2;
        assert!(light[middle] > 85.0, "{}", light[middle]);
        assert!(light[0] < 25.0 && light[STOPS - 1] < 25.0);
        // The lightest colour may lie a stop beside the middle, nowhere else does the order turn.
        assert!(light[..middle].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(light[middle..].windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn colours_are_the_tables_at_its_stops_and_lie_between_them_elsewhere() {
        for map in ColourMap::ALL {
            for (index, colour) in map.colours().iter().enumerate() {
                assert_eq!(map.at(index as f64 / (STOPS - 1) as f64), *colour);
            }
            assert_eq!(map.at(-3.0), map.colours()[0]);
            assert_eq!(map.at(7.0), map.colours()[STOPS - 1]);
        }
        // Halfway between [68, 1, 84] and [71, 13, 96].
        assert_eq!(ColourMap::Viridis.at(0.5 / (STOPS - 1) as f64), [70, 7, 90]);
    }
}
