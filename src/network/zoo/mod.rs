//! The families of networks, one file each, and the names by which the command line and the window know them.

mod logistic;
mod mlp;
mod resnet;

use super::graph::{Graph, Shape};
use crate::error::{Error, Result};

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
}

/// Largest network built: a vector of it takes 0.8 GB, and training holds several.
const MOST_PARAMETERS: usize = 200_000_000;

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
    ("resnet20", "CIFAR residual network, 16-32-64 channels; any depth 6n+2"),
    ("mlp:100x100", "multilayer perceptron with these hidden widths"),
    ("logistic", "logistic regression on one input: two parameters"),
];

/// Builds the network called `name` for images of `input` shape and `classes` classes.
///
/// # Errors
/// A message that names what is wrong and what exists.
pub fn build(name: &str, input: Shape, classes: usize) -> Result<Graph> {
    let parsed = Name::parse(name.trim());
    let graph = family(&parsed, input, classes)?;
    let count = graph.parameter_count();
    if count > MOST_PARAMETERS {
        return Err(parsed.error(format!(
            "it has {count} parameters; networks of up to {MOST_PARAMETERS} are built"
        )));
    }
    Ok(graph)
}

fn family(parsed: &Name, input: Shape, classes: usize) -> Result<Graph> {
    if let Some(depth) = parsed.family.strip_prefix("resnet") {
        resnet::build(parsed, depth, input, classes)
    } else if parsed.family == "mlp" {
        mlp::build(parsed, input, classes)
    } else if parsed.family == "logistic" {
        logistic::build(parsed, input, classes)
    } else {
        let known: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
        Err(parsed.error(format!("no such family; try one of {}", known.join(", "))))
    }
}
