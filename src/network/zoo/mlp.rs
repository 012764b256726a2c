//! The multilayer perceptron: linear layers with ReLU between them, `fc1`, `fc2`, …; and the one of *Dynamical
//! stability*, 500-500-500, named as in its code: `net.0`, `net.2`, …

use super::Name;
use super::recognise::{Entries, Guess};
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
    Ok(assemble(
        name,
        &widths,
        |index| format!("fc{}", index + 1),
        input,
        classes,
    ))
}

/// The perceptron of *Dynamical stability*: 898,510 parameters on 28×28 images in ten classes.
pub(super) fn build_fnn(name: &Name, input: Shape, classes: usize) -> Result<Graph> {
    name.no_options()?;
    Ok(assemble(
        name,
        &[500; 3],
        |index| format!("net.{}", 2 * index),
        input,
        classes,
    ))
}

fn assemble(name: &Name, widths: &[usize], layer: impl Fn(usize) -> String, input: Shape, classes: usize) -> Graph {
    let mut builder = Builder::new(name.full, input);
    let mut node = builder.input();
    for (index, &width) in widths.iter().enumerate() {
        node = builder.linear(node, &layer(index), width);
        node = builder.relu(node);
    }
    builder.linear(node, &layer(widths.len()), classes);
    builder.finish()
}

pub(super) fn guess(entries: &Entries) -> Vec<Guess> {
    let widths: Vec<String> = (1..)
        .map_while(|layer| entries.size(&format!("fc{layer}.weight"), 0))
        .map(|width| width.to_string())
        .collect();
    let mut guesses = vec![Guess::new("fnn".to_owned(), "net.0.weight", "net.6.weight")];
    if let Some((_, hidden)) = widths.split_last() {
        guesses.push(Guess::new(
            format!("mlp:{}", hidden.join("x")),
            "fc1.weight",
            &format!("fc{}.weight", widths.len()),
        ));
    }
    guesses
}
