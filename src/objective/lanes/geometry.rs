//! How a convolution's sum runs over memory: which patch of its input is copied, and where in it each term and each
//! result lies.
//!
//! The input is copied strip by strip into a *patch* `[block][channel][row][column]` with zeros around it, batch norm
//! and ReLU applied on the way. One result is then a sum over `r` (channel and tap) of `weight[r] · patch[offset[r] +
//! column]`: the offsets are the same for all results, the columns for all terms. The same form serves the gradient
//! with respect to the input, where a stride leaves several *phases* of positions that use different taps.

use crate::network::graph::Shape;

/// Bytes of a patch that a strip may take: with what else is in use it should stay in a second-level cache of 1 MiB.
const PATCH_BYTES: usize = 320 << 10;
/// Fewest channels on either side for which Winograd's transforms cost less than they save.
const WINOGRAD_CHANNELS: usize = 8;

/// How products are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Term by term.
    Direct,
    /// F(2×2, 3×3) of Lavin and Gray (2016): 16 products instead of 36 for four results.
    Winograd,
}

/// One result in a strip (of Winograd: one tile of four), in lane vectors.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Where its first term lies in the patch.
    pub patch: u32,
    /// Where it goes in its plane of the output, from the strip's first row.
    pub output: u32,
    /// Block of images in the patch.
    pub block: u32,
}

/// Results that use the same taps.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Rows and columns of the kernel used.
    pub taps: Vec<(usize, usize)>,
    /// For every input channel and tap, the offset of the term in the patch.
    pub offsets: Vec<u32>,
    /// Results of one strip; of several blocks one after another.
    pub columns: Vec<Column>,
}

/// A convolution's way through memory.
#[derive(Clone, Debug)]
pub struct Geometry {
    /// What is read.
    pub input: Shape,
    /// What is written.
    pub output: Shape,
    /// How products are formed.
    pub method: Method,
    /// Blocks of images side by side in one patch.
    pub blocks: usize,
    /// Input rows of a patch.
    pub patch_rows: usize,
    /// Columns of a patch.
    pub patch_columns: usize,
    /// Rows of zeros above the input, and columns to its left.
    pub border: usize,
    /// Output rows of a strip.
    pub rows: usize,
    /// Input rows from one output row to the next.
    pub stride: usize,
    /// One, or for the gradient of a strided convolution stride².
    pub phases: Vec<Phase>,
}

/// What determines a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Side of the kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Zeros on every side.
    pub padding: usize,
}

impl Geometry {
    /// The convolution itself, `group` blocks at most in one patch.
    pub fn forward(input: Shape, output: Shape, window: Window, lanes: usize, group: usize) -> Self {
        let winograd = window.kernel == 3
            && window.stride == 1
            && window.padding == 1
            && input[0].min(output[0]) >= WINOGRAD_CHANNELS;
        if winograd {
            Self::winograd(input, output, lanes, group)
        } else {
            Self::direct(input, output, window, lanes, group)
        }
    }

    /// Term by term in one strip, as the gradient with respect to the weights reads its input.
    pub fn correlation(input: Shape, output: Shape, window: Window, group: usize) -> Self {
        Self::strips_of(input, output, window, output[1], group)
    }

    fn direct(input: Shape, output: Shape, window: Window, lanes: usize, group: usize) -> Self {
        let patch_columns = (output[2] - 1) * window.stride + window.kernel;
        let row_bytes = input[0] * patch_columns * lanes * size_of::<f32>();
        let rows = strip_rows(output[1], row_bytes, window.stride, window.kernel, 1);
        Self::strips_of(input, output, window, rows, group)
    }

    fn strips_of(input: Shape, output: Shape, window: Window, rows: usize, group: usize) -> Self {
        let Window {
            kernel,
            stride,
            padding,
        } = window;
        let [channels, _, _] = input;
        let [_, height, width] = output;
        let patch_columns = (width - 1) * stride + kernel;
        let patch_rows = (rows - 1) * stride + kernel;
        let blocks = if rows == height { group } else { 1 };
        let taps: Vec<_> = (0..kernel).flat_map(|y| (0..kernel).map(move |x| (y, x))).collect();
        let plane = patch_rows * patch_columns;
        let offsets = (0..channels)
            .flat_map(|c| {
                taps.iter()
                    .map(move |&(y, x)| (c * plane + y * patch_columns + x) as u32)
            })
            .collect();
        let columns = grid(blocks, rows, width, channels * plane, |y, x| {
            (y * stride * patch_columns + x * stride, y * width + x)
        });
        Self {
            input,
            output,
            method: Method::Direct,
            blocks,
            patch_rows,
            patch_columns,
            border: padding,
            rows,
            stride,
            phases: vec![Phase { taps, offsets, columns }],
        }
    }

    fn winograd(input: Shape, output: Shape, lanes: usize, group: usize) -> Self {
        let [channels, _, _] = input;
        let [_, height, width] = output;
        let across = width.div_ceil(2);
        let patch_columns = 2 * across + 2;
        let row_bytes = channels * patch_columns * lanes * size_of::<f32>();
        let rows = strip_rows(height.next_multiple_of(2), row_bytes, 1, 3, 2);
        let patch_rows = rows + 2;
        let blocks = if rows >= height { group } else { 1 };
        let plane = patch_rows * patch_columns;
        let columns = grid(blocks, rows / 2, across, channels * plane, |y, x| {
            (2 * y * patch_columns + 2 * x, 2 * y * width + 2 * x)
        });
        Self {
            input,
            output,
            method: Method::Winograd,
            blocks,
            patch_rows,
            patch_columns,
            border: 1,
            rows,
            stride: 1,
            phases: vec![Phase {
                taps: (0..3).flat_map(|y| (0..3).map(move |x| (y, x))).collect(),
                offsets: (0..channels).map(|c| (c * plane) as u32).collect(),
                columns,
            }],
        }
    }

