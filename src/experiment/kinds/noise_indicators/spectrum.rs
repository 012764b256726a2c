//! The first eigenvalues of the Hessian at a minimum: whether few of them are large.

use serde::{Deserialize, Serialize};

use super::{NoiseIndicators, PRODUCTS, TOLERANCE};
use crate::curvature::{Effort, HessianOperator, LanczosOptions, extreme_eigenpairs};
use crate::dynamics::network::derivatives;
use crate::error::Result;
use crate::experiment::kinds::curves::columns;
use crate::experiment::kinds::noise_on_networks::{error_text, over_seeds};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Table, significant};
use crate::objective::{Objective, Solution};

/// The first eigenvalues at one seed's minimum, the largest first, and the largest of their residuals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// λ₁, λ₂, …
    pub values: Vec<f64>,
    /// The largest ‖Hu − λu‖.
    pub residual: f64,
}

impl Spectrum {
    /// λ₁·D^(−½): what all but a few eigenvalues are below, for some d > ½ in the place of ½ (Eq. 15).
    fn limit(&self, dimensions: usize) -> f64 {
        self.values.first().copied().unwrap_or(f64::NAN) / (dimensions as f64).sqrt()
    }

    /// How many are above it.
    pub fn above(&self, dimensions: usize) -> usize {
        let limit = self.limit(dimensions);
        self.values.iter().filter(|&&value| value > limit).count()
    }

    /// Whether all others are below it: the last that was found is.
    pub fn is_ill_conditioned(&self, dimensions: usize) -> bool {
        self.values.last().is_some_and(|&value| value <= self.limit(dimensions))
    }
}

impl NoiseIndicators {
    /// Finds the first eigenvalues at a seed's minimum, or finds them found before.
    pub(super) fn spectrum(
        &self,
        objective: &Objective,
        minimum: &Solution,
        seed: u64,
        laboratory: &mut Laboratory,
    ) -> Result<Spectrum> {
        let (per_value, more) = PRODUCTS;
        let effort = Effort {
            steps: per_value * self.eigenvalues + more,
            tolerance: TOLERANCE,
            seed: 1,
        };
        let (images, largest) = (self.walk.hessian_images, self.eigenvalues);
        let made = format!("the first {largest} eigenvalues, {effort:?}, {images} images");
        let what = format!("first {largest} eigenvalues (seed {seed})");
        let numbers: [&[u8]; 1] = [bytemuck::cast_slice(&minimum.parameters)];
        laboratory.remember(objective, &made, &numbers, |laboratory| {
            let mut done = 0.0;
            let mut told = |share: f64| {
                let of_all = (done + share) / (effort.steps + largest) as f64;
                done += share.floor();
                laboratory.report(&what, of_all.min(1.0)).is_ok()
            };
            let derivatives = derivatives(objective, minimum, images)?;
            let mut hessian = HessianOperator::new(&derivatives, &mut told);
            let options = LanczosOptions {
                largest,
                smallest: 0,
                copies: false,
                effort,
            };
            let found = extreme_eigenpairs(&mut hessian, options, &mut |_| true)?;
            Ok(Spectrum {
                values: found.largest.iter().map(|pair| pair.value).collect(),
                residual: found.largest.iter().map(|pair| pair.residual).fold(0.0, f64::max),
            })
        })
    }
}

/// A row a minimum.
pub fn at_minima(spectra: &[Spectrum], seeds: &[u64], dimensions: usize) -> Table {
    let row = |(spectrum, seed): (&Spectrum, &u64)| {
        let first = spectrum.values.first().copied().unwrap_or(f64::NAN);
        let last = spectrum.values.last().copied().unwrap_or(f64::NAN);
        vec![
            seed.to_string(),
            significant(first, 4),
            significant(last, 3),
            significant(last / first, 2),
            significant(spectrum.residual, 2),
            significant(spectrum.limit(dimensions), 3),
            spectrum.above(dimensions).to_string(),
        ]
    };
    let shares: Vec<f64> = spectra
        .iter()
        .filter_map(|spectrum| Some(spectrum.values.last()? / spectrum.values.first()?))
        .collect();
    Table {
        caption: format!(
            "Eigenvalues of the Hessian at the minima; the last found is {} of the first",
            error_text(over_seeds(&shares), 4)
        ),
        header: columns("seed | λ₁ | last found | its share | largest residual | λ₁/√D | found above it"),
        rows: spectra.iter().zip(seeds).map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::spectrum;
    use super::*;

    #[test]
    fn a_minimum_is_ill_conditioned_where_the_last_eigenvalue_is_below_the_limit() {
        // λ₁/√D = 4/√2 = 2.83.
        assert!(spectrum(2.0).is_ill_conditioned(2) && !spectrum(3.0).is_ill_conditioned(2));
        assert_eq!((spectrum(2.0).above(2), spectrum(3.0).above(2)), (2, 3));
        let nothing = Spectrum {
            values: Vec::new(),
            residual: 0.0,
        };
        assert!(!nothing.is_ill_conditioned(2) && nothing.above(2) == 0);
    }

    #[test]
    fn the_table_has_a_row_for_every_minimum() {
        let table = at_minima(&[spectrum(2.0)], &[1], 2);
        assert_eq!(table.rows, [columns("1 | 4.000 | 2.00 | 0.50 | 0.0020 | 2.83 | 2")]);
        assert!(table.caption.ends_with("is 0.5000 of the first"));
    }
}
