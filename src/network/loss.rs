//! The loss of a network's outputs: what makes it a function of its parameters alone.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

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
        let [points, batch, classes] = outputs.dims();
        let labels = labels_for_points(labels, points, batch);
        match self {
            Self::CrossEntropy => log_softmax(outputs, 2)
                .gather(2, labels.reshape([points, batch, 1]))
                .neg()
                .reshape([points, batch]),
            Self::SquaredError => {
                let shape = [points, batch, classes];
                let numbers: Tensor<3, Int> =
                    Tensor::<1, Int>::arange(0..classes as i64, &outputs.device()).reshape([1, 1, classes]);
                let labels: Tensor<3, Int> = labels.reshape([points, batch, 1]);
                let targets = labels
                    .expand(shape)
                    .equal(numbers.expand(shape))
                    .float()
                    .cast(outputs.dtype());
                let difference = outputs - targets;
                (difference.clone() * difference).mean_dim(2).reshape([points, batch])
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