    /// The gradient with respect to the input of a convolution from `input` to `output`: it reads what has the shape
    /// of `output` and writes what has the shape of `input`.
    pub fn backward(input: Shape, output: Shape, window: Window, lanes: usize, group: usize) -> Self {
        let Window {
            kernel,
            stride,
            padding,
        } = window;
        if stride == 1 && padding < kernel {
            let window = Window {
                kernel,
                stride,
                padding: kernel - 1 - padding,
            };
            let mut geometry = Self::forward(output, input, window, lanes, group);
            for phase in &mut geometry.phases {
                // The kernel turned by half a turn.
                for tap in &mut phase.taps {
                    *tap = (kernel - 1 - tap.0, kernel - 1 - tap.1);
                }
            }
            return geometry;
        }
        Self::transposed(input, output, window, group)
    }

    /// The same as [`Geometry::backward`], but always term by term.
    pub fn transposed(input: Shape, output: Shape, window: Window, group: usize) -> Self {
        let Window {
            kernel,
            stride,
            padding,
        } = window;
        let [channels, height, width] = input;
        let [outputs, out_height, out_width] = output;
        let blocks = group;
        // Input position i gets from output position o where i + padding = stride · o + tap.
        let taps_of = |phase: usize| -> Vec<(usize, isize)> {
            (0..kernel)
                .filter_map(|tap| {
                    let distance = (phase + padding) as isize - tap as isize;
                    (distance.rem_euclid(stride as isize) == 0).then(|| (tap, distance.div_euclid(stride as isize)))
                })
                .collect()
        };
        let reach = (0..stride).flat_map(taps_of).map(|(_, d)| d);
        let before = reach.clone().min().map_or(0, |d| (-d).max(0)) as usize;
        let after = reach.max().map_or(0, |d| d.max(0)) as usize;
        let (steps_down, steps_across) = (height.div_ceil(stride), width.div_ceil(stride));
        let patch_rows = before + steps_down + after;
        let patch_columns = before + steps_across + after;
        let plane = patch_rows * patch_columns;
        let mut phases = Vec::new();
        for down in 0..stride {
            for right in 0..stride {
                let (rows, columns) = (taps_of(down), taps_of(right));
                let pairs: Vec<_> = rows
                    .iter()
                    .flat_map(|&(y, dy)| columns.iter().map(move |&(x, dx)| ((y, x), (dy, dx))))
                    .collect();
                let at = |d: isize| before.wrapping_add_signed(d);
                let offsets = (0..outputs)
                    .flat_map(|k| {
                        pairs
                            .iter()
                            .map(move |&(_, (dy, dx))| (k * plane + at(dy) * patch_columns + at(dx)) as u32)
                    })
                    .collect();
                let (high, wide) = (
                    (height - down.min(height)).div_ceil(stride),
                    (width - right.min(width)).div_ceil(stride),
                );
                phases.push(Phase {
                    taps: pairs.iter().map(|&(tap, _)| tap).collect(),
                    offsets,
                    columns: grid(blocks, high, wide, outputs * plane, |y, x| {
                        (y * patch_columns + x, (stride * y + down) * width + stride * x + right)
                    }),
                });
            }
        }
        Self {
            input: [outputs, out_height, out_width],
            output: [channels, height, width],
            method: Method::Direct,
            blocks,
            patch_rows,
            patch_columns,
            border: before,
            // One strip: its rows are input rows here.
            rows: height,
            stride: 1,
            phases,
        }
    }

    /// Lane vectors of one block in the patch.
    pub fn patch_size(&self) -> usize {
        self.input[0] * self.patch_rows * self.patch_columns
    }

    /// First output rows of the strips.
    pub fn strips(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.output[1]).step_by(self.rows)
    }

    /// How many of a phase's columns are of the first `blocks` blocks and, in a strip of one block, within the output
    /// from `first_row` on.
    pub fn columns<'a>(&self, phase: &'a Phase, blocks: usize, first_row: usize) -> &'a [Column] {
        let all = phase.columns.len();
        if first_row + self.rows > self.output[1] && self.blocks == 1 {
            let unit = if self.method == Method::Winograd { 2 } else { 1 };
            let rows = (self.output[1] - first_row).div_ceil(unit);
            &phase.columns[..all / (self.rows / unit) * rows]
        } else {
            &phase.columns[..all / self.blocks * blocks]
        }
    }
}

/// Output rows of a strip whose patch keeps within [`PATCH_BYTES`], a multiple of `unit`, evenly over the strips.
fn strip_rows(height: usize, row_bytes: usize, stride: usize, kernel: usize, unit: usize) -> usize {
    let fitting = (PATCH_BYTES / row_bytes.max(1)).saturating_sub(kernel) / stride + 1;
    let fitting = (fitting / unit * unit).clamp(unit, height);
    height.div_ceil(height.div_ceil(fitting)).next_multiple_of(unit)
}

fn grid(
    blocks: usize,
    rows: usize,
    columns: usize,
    block_size: usize,
    place: impl Fn(usize, usize) -> (usize, usize),
) -> Vec<Column> {
    let mut all = Vec::with_capacity(blocks * rows * columns);
    for block in 0..blocks {
        for row in 0..rows {
            for column in 0..columns {
                let (patch, output) = place(row, column);
                all.push(Column {
                    patch: (block * block_size + patch) as u32,
                    output: output as u32,
                    block: block as u32,
                });
            }
        }
    }
    all
}
