//! A mean of independent draws with its standard error.

use serde::{Deserialize, Serialize};

/// The mean of some draws and how far it is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// n: how many draws it is the mean of.
    pub samples: usize,
    /// x̄ = (1/n)Σxᵢ, in the draws' unit.
    pub mean: f64,
    /// √(Σ(xᵢ − x̄)²/(n(n − 1))), in the draws' unit; nothing for a single draw.
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// Of the draws so far; nothing where there are none.
    pub fn of(draws: &[f64]) -> Option<Self> {
        let (&first, samples) = (draws.first()?, draws.len());
        let count = samples as f64;
        // About the first draw, so that equal draws have exactly no error.
        let shift = draws.iter().map(|x| x - first).sum::<f64>() / count;
        let mean = first + shift;
        let squares: f64 = draws.iter().map(|x| (x - first - shift).powi(2)).sum();
        Some(Self {
            samples,
            mean,
            standard_error: (samples > 1).then(|| (squares / (count * (count - 1.0))).sqrt()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_that_of_the_mean_and_of_one_draw_there_is_none() {
        assert_eq!(Estimate::of(&[]), None);
        let one = Estimate::of(&[2.5]).unwrap();
        assert_eq!((one.samples, one.mean, one.standard_error), (1, 2.5, None));
        // Deviations −2, 0, 1, 1: √(6/(4·3)).
        let four = Estimate::of(&[1.0, 3.0, 4.0, 4.0]).unwrap();
        assert_eq!(four.mean, 3.0);
        assert!((four.standard_error.unwrap() - 0.5_f64.sqrt()).abs() < 1e-15);
        assert_eq!(Estimate::of(&[0.1; 7]).unwrap().standard_error, Some(0.0));
    }
}
