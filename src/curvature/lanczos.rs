//! The largest and smallest eigenvalues of a symmetric matrix with their vectors, by the Lanczos algorithm with full
//! reorthogonalisation (Lanczos, 1950; Saad, *Numerical Methods for Large Eigenvalue Problems*, 6.6).
//!
//! After every product there is an estimate, and an error bound with it, so that a window can show it while it is
//! refined. The bound says that an eigenvalue lies that near; that it is the k-th one is as likely as a random start
//! that is not blind to any eigenvector, which is all but sure.
//!
//! One start sees one vector of every eigenspace. Copies of a multiple eigenvalue come from a new start: a random
//! vector orthogonal to the basis, made where the basis has become invariant, and on request where the wanted pairs
//! have converged.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::krylov::{Krylov, Rest};
use super::operator::{SymmetricOperator, check_dimension, check_memory, product};
use crate::error::{Error, Result};
use crate::random::{Purpose, Random};

/// The smallest relative tolerance: vectors of single precision reach no smaller one.
pub const LEAST_TOLERANCE: f64 = 1e-6;

/// Up to this size the projected matrix is looked into at every step, and beyond it each time that it has grown by its
/// part of so many.
const OFTEN: usize = 100;
const SELDOM: usize = 20;
/// Vectors that are kept beside the basis: a product and what is left of it, in double precision.
const BESIDE: usize = 6;
/// Steps after a new start before it may be believed that it has found nothing. Its part along a missing eigenvector is
/// near 1/√d, and shows in what is left of a product only once some products have raised it.
const LEAST_STEPS: usize = 8;

/// How far the algorithm goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Products at most, not counting one for every eigenvector at the end. No more than d are ever made.
    pub steps: usize,
    /// A pair has converged when its residual ‖Av − λv‖ is estimated below this share of the largest |λ| found; from
    /// [`LEAST_TOLERANCE`] to 1.
    pub tolerance: f64,
    /// Seed of the start vectors.
    pub seed: u64,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanczosOptions {
    /// How many of the largest eigenvalues; of a matrix of fewer rows, all.
    pub largest: usize,
    /// How many of the smallest eigenvalues, by sign and not by magnitude; of a matrix of fewer rows, all.
    pub smallest: usize,
    /// Whether to go on after convergence until a new start has found no copy of a multiple eigenvalue among the
    /// wanted: some as many products again. Where one eigenvalue of an end is wanted, there is nothing to look for.
    pub copies: bool,
    /// How far.
    pub effort: Effort,
}

/// An eigenvalue as it is known so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RitzValue {
    /// θ, an eigenvalue of the projected matrix.
    pub value: f64,
    /// An estimate of ‖Ay − θy‖ for its vector y that takes no product, β·|s|: an eigenvalue of A lies within it, but
    /// for the rounding of single precision.
    pub residual: f64,
}

/// The state of the search, after every step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ritz {
    /// Steps made, which is the number of products.
    pub steps: usize,
    /// The wanted largest eigenvalues, the largest first; fewer before there have been as many steps.
    pub largest: Vec<RitzValue>,
    /// The wanted smallest eigenvalues, the smallest first.
    pub smallest: Vec<RitzValue>,
    /// All eigenvalues of the projected matrix in rising order, one a step. They interlace those of the step before.
    values: Vec<f64>,
    /// Whether every wanted pair's residual is estimated within the tolerance.
    pub converged: bool,
    /// Whether no copy of a wanted eigenvalue is missing either: it was looked for, or there can be none.
    pub complete: bool,
}

/// An eigenvalue with its vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigenpair {
    /// λ.
    pub value: f64,
    /// v `[d]`, of unit length, of either sign.
    pub vector: Vec<f32>,
    /// The residual as estimated without a product, see [`RitzValue::residual`].
    pub estimate: f64,
    /// ‖Av − λv‖, by one more product: an eigenvalue of A lies within it.
    pub residual: f64,
}

/// What has been found.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// The largest eigenvalues, the largest first.
    pub largest: Vec<Eigenpair>,
    /// The smallest eigenvalues, the smallest first.
    pub smallest: Vec<Eigenpair>,
    /// Products that the search took, without those for the residuals.
    pub steps: usize,
    /// See [`Ritz::converged`].
    pub converged: bool,
    /// See [`Ritz::complete`].
    pub complete: bool,
}

/// The search as a machine that does one product a step.
#[derive(Clone, Debug)]
pub struct Lanczos {
    dimension: usize,
    options: LanczosOptions,
    random: Random,
    krylov: Krylov,
    /// The next vector of the basis; empty once there is none.
    next: Vec<f32>,
    /// Length of what the basis leaves of the newest vector's product.
    rest: f64,
    /// Chains that were left for a new start.
    left: Vec<Chain>,
    /// The first vector of the basis since the last new start.
    start: usize,
    /// The wanted values at that start, had they converged.
    before: Option<Vec<f64>>,
    /// Eigenvectors of the projected matrix, in the order of its values.
    coefficients: DMatrix<f64>,
    ritz: Ritz,
}

