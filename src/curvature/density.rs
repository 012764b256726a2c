//! The spectral density of a symmetric matrix by stochastic Lanczos quadrature (Ubaru, Chen and Saad, *Fast Estimation
//! of tr(f(A)) via Stochastic Lanczos Quadrature*, 2017; Ghorbani, Krishnan and Xiao, *An Investigation into Neural Net
//! Optimization via Hessian Eigenvalue Density*, 2019).
//!
//! For a random unit vector v, m steps of Lanczos give nodes θₖ and weights ωₖ (the squared first entries of the
//! projected matrix's eigenvectors) with Σ ωₖ·θₖᵖ = vᵀAᵖv for every p < 2m. With v = z/√d of independent signs z its
//! mean over the vectors is tr(Aᵖ)/d, so Σ ωₖ·δ(λ − θₖ) stands for the density (1/d) Σᵢ δ(λ − λᵢ).

use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::krylov::Krylov;
use super::operator::{SymmetricOperator, check_dimension, check_memory, product};
use super::trace::signs;
use crate::data::Progress;
use crate::error::{Error, Result};

/// Vectors that are kept beside the basis: a product and what is left of it, in double precision.
const BESIDE: usize = 6;
/// Points of a density at most.
const MOST_POINTS: usize = 1 << 20;
/// The grid reaches this many widths beyond the outermost nodes, where a bell has 10⁻⁹ of its mass left.
const REACH: f64 = 6.0;
/// The smallest width as a share of the largest node: nodes are of single precision.
const NARROWEST: f64 = 1e-6;

/// One vector's quadrature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// θₖ, in rising order.
    pub nodes: Vec<f64>,
    /// ωₖ, 0 or more, of sum 1.
    pub weights: Vec<f64>,
}

/// The quadratures of several vectors. Densities of any width are drawn from it without another product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quadrature {
    dimension: usize,
    steps: usize,
    seed: u64,
    rules: Vec<Rule>,
}

/// A smoothed density on a grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Density {
    /// λ, evenly spaced.
    pub grid: Vec<f64>,
    /// (1/d) Σᵢ N(λ; λᵢ, σ²), estimated as the mean over the vectors, one for each λ; its integral is 1.
    pub density: Vec<f64>,
    /// That mean's standard error, one for each λ; nothing for a single vector.
    pub standard_error: Option<Vec<f64>>,
    /// σ, in units of λ.
    pub width: f64,
}

impl Quadrature {
    /// For a matrix `[dimension, dimension]`, with so many steps of Lanczos for each vector (d at most) and without a
    /// vector yet. The vectors are those of [`super::TraceEstimator`] under the same seed.
    ///
    /// # Errors
    /// When the dimension or the number of steps is 0, or the vectors of so many steps would not fit in memory.
    pub fn new(dimension: usize, steps: usize, seed: u64) -> Result<Self> {
        check_dimension(dimension)?;
        if steps == 0 {
            return Err(Error::option(
                "steps",
                steps,
                "give one at least; some 80 resolve a spectrum",
            ));
        }
        let steps = steps.min(dimension);
        let what = format!("a spectral density of {steps} steps");
        check_memory(steps.saturating_add(BESIDE), dimension, &what)?;
        Ok(Self {
            dimension,
            steps,
            seed,
            rules: Vec::new(),
        })
    }

    /// Takes in one vector more, which is as many products as steps, or fewer where they end in an invariant subspace:
    /// the quadrature is then exact for every power. `progress` sees the share of the steps after each.
    ///
    /// # Errors
    /// When the operator has another dimension, a product fails or is not finite, or `progress` says stop. The vectors
    /// before are kept.
    pub fn sample(&mut self, operator: &mut dyn SymmetricOperator, progress: Progress) -> Result<()> {
        let length = (self.dimension as f64).sqrt();
        let mut vector = signs(self.dimension, self.seed, self.rules.len());
        for entry in &mut vector {
            *entry = (f64::from(*entry) / length) as f32;
        }
        let mut krylov = Krylov::default();
        loop {
            let product = product(operator, &vector)?;
            let rest = krylov.expand(vector, &product);
            if !progress(krylov.size() as f64 / self.steps as f64) {
                return Err(Error::Cancelled);
            }
            if rest.is_nothing || krylov.size() == self.steps {
                break;
            }
            vector = rest.unit();
        }
        let eigen = krylov.eigen(0)?;
        self.rules.push(Rule {
            weights: eigen.vectors.row(0).iter().map(|entry| entry * entry).collect(),
            nodes: eigen.values,
        });
        Ok(())
    }

