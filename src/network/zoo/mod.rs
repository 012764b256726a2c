//! The families of networks, one file each, and the names by which the command line and the window know them.

mod densenet;
mod lenet;
mod logistic;
mod mlp;
mod preresnet;
mod recognise;
mod resnet;
mod vgg;
mod wide_resnet;

use super::graph::{Graph, Shape};
use super::loss::Loss;
use crate::error::{Error, Result};
pub use recognise::{Fit, Shapes, fitting, fitting_as};

/// A model name taken apart: `resnet8:width=8:bn=off` is the family `resnet8` with two options.
struct Name<'a> {
    full: &'a str,
    family: &'a str,
    options: Vec<&'a str>,
}

impl<'a> Name<'a> {
    fn parse(full: &'a str) -> Self {
        let mut parts = full.split([':', ',']);
        Self {
            full,
            family: parts.next().unwrap_or_default(),
            options: parts.collect(),
        }
    }

    fn error(&self, reason: impl Into<String>) -> Error {
        Error::Model {
            name: self.full.to_owned(),
            reason: reason.into(),
        }
    }

    /// A whole number in `range`, for the part of the name that says `what`.
    fn number(&self, what: &str, text: &str, range: std::ops::RangeInclusive<usize>) -> Result<usize> {
        text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
            self.error(format!(
                "{what} `{text}` is not a whole number from {} to {}",
                range.start(),
                range.end()
            ))
        })
    }

    /// The error for an option that the family does not have.
    fn unknown(&self, option: &str, known: &str) -> Error {
        self.error(format!("unknown option `{option}`; {known}"))
    }

    fn no_options(&self) -> Result<()> {
        match self.options.first() {
            Some(option) => Err(self.unknown(option, "it has none")),
            None => Ok(()),
        }
    }
}

/// Largest network built: a vector of it takes 0.8 GB, and training holds several.
const MOST_PARAMETERS: usize = 200_000_000;

/// Deepest residual network accepted, the deepest of He et al. (2016).
const DEEPEST: usize = 1202;

/// Names shown where a model is asked for, with one line each.
pub const EXAMPLES: &[(&str, &str)] = &[
    (
        "resnet8:width=8",
        "residual network with batch norm, 8-16-32 channels: the demo",
    ),
    (
        "resnet8:width=8:bn=off",
        "the same without batch norm (convolutions get biases)",
    ),
    (
        "resnet20",
        "CIFAR residual network, 16-32-64 channels; any depth 6n+2, with projection shortcuts",
    ),
    (
        "resnet20:shortcut=padding",
        "the same with shortcuts without parameters, as in He et al.; shortcut=none has none",
    ),
    (
        "preresnet20",
        "pre-activation residual network of the SWA code; 8 … 44 (6n+2), and 47, 56, 110, 164 (9n+2) with bottlenecks",
    ),
    ("vgg16-bn", "VGG of depth 11, 13, 16 or 19; vgg16 has no batch norm"),
    (
        "vgg16-bn:classifier=linear",
        "the same with one linear layer behind the convolutions",
    ),
    (
        "densenet-bc-100",
        "densely connected network with bottlenecks, growth rate 12",
    ),
    ("densenet-40", "densely connected network, growth rate 12"),
    (
        "wrn-28-10",
        "wide residual network of depth 28 (6n+4), ten times as wide",
    ),
    (
        "fnn:loss=squared-error",
        "any of these with the mean over classes of (z − y)² instead of cross-entropy",
    ),
    (
        "fnn",
        "three hidden layers of 500, of *Dynamical stability*: 898,510 parameters on 28×28 images",
    ),
    (
        "vgg-small",
        "VGG with 16-16-32-64-64 channels, of *Dynamical stability*",
    ),
    (
        "lenet",
        "two 5×5 convolutions of 10 channels, of *Anisotropic noise*: 11,330 parameters",
    ),
    ("mlp:100x100", "multilayer perceptron with these hidden widths"),
    ("logistic", "logistic regression on one input: two parameters"),
];

/// Builds the network called `name` for images of `input` shape and `classes` classes.
///
/// # Errors
/// A message that names what is wrong and what exists.
pub fn build(name: &str, input: Shape, classes: usize) -> Result<Graph> {
    let mut parsed = Name::parse(name.trim());
    let mut loss = Loss::default();
    // The loss is of no family: every network has outputs.
    for option in std::mem::take(&mut parsed.options) {
        match Loss::of_option(option) {
            Some(chosen) => loss = chosen.map_err(|reason| parsed.error(reason))?,
            None => parsed.options.push(option),
        }
    }
    let mut graph = family(&parsed, input, classes)?;
    if loss == Loss::SquaredError && graph.has_two_class_logits() {
        return Err(parsed.error("a squared error needs an output for each class, and this network has one for two"));
    }
    graph.loss = loss;
    let count = graph.parameter_count();
    if count > MOST_PARAMETERS {
        return Err(parsed.error(format!(
            "it has {count} parameters; networks of up to {MOST_PARAMETERS} are built"
        )));
    }
    Ok(graph)
}

fn family(name: &Name, input: Shape, classes: usize) -> Result<Graph> {
    if let Some(depth) = name.family.strip_prefix("resnet") {
        return resnet::build(name, depth, input, classes);
    }
    if let Some(depth) = name.family.strip_prefix("preresnet") {
        return preresnet::build(name, depth, input, classes);
    }
    if let Some(depth) = name.family.strip_prefix("vgg") {
        return vgg::build(name, depth, input, classes);
    }
    if let Some(depth) = name.family.strip_prefix("densenet-") {
        return densenet::build(name, depth, input, classes);
    }
    if let Some(size) = name.family.strip_prefix("wrn-") {
        return wide_resnet::build(name, size, input, classes);
    }
    match name.family {
        "fnn" => mlp::build_fnn(name, input, classes),
        "mlp" => mlp::build(name, input, classes),
        "lenet" => lenet::build(name, input, classes),
        "logistic" => logistic::build(name, input, classes),
        _ => {
            let known: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
            Err(name.error(format!("no such family; try one of {}", known.join(", "))))
        }
    }
}