/// The end of a chain that a new start left.
#[derive(Clone, Copy, Debug)]
struct Chain {
    /// Its last vector.
    last: usize,
    /// Length of what the basis leaves of that vector's product.
    rest: f64,
}

impl Lanczos {
    /// A search in a matrix `[dimension, dimension]`.
    ///
    /// # Errors
    /// When no eigenvalue is asked for, the dimension is 0, there are fewer steps than eigenvalues, the tolerance is
    /// outside its range, or the vectors would not fit in memory.
    pub fn new(dimension: usize, mut options: LanczosOptions) -> Result<Self> {
        check_dimension(dimension)?;
        if options.largest == 0 && options.smallest == 0 {
            return Err(Error::option("eigenvalues", 0, "ask for one at least"));
        }
        options.largest = options.largest.min(dimension);
        options.smallest = options.smallest.min(dimension);
        let pairs = options.largest.saturating_add(options.smallest);
        let (least, steps) = (pairs.min(dimension), options.effort.steps.min(dimension));
        if steps < least {
            let reason = format!("give {least} at least, one for each eigenvalue");
            return Err(Error::option("steps", steps, reason));
        }
        if !(LEAST_TOLERANCE..1.0).contains(&options.effort.tolerance) {
            let reason = format!("give a number from {LEAST_TOLERANCE}, which single precision can reach, to below 1");
            return Err(Error::option("tolerance", options.effort.tolerance, reason));
        }
        options.effort.steps = steps;
        let vectors = steps.saturating_add(pairs).saturating_add(BESIDE);
        check_memory(vectors, dimension, &format!("Lanczos with {steps} steps"))?;
        let mut random = Random::new(options.effort.seed, Purpose::Spectrum, 0);
        let krylov = Krylov::default();
        Ok(Self {
            dimension,
            options,
            next: krylov.fresh(dimension, &mut random).unwrap_or_default(),
            random,
            krylov,
            rest: 0.0,
            left: Vec::new(),
            start: 0,
            before: None,
            coefficients: DMatrix::zeros(0, 0),
            ritz: Ritz::default(),
        })
    }

    /// What is known so far.
    pub fn ritz(&self) -> &Ritz {
        &self.ritz
    }

    /// Makes one product. Says whether another would tell more: not once the search is over, by convergence or by its
    /// limit of steps.
    ///
    /// # Errors
    /// When the operator has another dimension, its product fails or is not finite. A product that failed may be made
    /// again by the next call.
    pub fn step(&mut self, operator: &mut dyn SymmetricOperator) -> Result<bool> {
        if self.next.is_empty() {
            return Ok(false);
        }
        let product = product(operator, &self.next)?;
        let rest = self.krylov.expand(std::mem::take(&mut self.next), &product);
        for chain in &mut self.left {
            // What a chain's end leaves shrinks by its part along the newest vector.
            let square = chain.rest.powi(2) - self.krylov.coupling(chain.last).powi(2);
            chain.rest = square.max(0.0).sqrt();
        }
        let is_whole = self.krylov.size() == self.dimension;
        if is_whole {
            self.left.clear();
        }
        self.rest = if is_whole { 0.0 } else { rest.length };
        let steps = self.krylov.size();
        let is_last = is_whole || rest.is_nothing || steps == self.options.effort.steps;
        // All eigenvalues of the projected matrix take its size cubed: a large one is not looked into at every step.
        if !is_last && steps > OFTEN && !steps.is_multiple_of(steps / SELDOM) {
            self.next = rest.unit();
            return Ok(true);
        }
        self.update(is_whole)?;
        let is_settled = self.is_settled(&rest)?;
        let has_all_copies = self.is_simple() || is_settled && self.is_unchanged();
        self.ritz.complete = is_whole || self.ritz.converged && has_all_copies;
        let is_enough = self.ritz.converged && !self.options.copies && self.start == 0 && !rest.is_nothing;
        let is_over = self.ritz.complete || is_enough || self.krylov.size() == self.options.effort.steps;
        if !is_over {
            self.next = if rest.is_nothing || is_settled {
                self.new_start()
            } else {
                rest.unit()
            };
        }
        Ok(!self.next.is_empty())
    }

    /// The wanted eigenvectors as they are now, which takes one product each for the true residuals.
    ///
    /// # Errors
    /// As [`Lanczos::step`].
    pub fn finish(&self, operator: &mut dyn SymmetricOperator) -> Result<Spectrum> {
        let steps = self.ritz.steps;
        let mut pair = |(index, known): (usize, &RitzValue)| -> Result<Eigenpair> {
            let coefficients: Vec<f64> = self.coefficients.column(index).iter().copied().collect();
            let vector = self.krylov.combination(&coefficients);
            let product = product(operator, &vector)?;
            let error = |(&image, &v): (&f32, &f32)| f64::from(image) - known.value * f64::from(v);
            let errors = product.iter().zip(&vector).map(error);
            let squares: f64 = errors.map(|error| error * error).sum();
            Ok(Eigenpair {
                value: known.value,
                vector,
                estimate: known.residual,
                residual: squares.sqrt(),
            })
        };
        let largest = (0..steps).rev().zip(&self.ritz.largest).map(&mut pair);
        let largest = largest.collect::<Result<Vec<Eigenpair>>>()?;
        let smallest = (0..steps).zip(&self.ritz.smallest).map(&mut pair);
        let smallest = smallest.collect::<Result<Vec<Eigenpair>>>()?;
        Ok(Spectrum {
            largest,
            smallest,
            steps,
            converged: self.ritz.converged,
            complete: self.ritz.complete,
        })
    }

