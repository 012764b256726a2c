//! The multilayer perceptron: linear layers with ReLU between them, `fc1`, `fc2`, …

use super::Name;
use crate::error::Result;
use crate::network::graph::{Builder, Graph, Shape};

/// Widest hidden layer accepted.
const WIDEST: usize = 65_536;
/// Most hidden layers accepted.
const DEEPEST: usize = 64;

pub(super) fn build(name: &Name, input: Shape, classes: usize) -> Result<Graph> {
    let wrong = || {
        name.error(format!(
            "hidden widths are written mlp:500x500x500, at most {DEEPEST} of them, each from 1 to {WIDEST}"
        ))
    };
    let [widths] = name.options[..] else {
        return Err(wrong());
    };
    let widths: Vec<usize> = widths
        .split('x')
        .map(|w| w.parse().ok().filter(|w| (1..=WIDEST).contains(w)).ok_or_else(wrong))
        .collect::<Result<_>>()?;
    if widths.len() > DEEPEST {
        return Err(wrong());
    }
    let mut builder = Builder::new(name.full, input);
    let mut node = builder.input();
    for (index, &width) in widths.iter().enumerate() {
        node = builder.linear(node, &format!("fc{}", index + 1), width);
        node = builder.relu(node);
    }
    builder.linear(node, &format!("fc{}", widths.len() + 1), classes);
    Ok(builder.finish())
}
