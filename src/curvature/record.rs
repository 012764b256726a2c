//! What was measured of the curvature at one point, with all that is needed to measure it again: what is exported.

use serde::Serialize;

use super::density::{Density, Quadrature};
use super::estimate::Estimate;
use super::lanczos::{Eigenpair, Spectrum};
use super::loss::Matrix;
use super::non_uniformity::NonUniformity;
use super::stability::Sgd;
use crate::data::Part;
use crate::error::Result;
use crate::landscape::Provenance;

/// Width of the bells that a spectral density is smoothed by, as a share of the spectrum's extent or magnitude.
const WIDTH: f64 = 0.01;
/// The width where a spectrum is all zeros, in units of λ.
const WIDTH_OF_NOTHING: f64 = 1e-3;
/// Points of a spectral density: some nine a width.
const POINTS: usize = 1024;

/// The curvature at one point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurvatureRecord {
    /// How it was measured.
    pub provenance: Provenance,
    /// The matrix of second derivatives.
    pub matrix: Matrix,
    /// The split whose loss it is of.
    pub part: Part,
    /// n: images of that split, from its start.
    pub samples: usize,
    /// d.
    pub parameters: usize,
    /// Seed of start vectors, probes and subsets.
    pub seed: u64,
    /// The mean loss there.
    pub loss: f64,
    /// The ends of the spectrum.
    pub spectrum: Ends,
    /// The trace.
    pub trace: Option<Estimate>,
    /// The whole spectrum, smoothed.
    pub density: Option<SpectralDensity>,
    /// Covariances of gradients: of single images, and of batches.
    pub covariances: Vec<GradientCovariance>,
    /// s.
    pub non_uniformity: Option<MeasuredNonUniformity>,
    /// What SGD's bounds say.
    pub stability: Option<SgdBounds>,
}

/// The largest and smallest eigenvalues, without their vectors.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ends {
    /// The largest, the largest first.
    pub largest: Vec<Eigenvalue>,
    /// The smallest by sign, the smallest first.
    pub smallest: Vec<Eigenvalue>,
    /// Products that the search took, without one for every true residual.
    pub products: usize,
    /// Share of the largest |λ| that residuals were to come below.
    pub tolerance: f64,
    /// Whether all did.
    pub converged: bool,
    /// Whether no copy of a multiple eigenvalue is missing: it was looked for, or there can be none.
    pub complete: bool,
}

/// An eigenvalue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Eigenvalue {
    /// λ.
    pub value: f64,
    /// ‖Av − λv‖ for its vector v, by a product: an eigenvalue lies within it.
    pub residual: f64,
    /// The same as estimated without a product.
    pub estimate: f64,
}

impl From<&Eigenpair> for Eigenvalue {
    fn from(pair: &Eigenpair) -> Self {
        Self {
            value: pair.value,
            residual: pair.residual,
            estimate: pair.estimate,
        }
    }
}

impl Ends {
    /// Of a spectrum that was searched to this tolerance.
    pub fn new(spectrum: &Spectrum, tolerance: f64) -> Self {
        let values = |pairs: &[Eigenpair]| pairs.iter().map(Eigenvalue::from).collect();
        Self {
            largest: values(&spectrum.largest),
            smallest: values(&spectrum.smallest),
            products: spectrum.steps,
            tolerance,
            converged: spectrum.converged,
            complete: spectrum.complete,
        }
    }
}

/// A spectral density with what it was estimated from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpectralDensity {
    /// Random vectors.
    pub vectors: usize,
    /// Lanczos steps for each, which is the number of products.
    pub steps: usize,
    /// The density, smoothed.
    pub smoothed: Density,
}

impl SpectralDensity {
    /// Of all vectors so far, smoothed by a hundredth of the spectrum's extent or of its largest magnitude.
    ///
    /// # Errors
    /// When there is no vector yet.
    pub fn new(quadrature: &Quadrature) -> Result<Self> {
        let (mut lowest, mut highest, mut steps) = (f64::INFINITY, f64::NEG_INFINITY, 0);
        for rule in quadrature.rules() {
            steps = rule.nodes.len().max(steps);
            for &node in &rule.nodes {
                (lowest, highest) = (lowest.min(node), highest.max(node));
            }
        }
        // All eigenvalues may be the same, or far from 0.
        let span = (highest - lowest).max(lowest.abs()).max(highest.abs());
        let width = match span > 0.0 && span.is_finite() {
            true => WIDTH * span,
            false => WIDTH_OF_NOTHING,
        };
        Ok(Self {
            vectors: quadrature.rules().len(),
            steps,
            smoothed: quadrature.density(width, POINTS)?,
        })
    }
}

/// The covariance of gradients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GradientCovariance {
    /// Images of a gradient.
    pub batch_size: usize,
    /// Gradients that it is the covariance of: disjoint batches.
    pub gradients: usize,
    /// ‖ḡ‖, the length of their mean.
    pub mean_length: f64,
    /// tr Σ.
    pub trace: f64,
    /// The largest eigenvalues of Σ in falling order.
    pub eigenvalues: Vec<f64>,
}

/// The non-uniformity with what it was estimated from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeasuredNonUniformity {
    /// s.
    pub measured: NonUniformity,
    /// Images of a set; all of them where there is one set.
    pub images: usize,
}

