//! Densely connected networks (Huang et al. 2017) for small images: three blocks, with bottlenecks and compression
//! (BC) or without. Names: `features.conv0`, `features.denseblock{b}.denselayer{l}.{norm1,conv1[,norm2,conv2]}`,
//! `features.transition{b}.{norm,conv}`, `features.norm_final` (or `norm5`), `classifier`.

use super::recognise::{Entries, Guess};
use super::{DEEPEST, Name};
use crate::error::Result;
use crate::network::graph::{Builder, Graph, NodeId, Shape};

const BLOCKS: usize = 3;
const USUAL_GROWTH: usize = 12;
const WIDEST_GROWTH: usize = 128;
/// Channels inside a bottleneck per channel that it adds.
const BOTTLENECK: usize = 4;

struct Dense {
    builder: Builder,
    growth: usize,
    bottlenecks: bool,
}

impl Dense {
    /// Batch norm, ReLU and a convolution without bias.
    fn unit(&mut self, input: NodeId, norm: &str, convolution: &str, channels: usize, kernel: usize) -> Result<NodeId> {
        let node = self.builder.batch_norm(input, norm);
        let node = self.builder.relu(node);
        self.builder
            .convolution(node, convolution, channels, kernel, 1, kernel / 2, false)
    }

    fn layer(&mut self, input: NodeId, name: &str) -> Result<NodeId> {
        let unit = |number: usize| (format!("{name}.norm{number}"), format!("{name}.conv{number}"));
        let (growth, mut node, mut number) = (self.growth, input, 1);
        if self.bottlenecks {
            let (norm, convolution) = unit(number);
            node = self.unit(node, &norm, &convolution, BOTTLENECK * growth, 1)?;
            number += 1;
        }
        let (norm, convolution) = unit(number);
        let new = self.unit(node, &norm, &convolution, growth, 3)?;
        Ok(self.builder.concatenate(input, new))
    }
}

/// `size` is `bc-DEPTH` or `DEPTH`.
pub(super) fn build(name: &Name, size: &str, input: Shape, classes: usize) -> Result<Graph> {
    let (bottlenecks, depth) = match size.strip_prefix("bc-") {
        Some(depth) => (true, depth),
        None => (false, size),
    };
    let per_layer = if bottlenecks { 2 * BLOCKS } else { BLOCKS };
    let depth = name.number("the depth", depth, per_layer + 4..=DEEPEST)?;
    if (depth - 4) % per_layer != 0 {
        return Err(name.error(format!(
            "the depth of such a network is {per_layer}n+4, as in densenet-bc-100 and densenet-40"
        )));
    }
    let (mut growth, mut last_norm) = (USUAL_GROWTH, "norm_final");
    for option in &name.options {
        match option.split_once('=') {
            Some(("growth", value)) => growth = name.number("growth", value, 1..=WIDEST_GROWTH)?,
            Some(("final", "norm_final")) => last_norm = "norm_final",
            Some(("final", "norm5")) => last_norm = "norm5",
            _ => {
                return Err(name.unknown(
                    option,
                    "there are growth=N and final=norm_final|norm5 (the last norm's name)",
                ));
            }
        }
    }
    let mut dense = Dense {
        builder: Builder::new(name.full, input),
        growth,
        bottlenecks,
    };
    let channels = if bottlenecks { 2 * growth } else { 16 };
    let start = dense.builder.input();
    let mut node = dense
        .builder
        .convolution(start, "features.conv0", channels, 3, 1, 1, false)?;
    for block in 1..=BLOCKS {
        for layer in 1..=(depth - 4) / per_layer {
            node = dense.layer(node, &format!("features.denseblock{block}.denselayer{layer}"))?;
        }
        if block < BLOCKS {
            let [channels, _, _] = dense.builder.shape(node);
            let channels = if bottlenecks { channels / 2 } else { channels };
            let transition = format!("features.transition{block}");
            node = dense.unit(
                node,
                &format!("{transition}.norm"),
                &format!("{transition}.conv"),
                channels,
                1,
            )?;
            node = dense.builder.average_pool(node, 2)?;
        }
    }
    let mut builder = dense.builder;
    let node = builder.batch_norm(node, &format!("features.{last_norm}"));
    let node = builder.relu(node);
    let node = builder.global_average_pool(node);
    builder.linear(node, "classifier", classes);
    Ok(builder.finish())
}

pub(super) fn guess(entries: &Entries) -> Vec<Guess> {
    let layers = (1..)
        .take_while(|layer| entries.has(&format!("features.denseblock1.denselayer{layer}.conv1.weight")))
        .count();
    let bottlenecks = entries.has("features.denseblock1.denselayer1.conv2.weight");
    let (kind, depth, last) = if bottlenecks {
        ("bc-", 2 * BLOCKS * layers + 4, "conv2")
    } else {
        ("", BLOCKS * layers + 4, "conv1")
    };
    let growth = match entries.size(&format!("features.denseblock1.denselayer1.{last}.weight"), 0) {
        None | Some(USUAL_GROWTH) => String::new(),
        Some(growth) => format!(":growth={growth}"),
    };
    let last_norm = if entries.has("features.norm5.weight") {
        ":final=norm5"
    } else {
        ""
    };
    vec![Guess::new(
        format!("densenet-{kind}{depth}{growth}{last_norm}"),
        "features.conv0.weight",
        "classifier.weight",
    )]
}
