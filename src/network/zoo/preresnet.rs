//! Pre-activation residual networks (He et al. 2016, *Identity mappings*) with the structure and names of the SWA
//! code: `conv1`, `layer{s}.{i}.{bn1,conv1,bn2,conv2[,bn3,conv3]}`, `.downsample.0`, `bn`, `fc`. Up to depth 44 the
//! blocks are basic (6n+2), above they are bottlenecks (9n+2).

use super::recognise::{Entries, Guess};
use super::{DEEPEST, Name};
use crate::error::Result;
use crate::network::graph::{Builder, Graph, NodeId, Shape};

/// Deepest network of basic blocks.
const DEEPEST_BASIC: usize = 44;
/// Channels of the first stage inside its blocks.
const WIDTH: usize = 16;
/// Output channels of a bottleneck per inner channel.
const EXPANSION: usize = 4;
const STYLE: Style = Style {
    bias: false,
    shortcut: "downsample.0",
};

/// A convolution of a block: channels, kernel, stride.
pub(super) type Layer = (usize, usize, usize);

/// What pre-activation networks differ in, beside their layers.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// Whether convolutions have biases.
    pub bias: bool,
    /// Name of the 1×1 convolution that the shortcut takes where the shape changes.
    pub shortcut: &'static str,
}

/// Batch norm, ReLU and convolution for every layer, and the block's raw input added to the result; where the shape
/// changes, through a 1×1 convolution.
pub(super) fn block(
    builder: &mut Builder,
    input: NodeId,
    name: &str,
    layers: &[Layer],
    style: Style,
) -> Result<NodeId> {
    let mut node = input;
    for (index, &(channels, kernel, stride)) in layers.iter().enumerate() {
        let (norm, convolution) = (format!("{name}.bn{}", index + 1), format!("{name}.conv{}", index + 1));
        node = builder.batch_norm(node, &norm);
        node = builder.relu(node);
        node = builder.convolution(node, &convolution, channels, kernel, stride, kernel / 2, style.bias)?;
    }
    let [channels, _, _] = builder.shape(node);
    let stride: usize = layers.iter().map(|layer| layer.2).product();
    let shortcut = if stride != 1 || builder.shape(input)[0] != channels {
        let shortcut = format!("{name}.{}", style.shortcut);
        builder.convolution(input, &shortcut, channels, 1, stride, 0, style.bias)?
    } else {
        input
    };
    Ok(builder.add(node, shortcut))
}

pub(super) fn build(name: &Name, depth: &str, input: Shape, classes: usize) -> Result<Graph> {
    name.no_options()?;
    let wrong_depth = || {
        name.error(
            "the depth of a pre-activation residual network is 6n+2 up to 44 (8, 14, 20, … 44) and 9n+2 above \
             (47, 56, 110, 164, up to 1202)",
        )
    };
    let depth: usize = depth.parse().map_err(|_| wrong_depth())?;
    let bottleneck = depth > DEEPEST_BASIC;
    let per_block = if bottleneck { 9 } else { 6 };
    if !(8..=DEEPEST).contains(&depth) || depth % per_block != 2 {
        return Err(wrong_depth());
    }
    let mut builder = Builder::new(name.full, input);
    let mut node = builder.convolution(builder.input(), "conv1", WIDTH, 3, 1, 1, false)?;
    for stage in 0..3 {
        let width = WIDTH << stage;
        for index in 0..(depth - 2) / per_block {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let name = format!("layer{}.{index}", stage + 1);
            let layers: &[Layer] = if bottleneck {
                &[(width, 1, 1), (width, 3, stride), (EXPANSION * width, 1, 1)]
            } else {
                &[(width, 3, stride), (width, 3, 1)]
            };
            node = block(&mut builder, node, &name, layers, STYLE)?;
        }
    }
    let node = builder.batch_norm(node, "bn");
    let node = builder.relu(node);
    let node = builder.global_average_pool(node);
    builder.linear(node, "fc", classes);
    Ok(builder.finish())
}

pub(super) fn guess(entries: &Entries) -> Vec<Guess> {
    let blocks = entries.count_blocks("layer1");
    let per_block = if entries.has("layer1.0.conv3.weight") { 9 } else { 6 };
    vec![Guess::new(
        format!("preresnet{}", per_block * blocks + 2),
        "conv1.weight",
        "fc.weight",
    )]
}