    /// One for each vector so far.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The density smoothed by bells of standard deviation σ = `width`, in units of λ, at so many points that cover it.
    ///
    /// # Errors
    /// When there is no vector yet, the width is not above 0 or less than the nodes are known to, or the points lie
    /// farther apart than the width, so that they could miss a bell.
    pub fn density(&self, width: f64, points: usize) -> Result<Density> {
        let nodes = || self.rules.iter().flat_map(|rule| rule.nodes.iter().copied());
        if self.rules.is_empty() {
            return Err(Error::Request(
                "a density needs the products of one vector at least".to_owned(),
            ));
        }
        let (lowest, highest) = (
            nodes().fold(f64::INFINITY, f64::min),
            nodes().fold(f64::NEG_INFINITY, f64::max),
        );
        let narrowest = NARROWEST * lowest.abs().max(highest.abs());
        if !width.is_finite() || width <= 0.0 || width < narrowest {
            let reason = format!("give a number above 0, and {narrowest:.1e} at least for this spectrum");
            return Err(Error::option("width", width, reason));
        }
        let (from, to) = (lowest - REACH * width, highest + REACH * width);
        let least = (to - from) / width + 1.0;
        if points > MOST_POINTS || (points as f64) < least {
            let reason = format!("give {least:.0} to {MOST_POINTS}, or a larger width");
            return Err(Error::option("points", points, reason));
        }
        let spacing = (to - from) / (points - 1) as f64;
        let grid: Vec<f64> = (0..points).map(|index| from + index as f64 * spacing).collect();
        let (mut density, mut errors) = (Vec::with_capacity(points), Vec::with_capacity(points));
        let mut heights = Vec::with_capacity(self.rules.len());
        for &position in &grid {
            heights.clear();
            heights.extend(self.rules.iter().map(|rule| rule.height(position, width)));
            let estimate = Estimate::of(&heights);
            density.extend(estimate.map(|estimate| estimate.mean));
            errors.extend(estimate.and_then(|estimate| estimate.standard_error));
        }
        Ok(Density {
            grid,
            density,
            standard_error: (self.rules.len() > 1).then_some(errors),
            width,
        })
    }
}

