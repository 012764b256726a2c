//! Wide residual networks (Zagoruyko & Komodakis 2016) with the structure and names of the SWA code: every convolution
//! has a bias, the stride is in the second one, and the shortcut takes the block's raw input. `conv1`,
//! `layer{s}.{i}.{bn1,conv1,bn2,conv2}`, `.shortcut.0`, `bn1`, `linear`.

use super::preresnet::{Style, block};
use super::recognise::{Entries, Guess};
use super::{DEEPEST, Name};
use crate::error::Result;
use crate::network::graph::{Builder, Graph, Shape};

/// Channels of the first convolution, and of the first stage per unit of width.
const WIDTH: usize = 16;
const WIDEST: usize = 64;

const STYLE: Style = Style {
    bias: true,
    shortcut: "shortcut.0",
};

/// `size` is `DEPTH-WIDTH`.
pub(super) fn build(name: &Name, size: &str, input: Shape, classes: usize) -> Result<Graph> {
    name.no_options()?;
    let (depth, width) = size
        .split_once('-')
        .ok_or_else(|| name.error("a wide residual network is named wrn-DEPTH-WIDTH, such as wrn-28-10"))?;
    let depth = name.number("the depth", depth, 10..=DEEPEST)?;
    let width = name.number("the width", width, 1..=WIDEST)?;
    if depth % 6 != 4 {
        return Err(name.error("the depth of a wide residual network is 6n+4: 10, 16, 22, 28, 40"));
    }
    let mut builder = Builder::new(name.full, input);
    let mut node = builder.convolution(builder.input(), "conv1", WIDTH, 3, 1, 1, true)?;
    for stage in 0..3 {
        for index in 0..(depth - 4) / 6 {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let block_name = format!("layer{}.{index}", stage + 1);
            let channels = (WIDTH * width) << stage;
            let layers = [(channels, 3, 1), (channels, 3, stride)];
            node = block(&mut builder, node, &block_name, &layers, STYLE)?;
        }
    }
    let node = builder.batch_norm(node, "bn1");
    let node = builder.relu(node);
    let node = builder.global_average_pool(node);
    builder.linear(node, "linear", classes);
    Ok(builder.finish())
}

pub(super) fn guess(entries: &Entries) -> Vec<Guess> {
    let depth = 6 * entries.count_blocks("layer1") + 4;
    let width = entries.size("layer1.0.conv1.weight", 0).unwrap_or(0) / WIDTH;
    vec![Guess::new(
        format!("wrn-{depth}-{width}"),
        "conv1.weight",
        "linear.weight",
    )]
}
