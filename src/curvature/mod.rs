//! Curvature and noise of a loss as matrices too large to be held: spectra by products with vectors, and what they say
//! about which minima SGD can stay at.
//!
//! [`operator`] says what such a matrix is. [`lanczos`] finds its extreme eigenvalues with vectors, [`trace`] its trace
//! and [`density`] its whole spectrum, smoothed. [`covariance`] takes the spectrum of a noise from its samples.
//! [`stability`] is the theory of *How SGD Selects the Global Minima in Over-parameterized Learning* (Wu, Ma and E,
//! 2018), [`non_uniformity`] its second number for a matrix a sample, and [`escape`] its example in one dimension.
//! [`loss`] makes such matrices of a network's loss, [`sharpness`] takes both numbers of a solution and [`along_run`]
//! those of a training run's epochs, and [`record`] keeps what was found.
//!
//! Vectors are `f32`; inner products and recurrences are summed in `f64`. Nothing but [`loss`], [`sharpness`] and
//! [`along_run`] knows networks.

pub mod along_run;
pub mod covariance;
mod dense;
pub mod density;
pub mod escape;
pub mod estimate;
mod krylov;
pub mod lanczos;
pub mod loss;
pub mod non_uniformity;
pub mod operator;
pub mod record;
pub mod sharpness;
pub mod stability;
#[cfg(test)]
pub(crate) mod testing;
pub mod trace;

pub use along_run::{AlongRun, AtEpoch};
pub use covariance::{Covariance, Samples};
pub use density::{Density, Quadrature};
pub use estimate::Estimate;
pub use lanczos::{Effort, Eigenpair, Lanczos, LanczosOptions, Ritz, Spectrum, extreme_eigenpairs};
pub use loss::{HessianOperator, ImageHessians, Matrix, gradient_samples};
pub use non_uniformity::{NonUniformity, PerSample};
pub use operator::SymmetricOperator;
pub use record::CurvatureRecord;
pub use sharpness::Sharpness;
pub use stability::Sgd;
pub use trace::TraceEstimator;
