//! VGG networks for small images (Simonyan & Zisserman 2015) with torchvision's `features.{i}`, and two common
//! classifiers behind them: three linear layers of 512 with dropout between (`classifier.{1,4,6}`, the SWA code), or a
//! single one (`classifier`). And the small VGG of *Dynamical stability*. Dropout is left out: it acts in training only,
//! and our training does not drop units.

use super::Name;
use super::recognise::{Entries, Guess};
use crate::error::Result;
use crate::network::graph::{Builder, Graph, Shape};

/// Channels of the convolutions between two poolings.
type Stages = &'static [&'static [usize]];

const DEPTHS: [(&str, Stages); 4] = [
    ("11", &[&[64], &[128], &[256, 256], &[512, 512], &[512, 512]]),
    ("13", &[&[64, 64], &[128, 128], &[256, 256], &[512, 512], &[512, 512]]),
    ("16", &[&[64, 64], &[128, 128], &[256; 3], &[512; 3], &[512; 3]]),
    ("19", &[&[64, 64], &[128, 128], &[256; 4], &[512; 4], &[512; 4]]),
];
const SMALL: Stages = &[&[16], &[16], &[32], &[64], &[64]];

/// Hidden layers of the classifier: their index in the state dict, and their features.
const PAPERS_CLASSIFIER: &[(usize, usize)] = &[(1, 512), (4, 512)];
const SMALL_CLASSIFIER: &[(usize, usize)] = &[(0, 128)];

/// `kind` is `11`, `16-bn`, … or `-small`.
pub(super) fn build(name: &Name, kind: &str, input: Shape, classes: usize) -> Result<Graph> {
    if kind == "-small" {
        name.no_options()?;
        return assemble(name, SMALL, false, SMALL_CLASSIFIER, "classifier.2", input, classes);
    }
    let (depth, batch_norm) = match kind.strip_suffix("-bn") {
        Some(depth) => (depth, true),
        None => (kind, false),
    };
    let stages = DEPTHS
        .iter()
        .find(|(known, _)| *known == depth)
        .map(|(_, stages)| *stages)
        .ok_or_else(|| {
            name.error("there are vgg11, vgg13, vgg16 and vgg19, each also with -bn behind it, and vgg-small")
        })?;
    let (mut hidden, mut last) = (PAPERS_CLASSIFIER, "classifier.6");
    for option in &name.options {
        match *option {
            "classifier=linear" => (hidden, last) = (&[], "classifier"),
            "classifier=papers" => (hidden, last) = (PAPERS_CLASSIFIER, "classifier.6"),
            _ => return Err(name.unknown(option, "there is classifier=papers|linear")),
        }
    }
    assemble(name, stages, batch_norm, hidden, last, input, classes)
}

fn assemble(
    name: &Name,
    stages: Stages,
    batch_norm: bool,
    hidden: &[(usize, usize)],
    last: &str,
    input: Shape,
    classes: usize,
) -> Result<Graph> {
    let mut builder = Builder::new(name.full, input);
    // As in PyTorch's Sequential, every ReLU and pooling counts, too.
    let (mut node, mut index) = (builder.input(), 0);
    for stage in stages {
        for &channels in *stage {
            node = builder.convolution(node, &format!("features.{index}"), channels, 3, 1, 1, true)?;
            if batch_norm {
                index += 1;
                node = builder.batch_norm(node, &format!("features.{index}"));
            }
            node = builder.relu(node);
            index += 2;
        }
        node = builder.max_pool(node, 2)?;
        index += 1;
    }
    for &(index, features) in hidden {
        node = builder.linear(node, &format!("classifier.{index}"), features);
        node = builder.relu(node);
    }
    builder.linear(node, last, classes);
    Ok(builder.finish())
}

pub(super) fn guess(_entries: &Entries) -> Vec<Guess> {
    let mut guesses = vec![Guess::new(
        "vgg-small".to_owned(),
        "features.0.weight",
        "classifier.2.weight",
    )];
    for (depth, _) in DEPTHS {
        for norm in ["", "-bn"] {
            for (option, last) in [("", "classifier.6.weight"), (":classifier=linear", "classifier.weight")] {
                guesses.push(Guess::new(
                    format!("vgg{depth}{norm}{option}"),
                    "features.0.weight",
                    last,
                ));
            }
        }
    }
    guesses
}
