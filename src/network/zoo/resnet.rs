//! CIFAR residual networks of depth 6n+2 (He et al. 2016, §4.2) with projection shortcuts, named as in the
//! loss-landscape project: `conv1`, `bn1`, `layer{s}.{i}.{conv1,bn1,conv2,bn2}`, `.shortcut.{0,1}`, `linear`.

use super::Name;
use crate::error::Result;
use crate::network::graph::{Builder, Graph, NodeId, Shape};

/// Widest first stage accepted: 64 times the usual one.
const WIDEST: usize = 1024;
/// Deepest network accepted, the deepest of He et al. (2016).
const DEEPEST: usize = 1202;

struct Residual {
    builder: Builder,
    batch_norm: bool,
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
        let shortcut = if stride != 1 || self.builder.shape(input)[0] != channels {
            let shortcut = [format!("{name}.shortcut.0"), format!("{name}.shortcut.1")];
            self.unit(input, [&shortcut[0], &shortcut[1]], channels, 1, stride)?
        } else {
            input
        };
        let sum = self.builder.add(hidden, shortcut);
        Ok(self.builder.relu(sum))
    }
}

pub(super) fn build(name: &Name, depth: &str, input: Shape, classes: usize) -> Result<Graph> {
    let wrong_depth =
        || name.error("the depth of a CIFAR residual network is 6n+2: 8, 14, 20, 32, 44, 56, 110, up to 1202");
    let depth: usize = depth.parse().map_err(|_| wrong_depth())?;
    if !(8..=DEEPEST).contains(&depth) || depth % 6 != 2 {
        return Err(wrong_depth());
    }
    let (mut width, mut batch_norm) = (16, true);
    for option in &name.options {
        match option.split_once('=') {
            Some(("width", value)) => {
                width = value
                    .parse()
                    .ok()
                    .filter(|w| (1..=WIDEST).contains(w))
                    .ok_or_else(|| name.error(format!("width={value} is not a whole number from 1 to {WIDEST}")))?;
            }
            Some(("bn", "on")) => batch_norm = true,
            Some(("bn", "off")) => batch_norm = false,
            _ => {
                return Err(name.error(format!("unknown option `{option}`; there are width=N and bn=on|off")));
            }
        }
    }
    let mut residual = Residual {
        builder: Builder::new(name.full, input),
        batch_norm,
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
