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

    /// Linear or logarithmic, as the `ranges` of all that is drawn together ask: each surface choosing by its own range,
    /// two beside one bar of colours could have different heights for one value.
    pub fn resolved(self, ranges: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let together = ranges.into_iter().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        match together.is_some_and(|(low, high)| self.is_logarithmic(low, high)) {
            true => Self::Logarithmic,
            false => Self::Linear,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_together_has_one_scale() {
        let (train, test) = ((0.01, 4.0), (0.4, 4.0));
        // By themselves they would differ.
        assert!(Scale::Automatic.is_logarithmic(train.0, train.1) && !Scale::Automatic.is_logarithmic(test.0, test.1));
        let together = Scale::Automatic.resolved([train, test]);
        assert_eq!(together, Scale::Logarithmic);
        for (low, high) in [train, test] {
            assert!(together.height(low, high).logarithmic);
        }
        assert_eq!(Scale::Automatic.resolved([test]), Scale::Linear);
        assert_eq!(Scale::Linear.resolved([train, test]), Scale::Linear);
        assert_eq!(Scale::Logarithmic.resolved([test]), Scale::Logarithmic);
        // A loss of 0 has no logarithm, and so the others beside it have none.
        assert_eq!(Scale::Logarithmic.resolved([train, (0.0, 1.0)]), Scale::Linear);
        assert_eq!(Scale::Automatic.resolved(None), Scale::Linear);
    }
}