impl Rule {
    /// Σ ωₖ·N(λ; θₖ, σ²).
    fn height(&self, position: f64, width: f64) -> f64 {
        let bells = self.nodes.iter().zip(&self.weights).map(|(node, weight)| {
            let distance = (position - node) / width;
            weight * libm::exp(-0.5 * distance * distance)
        });
        bells.sum::<f64>() / (width * std::f64::consts::TAU.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};

    use super::*;
    use crate::curvature::TraceEstimator;
    use crate::curvature::testing::{Dense, symmetric, with_spectrum};

    fn sampled(matrix: &DMatrix<f64>, steps: usize, vectors: usize) -> Quadrature {
        let mut quadrature = Quadrature::new(matrix.nrows(), steps, 4).unwrap();
        for _ in 0..vectors {
            quadrature.sample(&mut Dense(matrix.clone()), &mut |_| true).unwrap();
        }
        quadrature
    }

    /// tr(Aᵖ)/d, the spectrum's p-th moment. Below 2m it is what the vectors say without further error.
    fn moment(quadrature: &Quadrature, power: i32) -> Estimate {
        let moment = |rule: &Rule| {
            let terms = rule.nodes.iter().zip(&rule.weights);
            terms.map(|(node, weight)| weight * node.powi(power)).sum::<f64>()
        };
        let moments: Vec<f64> = quadrature.rules().iter().map(moment).collect();
        Estimate::of(&moments).unwrap()
    }

    fn mass(density: &Density) -> f64 {
        let spacing = density.grid[1] - density.grid[0];
        spacing * density.density.iter().sum::<f64>()
    }

    #[test]
    fn the_mass_is_one_and_every_weight_counts() {
        let quadrature = sampled(&symmetric(80, 1), 30, 3);
        for rule in quadrature.rules() {
            assert_eq!(rule.nodes.len(), 30);
            assert!((rule.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(rule.weights.iter().all(|&weight| weight >= 0.0));
        }
        for (width, points) in [(0.1, 1000), (1.0, 200), (20.0, 40)] {
            let density = quadrature.density(width, points).unwrap();
            assert_eq!((density.grid.len(), density.density.len()), (points, points));
            // 2·10⁻⁹ lies beyond the grid, and points at one width or less see a bell's mass to 2·exp(−2π²) = 5·10⁻⁹.
            assert!((mass(&density) - 1.0).abs() < 1e-8, "{width}: {}", mass(&density));
        }
    }

    #[test]
    fn moments_are_those_of_the_vectors_products() {
        let matrix = symmetric(60, 2);
        let quadrature = sampled(&matrix, 12, 4);
        let mut estimator = TraceEstimator::new(60, 4).unwrap();
        let mut squares = Vec::new();
        for number in 0..4 {
            estimator.sample(&mut Dense(matrix.clone())).unwrap();
            let signs = signs(60, 4, number).into_iter().map(f64::from);
            squares.push((&matrix * DVector::from_iterator(60, signs)).norm_squared() / 60.0);
        }
        // Some roundings of single precision to every product and every vector of the basis.
        let (first, second) = (moment(&quadrature, 1), moment(&quadrature, 2));
        let (trace, square) = (estimator.estimate().unwrap(), Estimate::of(&squares).unwrap());
        let norm = matrix.norm();
        assert!((first.mean - trace.mean / 60.0).abs() < 1e-6 * norm);
        assert!((first.standard_error.unwrap() - trace.standard_error.unwrap() / 60.0).abs() < 1e-6 * norm);
        assert!((second.mean - square.mean).abs() < 1e-6 * norm * norm);
        assert!((moment(&quadrature, 0).mean - 1.0).abs() < 1e-12);
        assert_eq!(first.samples, 4);
    }

    #[test]
    fn moments_and_density_lie_within_their_errors_of_the_whole_matrix() {
        let matrix = symmetric(200, 3);
        let quadrature = sampled(&matrix, 60, 12);
        let values = matrix.symmetric_eigenvalues();
        // Six errors that are themselves known from twelve vectors only: a chance below 10⁻⁴ (Student, 11 degrees).
        for (power, exact) in [(1, values.sum()), (2, values.norm_squared())] {
            let moment = moment(&quadrature, power);
            let error = moment.standard_error.unwrap();
            assert!((moment.mean - exact / 200.0).abs() < 6.0 * error, "{power}: {moment:?}");
        }
        let density = quadrature.density(1.0, 400).unwrap();
        let errors = density.standard_error.as_ref().unwrap();
        for (index, (&position, height)) in density.grid.iter().zip(&density.density).enumerate() {
            let bells = values.iter().map(|value| (-0.5 * (position - value).powi(2)).exp());
            let exact = bells.sum::<f64>() / (200.0 * std::f64::consts::TAU.sqrt());
            // The bell is off a polynomial of degree 119 by 10⁻⁷ of itself here.
            let allowed = 8.0 * errors[index] + 1e-5;
            assert!(
                (height - exact).abs() < allowed,
                "{height} instead of {exact} at {position}"
            );
        }
    }

    #[test]
    fn a_diagonal_matrix_is_seen_exactly_by_every_vector() {
        let values: Vec<f64> = (0..12).map(|index| f64::from(index) - 3.5).collect();
        let matrix = DMatrix::from_diagonal(&DVector::from_column_slice(&values));
        let quadrature = sampled(&matrix, 40, 3);
        for rule in quadrature.rules() {
            for ((node, weight), value) in rule.nodes.iter().zip(&rule.weights).zip(&values) {
                // Roundings of single precision of a matrix of norm 7.5.
                assert!(
                    (node - value).abs() < 1e-5 && (weight - 1.0 / 12.0).abs() < 1e-5,
                    "{rule:?}"
                );
            }
        }
        assert!(moment(&quadrature, 1).standard_error.unwrap() < 1e-6);
    }

    #[test]
    fn few_different_eigenvalues_end_the_steps_early() {
        let values = [2.0, 2.0, 2.0, 2.0, 2.0, -1.0, -1.0, -1.0];
        let quadrature = sampled(&with_spectrum(&values, 5), 8, 2);
        for rule in quadrature.rules() {
            assert_eq!(rule.nodes.len(), 2);
            assert!((rule.nodes[0] + 1.0).abs() < 1e-5 && (rule.nodes[1] - 2.0).abs() < 1e-5);
        }
        // All the mass in one place.
        let zero = sampled(&DMatrix::zeros(5, 5), 5, 2);
        let density = zero.density(0.25, 13).unwrap();
        assert!((density.density[6] - 4.0 / std::f64::consts::TAU.sqrt()).abs() < 1e-12);
        assert_eq!(density.standard_error.unwrap(), [0.0; 13]);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        assert!(Quadrature::new(0, 4, 1).is_err() && Quadrature::new(4, 0, 1).is_err());
        let message = Quadrature::new(1 << 40, 100, 1).unwrap_err().to_string();
        assert!(message.contains("GiB"), "{message}");
        let mut quadrature = Quadrature::new(30, 10, 1).unwrap();
        assert!(quadrature.density(1.0, 1000).is_err());
        let mut operator = Dense(symmetric(30, 1));
        let cancelled = quadrature.sample(&mut operator, &mut |share| share < 0.35);
        assert!(matches!(cancelled, Err(Error::Cancelled)));
        assert!(quadrature.rules().is_empty());
        quadrature.sample(&mut operator, &mut |_| true).unwrap();
        assert!(quadrature.density(1.0, 1000).unwrap().standard_error.is_none());
        for width in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-12] {
            assert!(quadrature.density(width, 1000).is_err(), "{width}");
        }
        for points in [0, 1, 10, MOST_POINTS + 1] {
            assert!(quadrature.density(1.0, points).is_err(), "{points}");
        }
        let diverged = DMatrix::from_element(30, 30, f64::NAN);
        assert!(quadrature.sample(&mut Dense(diverged), &mut |_| true).is_err());
    }
}
