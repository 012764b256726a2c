//! What is asked of the curvature at a point, and what is known of it.

use crate::curvature::lanczos::RitzValue;
use crate::curvature::{Effort, Estimate, Lanczos, LanczosOptions, NonUniformity};
use crate::engine::request::{Anchor, Step};
use crate::error::{Error, Result};
use crate::objective::BatchNormPolicy;

/// Products that the eigenvalues take at most, and memory for the vectors that these leave, in bytes.
const PRODUCTS: usize = 200;
const BASIS_BYTES: usize = 2 << 30;
/// An eigenvector is found when ‖Hv − λv‖ is below this share of the largest |λ|.
const TOLERANCE: f64 = 1e-3;

/// What is to be found, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvatureRequest {
    /// The run it is of ([`crate::engine::RunSummary::session`]); a request for a run no longer open is dropped.
    pub session: u64,
    /// Where the walk starts. Weights that are being trained are taken as they are when the search begins.
    pub anchor: Anchor,
    /// Steps from there to the point w.
    pub walk: Vec<Step>,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// Training images that the loss is the mean over, from the start of the split; all where there are no more.
    pub images: usize,
    /// How many of the largest eigenvalues, from 1 to [`CurvatureRequest::MOST_VALUES`].
    pub largest: usize,
    /// How many of the smallest, by sign, up to as many.
    pub smallest: usize,
    /// Seed of the start vectors, the trace's probes and the images of the non-uniformity.
    pub seed: u64,
    /// Images that the non-uniformity is estimated from, where it is wanted.
    pub uniformity: Option<usize>,
}

impl CurvatureRequest {
    /// Eigenvalues of one end at most.
    pub const MOST_VALUES: usize = 32;

    /// The same without the non-uniformity.
    pub fn spectrum(&self) -> Self {
        Self {
            uniformity: None,
            ..self.clone()
        }
    }

    /// Refuses what no spectrum could answer.
    pub(super) fn check(&self) -> Result<()> {
        let most = Self::MOST_VALUES;
        if !(1..=most).contains(&self.largest) || self.smallest > most {
            return Err(Error::Request(format!(
                "a spectrum shows 1 to {most} of the largest eigenvalues and up to {most} of the smallest; asked for \
                 were {} and {}",
                self.largest, self.smallest
            )));
        }
        Ok(())
    }

    /// The search for the eigenvalues of a matrix `[dimension, dimension]`.
    pub(super) fn lanczos(&self, dimension: usize) -> Result<Lanczos> {
        let largest = self.largest.min(dimension);
        // Of a matrix of few rows none is found from both ends.
        let smallest = self.smallest.min(dimension - largest);
        search(dimension, [largest, smallest], self.seed)
    }
}

/// The search for so many of the largest and of the smallest eigenvalues of a matrix `[dimension, dimension]`.
pub(super) fn search(dimension: usize, [largest, smallest]: [usize; 2], seed: u64) -> Result<Lanczos> {
    let fits = BASIS_BYTES / size_of::<f32>() / dimension.max(1);
    let options = LanczosOptions {
        largest,
        smallest,
        copies: false,
        effort: Effort {
            steps: PRODUCTS.min(fits).max(2 * (largest + smallest)),
            tolerance: TOLERANCE,
            seed,
        },
    };
    Lanczos::new(dimension, options)
}

/// What is being found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurvatureStage {
    /// The batch-norm statistics at the point.
    Statistics,
    /// The eigenvalues.
    Spectrum,
    /// The residuals of their vectors.
    Eigenvectors,
    /// The trace.
    Trace,
    /// The non-uniformity.
    NonUniformity {
        /// Subset of the images, from 0.
        subset: usize,
        /// Subsets in all.
        subsets: usize,
        /// Products with the covariance of this one.
        steps: usize,
    },
    /// Nothing any more.
    Done,
}

/// Eigenvectors that can be looked along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EigenvectorSet {
    /// Number of the set in [`crate::landscape::Basis::Eigenvector`].
    pub number: usize,
    /// What each is called: those of the largest eigenvalues, and then those of the smallest.
    pub names: Vec<String>,
}

/// The curvature at a point as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvatureView {
    /// What was asked.
    pub request: CurvatureRequest,
    /// Name of the point w; empty where there is none.
    pub origin: String,
    /// Number of parameters d.
    pub dimension: usize,
    /// Training images that the loss is the mean over, and those there are.
    pub images: [usize; 2],
    /// Products with the Hessian for the eigenvalues so far.
    pub steps: usize,
    /// The largest eigenvalues, the largest first, each with an estimate of its residual ‖Hv − λv‖, and once there are
    /// eigenvectors with the residual itself.
    pub largest: Vec<RitzValue>,
    /// The smallest, the smallest first; none that is among the largest.
    pub smallest: Vec<RitzValue>,
    /// Whether every residual is estimated within the tolerance.
    pub converged: bool,
    /// The eigenvectors, once they are found.
    pub eigenvectors: Option<EigenvectorSet>,
    /// The trace, from the samples so far.
    pub trace: Option<Estimate>,
    /// The non-uniformity, once it was asked for and found.
    pub non_uniformity: Option<NonUniformity>,
    /// What is being found.
    pub stage: CurvatureStage,
    /// Share of the product under way that is done, 0..1.
    pub share: f64,
    /// Whether it goes on no more: all that was asked for is found, it was stopped, or it failed.
    pub finished: bool,
    /// Seconds left at the speed so far, not counting other work meanwhile; nothing where the number of products is not
    /// known before.
    pub seconds_left: Option<f64>,
    /// What went wrong, in a sentence for a person.
    pub problem: Option<String>,
}

