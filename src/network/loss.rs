//! The loss of a network's outputs: what makes it a function of its parameters alone.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{IndexingUpdateOp, Int, Tensor};

/// Name of the option of a model name that chooses the loss.
const OPTION: &str = "loss=";

/// The loss of one image, given its outputs z, one a class, and its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loss {
    /// −log softmax(z) at the class: of all the papers but one.
    #[default]
    CrossEntropy,
    /// Mean over the classes of (z − y)² for the one-hot y, as in *Dynamical stability* (Wu, Ma and E). The mean over
    /// classes is what PyTorch's `MSELoss` takes; it scales the Hessian.
    SquaredError,
}

impl Loss {
    /// All losses.
    pub const ALL: [Self; 2] = [Self::CrossEntropy, Self::SquaredError];

    /// As model names write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::SquaredError => "squared-error",
        }
    }

    /// What an axis of losses is called.
    pub fn axis(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy loss",
            Self::SquaredError => "squared-error loss",
        }
    }

    /// What an option of a model name chooses; nothing where it is another option.
    pub(super) fn of_option(option: &str) -> Option<Result<Self, String>> {
        let name = option.strip_prefix(OPTION)?;
        let known = Self::ALL.into_iter().find(|loss| loss.name() == name);
        Some(known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            format!("there is no loss `{name}`; there are {}", names.join(" and "))
        }))
    }

    /// The loss that a model name chooses.
    pub fn of_model(name: &str) -> Self {
        let chosen = name.split([':', ',']).find_map(Self::of_option);
        chosen.and_then(Result::ok).unwrap_or_default()
    }

    /// Losses `[K, B]` of outputs `[K, B, classes]` for labels `[B]`, or `[K · B]` for per-point images.
    pub fn of(self, outputs: Tensor<3>, labels: Tensor<1, Int>) -> Tensor<2> {
        match self {
            Self::CrossEntropy => {
                let [points, batch, _] = outputs.dims();
                let labels = labels_for_points(labels, points, batch).reshape([points, batch, 1]);
                log_softmax(outputs, 2).gather(2, labels).neg().reshape([points, batch])
            }
            Self::SquaredError => {
                let residuals = residuals(outputs, labels);
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

/// Labels `[K, B]` of `[B]`, the same for every point, or `[K · B]`.
pub(super) fn labels_for_points(labels: Tensor<1, Int>, points: usize, batch: usize) -> Tensor<2, Int> {
    if labels.dims()[0] == points * batch {
        labels.reshape([points, batch])
    } else {
        labels.reshape([1, batch]).repeat_dim(0, points)
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
