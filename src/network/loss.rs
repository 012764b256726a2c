//! The losses that have second derivatives: the value at an image, its derivative along a change of the logits, and
//! its second derivative there.

use burn::tensor::activation::softmax;
use burn::tensor::{IndexingUpdateOp, Int, Tensor};

use super::forward::{cross_entropy, labels_for_points};

/// What is measured on the logits z of an image of class y. Means are taken over images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// −log softmax(z)_y.
    CrossEntropy,
    /// The mean over classes of (z − one-hot(y))², the loss of *Dynamical stability* (Wu et al., 2018).
    SquaredError,
}

impl Loss {
    /// The loss at every image, `[K, B]`, of logits `[K, B, classes]` for labels `[B]`, or `[K · B]` for per-point
    /// images.
    pub fn values(self, logits: Tensor<3>, labels: Tensor<1, Int>) -> Tensor<2> {
        match self {
            Self::CrossEntropy => cross_entropy(logits, labels),
            Self::SquaredError => {
                let residuals = residuals(logits, labels);
                mean_over_classes(residuals.clone() * residuals)
            }
        }
    }

    /// Its derivative at every image, `[K, B]`, while the logits move along `tangents` `[K, B, classes]`.
    pub fn slopes(self, logits: Tensor<3>, tangents: Tensor<3>, labels: Tensor<1, Int>) -> Tensor<2> {
        match self {
            Self::CrossEntropy => {
                // (softmax(z) − one-hot(y)) · ż
                let [points, batch, _] = logits.dims();
                let labels = labels_for_points(labels, points, batch).reshape([points, batch, 1]);
                let expected = (softmax(logits, 2) * tangents.clone()).sum_dim(2);
                (expected - tangents.gather(2, labels)).reshape([points, batch])
            }
            Self::SquaredError => mean_over_classes(residuals(logits, labels) * tangents) * 2.0,
        }
    }

    /// The second derivative of every image's loss in its logits times `tangents`, `[K, B, classes]`: with
    /// p = softmax(z) it is p ∘ (ż − p · ż) for cross-entropy, and 2/classes · ż for the squared error. Labels do not
    /// matter.
    pub fn curvatures(self, logits: Tensor<3>, tangents: Tensor<3>) -> Tensor<3> {
        match self {
            Self::CrossEntropy => {
                let shares = softmax(logits, 2);
                let expected = (shares.clone() * tangents.clone()).sum_dim(2);
                shares * (tangents - expected)
            }
            Self::SquaredError => {
                let [_, _, classes] = tangents.dims();
                tangents * (2.0 / classes as f64)
            }
        }
    }
}

/// z − one-hot(y), `[K, B, classes]`.
fn residuals(logits: Tensor<3>, labels: Tensor<1, Int>) -> Tensor<3> {
    let [points, batch, _] = logits.dims();
    let labels = labels_for_points(labels, points, batch).reshape([points, batch, 1]);
    let like = (logits.device(), logits.dtype());
    let ones = Tensor::<3>::ones([points, batch, 1], (&like.0, like.1));
    logits.scatter(2, labels, ones.neg(), IndexingUpdateOp::Add)
}

fn mean_over_classes(values: Tensor<3>) -> Tensor<2> {
    let [points, batch, _] = values.dims();
    values.mean_dim(2).reshape([points, batch])
}
