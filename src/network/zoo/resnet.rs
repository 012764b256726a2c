//! CIFAR residual networks of depth 6n+2 (He et al. 2016, §4.2), named as in the loss-landscape project: `conv1`,
//! `bn1`, `layer{s}.{i}.{conv1,bn1,conv2,bn2}`, `.shortcut.{0,1}`, `linear`. Its shortcuts where the shape changes are
//! projections (1×1 convolutions); there are also the parameter-free ones of the paper, and blocks with no shortcut.

use super::recognise::{Entries, Guess};
use super::{DEEPEST, Name};
use crate::error::Result;
use crate::network::graph::{Builder, Graph, NodeId, Shape};

/// Widest first stage accepted: 64 times the usual one.
const WIDEST: usize = 1024;
const USUAL_WIDTH: usize = 16;

/// How a block's input joins its output.
#[derive(Clone, Copy, PartialEq)]
enum Shortcut {
    /// A 1×1 convolution with batch norm where the shape changes, the identity elsewhere (option B of the paper).
    Projection,
    /// Every second pixel and channels of zeros where the shape changes, the identity elsewhere (option A).
    Padding,
    /// Nothing joins it: the network is a plain chain.
    Absent,
}

struct Residual {
    builder: Builder,
    batch_norm: bool,
    shortcut: Shortcut,
}

impl Residual {
    /// A convolution without bias and its batch norm; or, without batch norm, the convolution with a bias.
    fn unit(
        &mut self,
        input: NodeId,
        [convolution, norm]: [&str; 2],
        channels: usize,
        kernel: usize,
        stride: usize,
    ) -> Result<NodeId> {
        let node = self.builder.convolution(
            input,
            convolution,
            channels,
            kernel,
            stride,
            kernel / 2,
            !self.batch_norm,
        )?;
        Ok(if self.batch_norm {
            self.builder.batch_norm(node, norm)
        } else {
            node
        })
    }

    fn block(&mut self, input: NodeId, name: &str, channels: usize, stride: usize) -> Result<NodeId> {
        let names = |end: &str| [format!("{name}.conv{end}"), format!("{name}.bn{end}")];
        let [conv1, bn1] = names("1");
        let [conv2, bn2] = names("2");
        let hidden = self.unit(input, [&conv1, &bn1], channels, 3, stride)?;
        let hidden = self.builder.relu(hidden);
        let hidden = self.unit(hidden, [&conv2, &bn2], channels, 3, 1)?;
        let inputs = self.builder.shape(input)[0];
        let same_shape = stride == 1 && inputs == channels;
        let joined = match self.shortcut {
            Shortcut::Absent => hidden,
            _ if same_shape => self.builder.add(hidden, input),
            Shortcut::Projection => {
                let shortcut = [format!("{name}.shortcut.0"), format!("{name}.shortcut.1")];
                let projected = self.unit(input, [&shortcut[0], &shortcut[1]], channels, 1, stride)?;
                self.builder.add(hidden, projected)
            }
            Shortcut::Padding => {
                let padded = self.builder.padded_subsample(input, (channels - inputs) / 2);
                self.builder.add(hidden, padded)
            }
        };
        Ok(self.builder.relu(joined))
    }
}

pub(super) fn build(name: &Name, depth: &str, input: Shape, classes: usize) -> Result<Graph> {
    let wrong_depth = || {
        name.error(format!(
            "`{depth}` is no depth of a CIFAR residual network: they are 6n+2, such as resnet8, resnet20, resnet56 \
                 and resnet110; residual networks for ImageNet are not in the zoo"
        ))
    };
    let depth: usize = depth.parse().map_err(|_| wrong_depth())?;
    if !(8..=DEEPEST).contains(&depth) || depth % 6 != 2 {
        return Err(wrong_depth());
    }
    let (mut width, mut batch_norm, mut shortcut) = (USUAL_WIDTH, true, Shortcut::Projection);
    for option in &name.options {
        match option.split_once('=') {
            Some(("width", value)) => width = name.number("width", value, 1..=WIDEST)?,
            Some(("bn", "on")) => batch_norm = true,
            Some(("bn", "off")) => batch_norm = false,
            Some(("shortcut", "projection")) => shortcut = Shortcut::Projection,
            Some(("shortcut", "padding")) => shortcut = Shortcut::Padding,
            Some(("shortcut", "none")) => shortcut = Shortcut::Absent,
            _ => {
                return Err(name.unknown(
                    option,
                    "there are width=N, bn=on|off and shortcut=projection|padding|none",
                ));
            }
        }
    }
    if shortcut == Shortcut::Padding && !width.is_multiple_of(2) {
        return Err(name.error("shortcut=padding splits the new channels in two halves: choose an even width"));
    }
    let mut residual = Residual {
        builder: Builder::new(name.full, input),
        batch_norm,
        shortcut,
    };
    let start = residual.builder.input();
    let node = residual.unit(start, ["conv1", "bn1"], width, 3, 1)?;
    let mut node = residual.builder.relu(node);
    for stage in 0..3 {
        for block in 0..(depth - 2) / 6 {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let block_name = format!("layer{}.{block}", stage + 1);
            node = residual.block(node, &block_name, width << stage, stride)?;
        }
    }
    let pooled = residual.builder.global_average_pool(node);
    residual.builder.linear(pooled, "linear", classes);
    Ok(residual.builder.finish())
}

pub(super) fn guess(entries: &Entries) -> Vec<Guess> {
    let blocks = entries.count_blocks("layer1");
    let Some(width) = entries.size("conv1.weight", 0) else {
        return Vec::new();
    };
    let depth = 6 * blocks + 2;
    let width = if width == USUAL_WIDTH {
        String::new()
    } else {
        format!(":width={width}")
    };
    let batch_norm = if entries.has("bn1.weight") { "" } else { ":bn=off" };
    ["", ":shortcut=padding", ":shortcut=none"]
        .map(|shortcut| {
            Guess::new(
                format!("resnet{depth}{width}{batch_norm}{shortcut}"),
                "conv1.weight",
                "linear.weight",
            )
        })
        .to_vec()
}