/// What the conditions (9) of *Dynamical stability* say of SGD at a point: a ≤ 2/η, without which gradient descent and
/// SGD leave, and s ≤ (1/η)·√(B(n − 1)/(n − B)), without which (8) fails, which is enough for SGD to stay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SgdBounds {
    /// η.
    pub learning_rate: f64,
    /// B.
    pub batch_size: usize,
    /// n: images that SGD draws from.
    pub samples: usize,
    /// a, or where its search has not converged what it is at least.
    pub sharpness: f64,
    /// 2/η.
    pub sharpness_bound: f64,
    /// Whether a ≤ 2/η; not known where a search that has not converged has found no more than that.
    pub sharpness_within: Option<bool>,
    /// s, where it was measured.
    pub non_uniformity: Option<f64>,
    /// Its standard error; 0 of all images at once.
    pub non_uniformity_error: Option<f64>,
    /// (1/η)·√(B(n − 1)/(n − B)); none for B = n, where batches do not differ.
    pub non_uniformity_bound: Option<f64>,
    /// Whether s is within it, where it was measured; undecided where it is nearer to it than its standard error.
    pub non_uniformity_within: Option<bool>,
}

impl SgdBounds {
    /// Of SGD with learning rate η and batches of B out of n images, at a point of sharpness a and non-uniformity s.
    /// With a comes whether its search has converged, since what is found before is a lower bound; with s its standard
    /// error, 0 where it has none.
    ///
    /// # Errors
    /// As [`Sgd::new`].
    pub fn new(
        learning_rate: f64,
        batch_size: usize,
        samples: usize,
        (sharpness, converged): (f64, bool),
        non_uniformity: Option<(f64, f64)>,
    ) -> Result<Self> {
        let sgd = Sgd::new(learning_rate, batch_size, samples)?;
        let (sharpness_bound, bound) = (sgd.sharpness_bound(), sgd.non_uniformity_bound());
        let is_decided = converged || sharpness > sharpness_bound;
        let within = |(value, error): (f64, f64)| ((value - bound).abs() >= error).then_some(value <= bound);
        Ok(Self {
            learning_rate,
            batch_size,
            samples,
            sharpness,
            sharpness_bound,
            sharpness_within: is_decided.then_some(sharpness <= sharpness_bound),
            non_uniformity: non_uniformity.map(|(value, _)| value),
            non_uniformity_error: non_uniformity.map(|(_, error)| error),
            non_uniformity_bound: Some(bound).filter(|bound| bound.is_finite()),
            non_uniformity_within: non_uniformity.and_then(within),
        })
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;

    use super::*;
    use crate::curvature::testing::{Dense, symmetric};

    #[test]
    fn bounds_hold_on_their_edge_and_fail_beyond() {
        let bounds = |sharpness, spread| SgdBounds::new(0.1, 4, 1000, (sharpness, true), spread).unwrap();
        let at = bounds(20.0, Some((20.0, 0.0)));
        assert_eq!((at.sharpness_bound, at.sharpness_within), (20.0, Some(true)));
        // √(4·999/996)/0.1 is a little above 20.
        assert_eq!(at.non_uniformity_within, Some(true));
        let bound = at.non_uniformity_bound.unwrap();
        assert!((20.0..20.1).contains(&bound), "{bound}");
        let beyond = bounds(20.1, Some((20.1, 0.01)));
        assert_eq!(
            (beyond.sharpness_within, beyond.non_uniformity_within),
            (Some(false), Some(false))
        );
        let unknown = bounds(1.0, None);
        assert_eq!((unknown.non_uniformity, unknown.non_uniformity_within), (None, None));
        // Of gradient descent nothing is asked but the sharpness.
        let descent = SgdBounds::new(0.1, 1000, 1000, (1.0, true), Some((1e6, 1e5))).unwrap();
        assert_eq!(
            (descent.non_uniformity_bound, descent.non_uniformity_within),
            (None, Some(true))
        );
        assert!(SgdBounds::new(0.0, 4, 1000, (1.0, true), None).is_err());
    }

    #[test]
    fn what_is_not_known_well_enough_is_not_decided() {
        // A search under way bounds the sharpness from below: it can show that it is too large, and nothing else.
        let under_way = |sharpness| SgdBounds::new(0.1, 4, 1000, (sharpness, false), None).unwrap();
        assert_eq!(under_way(19.9).sharpness_within, None);
        assert_eq!(under_way(20.1).sharpness_within, Some(false));
        // The bound on s is a little above 20.
        let estimated = |spread| SgdBounds::new(0.1, 4, 1000, (1.0, true), Some(spread)).unwrap();
        let within = [(18.0, 1.0), (19.5, 1.0), (20.5, 1.0), (22.0, 1.0)].map(|spread| {
            let bounds = estimated(spread);
            assert_eq!(
                (bounds.non_uniformity, bounds.non_uniformity_error),
                (Some(spread.0), Some(spread.1))
            );
            bounds.non_uniformity_within
        });
        assert_eq!(within, [Some(true), None, None, Some(false)]);
    }

    #[test]
    fn a_density_has_a_width_whatever_the_spectrum() {
        let sampled = |matrix: DMatrix<f64>| {
            let mut quadrature = Quadrature::new(matrix.nrows(), 20, 1).unwrap();
            quadrature.sample(&mut Dense(matrix), &mut |_| true).unwrap();
            SpectralDensity::new(&quadrature).unwrap()
        };
        for matrix in [
            symmetric(30, 1),
            DMatrix::<f64>::identity(9, 9) * 3.0,
            DMatrix::zeros(9, 9),
        ] {
            let density = sampled(matrix);
            let (grid, heights) = (&density.smoothed.grid, &density.smoothed.density);
            let mass = (grid[1] - grid[0]) * heights.iter().sum::<f64>();
            // 2·10⁻⁹ lies beyond the grid.
            assert!((mass - 1.0).abs() < 1e-8, "{mass}");
            assert_eq!(density.vectors, 1);
        }
        assert!(SpectralDensity::new(&Quadrature::new(3, 2, 1).unwrap()).is_err());
    }
}
