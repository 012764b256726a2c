//! How losses become heights and colours: as they are, or by their logarithm.

use serde::{Deserialize, Serialize};

/// A loss range beyond this ratio is drawn logarithmically, unless told otherwise.
const LOGARITHMIC_FROM: f64 = 15.0;

/// The axis of losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Logarithmic where the range asks for it
    #[default]
    #[value(name = "auto")]
    Automatic,
    /// Linear
    Linear,
    /// Logarithmic
    #[value(name = "log")]
    Logarithmic,
}

impl Scale {
    /// Whether values from `low` to `high` are drawn logarithmically; those that reach 0 never are.
    pub fn is_logarithmic(self, low: f64, high: f64) -> bool {
        low > 0.0
            && match self {
                Self::Automatic => high / low > LOGARITHMIC_FROM,
                Self::Linear => false,
                Self::Logarithmic => true,
            }
    }

    /// The heights of values from `low` to `high`.
    pub fn height(self, low: f64, high: f64) -> Height {
        Height {
            logarithmic: self.is_logarithmic(low, high),
        }
    }
}

/// Values as heights: as they are, or by their natural logarithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Height {
    /// Whether it is the logarithm.
    pub logarithmic: bool,
}

/// Stands for values at or below 0 on a logarithmic axis.
const SMALLEST: f64 = 1e-12;

impl Height {
    /// Height of a value; NaN and infinity stay what they are.
    pub fn of(self, value: f64) -> f64 {
        match self.logarithmic {
            true if value.is_nan() => value,
            true => value.max(SMALLEST).ln(),
            false => value,
        }
    }

    /// The value at a height.
    pub fn value(self, height: f64) -> f64 {
        if self.logarithmic { height.exp() } else { height }
    }
}
