//! The LeNet-like network of *Anisotropic noise*: two 5×5 convolutions of 10 channels, each followed by max-pooling and
//! ReLU, and two linear layers (11,330 parameters on 28×28 images). Names: `conv1`, `conv2`, `fc1`, `fc2`.

use super::Name;
use super::recognise::{Entries, Guess};
use crate::error::Result;
use crate::network::graph::{Builder, Graph, Shape};

const CHANNELS: usize = 10;
const FEATURES: usize = 50;

pub(super) fn build(name: &Name, input: Shape, classes: usize) -> Result<Graph> {
    name.no_options()?;
    let mut builder = Builder::new(name.full, input);
    let mut node = builder.input();
    for convolution in ["conv1", "conv2"] {
        node = builder.convolution(node, convolution, CHANNELS, 5, 1, 0, true)?;
        node = builder.max_pool(node, 2)?;
        node = builder.relu(node);
    }
    let node = builder.linear(node, "fc1", FEATURES);
    let node = builder.relu(node);
    builder.linear(node, "fc2", classes);
    Ok(builder.finish())
}

pub(super) fn guess(_entries: &Entries) -> Vec<Guess> {
    vec![Guess::new("lenet".to_owned(), "conv1.weight", "fc2.weight")]
}