    /// The values and residuals of the projected matrix as it is now.
    fn update(&mut self, is_whole: bool) -> Result<()> {
        let eigen = self.krylov.eigen(0)?;
        self.coefficients = eigen.vectors;
        let (steps, options) = (self.krylov.size(), self.options);
        let known = |index: usize| RitzValue {
            value: eigen.values[index],
            residual: self.residual(index),
        };
        let largest: Vec<RitzValue> = (0..steps).rev().take(options.largest).map(known).collect();
        let smallest: Vec<RitzValue> = (0..steps).take(options.smallest).map(known).collect();
        let wanted = (options.largest + options.smallest).min(self.dimension);
        let allowed = options.effort.tolerance * norm(&eigen.values);
        let is_within = |pair: &RitzValue| pair.residual <= allowed;
        self.ritz = Ritz {
            steps,
            converged: is_whole || steps >= wanted && largest.iter().chain(&smallest).all(is_within),
            largest,
            smallest,
            values: eigen.values,
            complete: false,
        };
        Ok(())
    }

    /// A·y − θ·y lies in what the ends of the chains leave.
    fn residual(&self, index: usize) -> f64 {
        let vector = self.coefficients.column(index);
        let left = self.left.iter().map(|chain| chain.rest * vector[chain.last].abs());
        left.sum::<f64>() + self.rest * vector[vector.len() - 1].abs()
    }

    /// Whether one eigenvalue of each end is wanted at most, so that copies make no difference.
    fn is_simple(&self) -> bool {
        self.options.largest <= 1 && self.options.smallest <= 1
    }

    fn allowed(&self) -> f64 {
        self.options.effort.tolerance * norm(&self.ritz.values)
    }

    /// Whether the wanted pairs have converged and so have, after a new start, the ends of what it sees: the matrix on
    /// the complement of the basis before it. A copy that is missing is the end of that one.
    fn is_settled(&self, rest: &Rest) -> Result<bool> {
        if !self.ritz.converged || self.start == 0 || rest.is_nothing {
            return Ok(self.ritz.converged);
        }
        if self.krylov.size() - self.start < LEAST_STEPS {
            return Ok(false);
        }
        let vectors = self.krylov.eigen(self.start)?.vectors;
        let (last, allowed) = (vectors.nrows() - 1, self.allowed());
        let is_end_settled = |index: usize| self.rest * vectors[(last, index)].abs() <= allowed;
        Ok((self.options.largest <= 1 || is_end_settled(last)) && (self.options.smallest <= 1 || is_end_settled(0)))
    }

    /// Whether the last new start has changed none of the wanted values.
    fn is_unchanged(&self) -> bool {
        let allowed = self.allowed();
        self.before.as_ref().is_some_and(|before| {
            let now = self.wanted();
            before
                .iter()
                .zip(&now)
                .all(|(before, now)| (before - now).abs() <= allowed)
        })
    }

    fn wanted(&self) -> Vec<f64> {
        let pairs = self.ritz.largest.iter().chain(&self.ritz.smallest);
        pairs.map(|pair| pair.value).collect()
    }

    /// Leaves the chain for a random vector orthogonal to the basis.
    fn new_start(&mut self) -> Vec<f32> {
        let size = self.krylov.size();
        self.left.push(Chain {
            last: size - 1,
            rest: self.rest,
        });
        self.before = self.ritz.converged.then(|| self.wanted());
        self.start = size;
        self.krylov.fresh(self.dimension, &mut self.random).unwrap_or_default()
    }
}

/// The largest magnitude among values in rising order.
fn norm(values: &[f64]) -> f64 {
    let ends = values.first().into_iter().chain(values.last());
    ends.fold(0.0, |largest, value| value.abs().max(largest))
}

/// The wanted eigenvalues with their vectors. `progress` sees what is known after every step and says whether to go on.
///
/// # Errors
/// As [`Lanczos::new`] and [`Lanczos::step`]; [`Error::Cancelled`] when `progress` says so. To keep what there is, step
/// a [`Lanczos`] and finish it.
pub fn extreme_eigenpairs(
    operator: &mut dyn SymmetricOperator,
    options: LanczosOptions,
    progress: &mut dyn FnMut(&Ritz) -> bool,
) -> Result<Spectrum> {
    let mut lanczos = Lanczos::new(operator.dimension(), options)?;
    loop {
        let goes_on = lanczos.step(operator)?;
        if !progress(lanczos.ritz()) {
            return Err(Error::Cancelled);
        }
        if !goes_on {
            return lanczos.finish(operator);
        }
    }
}

#[cfg(test)]
mod tests;
