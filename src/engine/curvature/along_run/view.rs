//! What is asked of the curvature along a run, and what is known of it.

use crate::curvature::{NonUniformity, Sharpness};
use crate::engine::curvature::CurvatureStage;
use crate::error::{Error, Result};
use crate::objective::BatchNormPolicy;

/// What is to be measured at every epoch that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlongRunRequest {
    /// The run it is of ([`crate::engine::RunSummary::session`]); a request for a run no longer open is dropped.
    pub session: u64,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// Training images that the loss is the mean over, from the start of the split; all where there are no more.
    pub images: usize,
    /// Seed of the start vectors and of the images of the non-uniformity.
    pub seed: u64,
    /// Images that the non-uniformity is estimated from, where it is wanted.
    pub uniformity: Option<usize>,
    /// Snapshots of the trajectory there are, the initial weights included: epochs 0 to `snapshots` − 1.
    pub snapshots: usize,
}

impl AlongRunRequest {
    /// Whether both measure the same numbers, of as many epochs or not.
    pub fn is_like(&self, other: &Self) -> bool {
        let of_no_epoch = |request: &Self| Self {
            snapshots: 0,
            ..*request
        };
        of_no_epoch(self) == of_no_epoch(other)
    }

    /// Refuses what no epoch could answer.
    pub(in crate::engine) fn check(&self) -> Result<()> {
        match self.images {
            0 => Err(Error::option(
                "images",
                0,
                "the Hessian is of a mean over one image at least",
            )),
            _ => Ok(()),
        }
    }
}

/// A number of an epoch, or in a sentence for a person why there is none.
pub type Measured<T> = std::result::Result<T, String>;

/// What is known of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochCurvature {
    /// Epochs trained.
    pub epoch: usize,
    /// a = λ_max(H).
    pub sharpness: Measured<Sharpness>,
    /// s = λ_max(Σ)^½, once it was asked for and measured. Where there is no sharpness it is not looked for.
    pub non_uniformity: Option<Measured<NonUniformity>>,
}

/// The curvature along a run as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct AlongRunView {
    /// What was asked.
    pub request: AlongRunRequest,
    /// Training images that the loss is the mean over, and those there are.
    pub images: [usize; 2],
    /// The epochs that were measured, in rising order.
    pub epochs: Vec<EpochCurvature>,
    /// The epoch that is being measured, and what is being done once it has begun.
    pub at: Option<(usize, Option<CurvatureStage>)>,
    /// Whether it goes on no more: all that was asked for is found, it was stopped, or it failed.
    pub finished: bool,
    /// Seconds left at the speed so far, not counting other work meanwhile; nothing where that is not known yet.
    pub seconds_left: Option<f64>,
    /// What went wrong with all of it, in a sentence for a person.
    pub problem: Option<String>,
}

impl AlongRunView {
    /// Where there is nothing to be measured.
    pub fn failed(request: AlongRunRequest, problem: String) -> Self {
        Self {
            request,
            images: [0; 2],
            epochs: Vec::new(),
            at: None,
            finished: true,
            seconds_left: None,
            problem: Some(problem),
        }
    }
}