impl CurvatureView {
    /// Where there is nothing to be found.
    pub fn failed(request: CurvatureRequest, problem: String) -> Self {
        Self {
            request,
            origin: String::new(),
            dimension: 0,
            images: [0; 2],
            steps: 0,
            largest: Vec::new(),
            smallest: Vec::new(),
            converged: false,
            eigenvectors: None,
            trace: None,
            non_uniformity: None,
            stage: CurvatureStage::Done,
            share: 0.0,
            finished: true,
            seconds_left: None,
            problem: Some(problem),
        }
    }

    /// The smallest eigenvalue as far as it is known: of the smallest, or the last where all are among the largest.
    pub fn lowest(&self) -> Option<RitzValue> {
        let last = self.largest.last().filter(|_| self.largest.len() == self.dimension);
        self.smallest.first().or(last).copied()
    }

    /// λ_max/tr H; nothing where the trace is not known or not above 0.
    pub fn share_of_trace(&self) -> Option<f64> {
        let trace = self.trace.filter(|trace| trace.mean > 0.0)?;
        Some(self.largest.first()?.value / trace.mean)
    }

    /// λ_max/λ_min; nothing where λ_min is not known to be above 0.
    pub fn condition(&self) -> Option<f64> {
        let lowest = self.lowest().filter(|lowest| lowest.value > lowest.residual)?;
        Some(self.largest.first()?.value / lowest.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> CurvatureRequest {
        CurvatureRequest {
            session: 1,
            anchor: Anchor::Swa,
            walk: Vec::new(),
            policy: BatchNormPolicy::Running,
            images: 10,
            largest: 3,
            smallest: 2,
            seed: 1,
            uniformity: None,
        }
    }

    /// A view with these eigenvalues, each with the same residual.
    fn view(dimension: usize, largest: &[f64], smallest: &[f64], residual: f64) -> CurvatureView {
        let pairs = |values: &[f64]| values.iter().map(|&value| RitzValue { value, residual }).collect();
        CurvatureView {
            dimension,
            largest: pairs(largest),
            smallest: pairs(smallest),
            ..CurvatureView::failed(request(), String::new())
        }
    }

    #[test]
    fn ratios_are_told_only_where_they_mean_something() {
        let positive = view(9, &[8.0, 2.0], &[0.5, 1.0], 0.1);
        assert_eq!(positive.lowest().map(|lowest| lowest.value), Some(0.5));
        assert_eq!(positive.condition(), Some(16.0));
        assert_eq!(view(9, &[8.0, 2.0], &[0.5, 1.0], 0.6).condition(), None);
        assert_eq!(view(9, &[8.0, 2.0], &[-0.5], 0.1).condition(), None);
        // All eigenvalues are among the largest, or not.
        assert_eq!(view(2, &[8.0, 2.0], &[], 0.1).condition(), Some(4.0));
        assert_eq!(view(9, &[8.0, 2.0], &[], 0.1).condition(), None);

        assert_eq!(positive.share_of_trace(), None);
        let with = |mean: f64| CurvatureView {
            trace: Estimate::of(&[mean]),
            ..positive.clone()
        };
        assert_eq!(with(16.0).share_of_trace(), Some(0.5));
        assert_eq!(with(-1.0).share_of_trace(), None);
    }

    #[test]
    fn as_many_eigenvalues_are_looked_for_as_there_are_and_memory_holds() {
        for (dimension, largest, smallest) in [(100, 3, 2), (4, 3, 1), (3, 3, 0), (1, 1, 0)] {
            let mut lanczos = request().lanczos(dimension).unwrap();
            let mut identity = Identity(dimension);
            while lanczos.step(&mut identity).unwrap() {}
            let ritz = lanczos.ritz();
            assert_eq!(
                (ritz.largest.len(), ritz.smallest.len()),
                (largest, smallest),
                "{dimension}"
            );
        }
        let refused = |largest, smallest| {
            let request = CurvatureRequest {
                largest,
                smallest,
                ..request()
            };
            request.check().is_err()
        };
        assert!(refused(0, 2) && refused(33, 0) && refused(1, 33));
        assert!(!refused(32, 32) && !refused(1, 0));
    }

    struct Identity(usize);

    impl crate::curvature::SymmetricOperator for Identity {
        fn dimension(&self) -> usize {
            self.0
        }

        fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
            Ok(vector.to_vec())
        }
    }
}
