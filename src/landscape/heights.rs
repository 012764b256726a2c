//! The smooth surface through a field: heights on a linear or logarithmic scale with a ring of nodes around them, and
//! Catmull and Rom's cubic between them. The shaders draw these same numbers with the same cubic.

use super::grid::{Field, Known, Quantity};
use super::scale::{Height, Scale};

/// What stands at a node, as the shaders are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Node {
    /// Nothing is known there.
    Missing = 0,
    /// A value between measured ones.
    Interpolated = 1,
    /// A measured value.
    Measured = 2,
    /// A measured value that is NaN or infinite.
    NotFinite = 3,
}

/// Heights of a field's nodes with one node more on every side, so that the cubic needs no special case at the edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Heights {
    /// What it shows.
    pub quantity: Quantity,
    /// Nodes along the first axis, the ring not counted.
    pub columns: usize,
    /// Nodes along the second axis, the ring not counted.
    pub rows: usize,
    /// First and last position of the first axis.
    pub first: (f64, f64),
    /// First and last position of the second axis.
    pub second: (f64, f64),
    /// How values became heights.
    pub height: Height,
    /// Lowest and highest finite value.
    pub range: (f64, f64),
    /// Height and [`Node`] of every node, `[rows + 2][columns + 2]`. A node without a finite height has its neighbours'
    /// mean, which only its neighbours' curves are drawn with.
    pub nodes: Vec<[f32; 2]>,
}

impl Heights {
    /// The heights of `field`.
    pub fn new(field: &Field, scale: Scale) -> Self {
        let range = field.range().unwrap_or((0.0, 1.0));
        let height = field.quantity.scale(scale).height(range.0, range.1);
        let (columns, rows) = (field.columns, field.rows);
        let mut inner: Vec<(f64, Node)> = field
            .values
            .iter()
            .zip(&field.known)
            .map(|(&value, known)| {
                let node = match known {
                    Known::Missing => Node::Missing,
                    _ if !value.is_finite() => Node::NotFinite,
                    Known::Interpolated => Node::Interpolated,
                    Known::Measured => Node::Measured,
                };
                (height.of(value), node)
            })
            .collect();
        close(&mut inner, columns, rows);
        let width = columns + 2;
        let mut nodes = vec![[0.0; 2]; width * (rows + 2)];
        for row in 0..rows {
            for column in 0..columns {
                let (value, node) = inner[row * columns + column];
                nodes[(row + 1) * width + column + 1] = [value as f32, f32::from(node as u8)];
            }
        }
        let mut heights = Self {
            quantity: field.quantity,
            columns,
            rows,
            first: field.first,
            second: field.second,
            height,
            range,
            nodes,
        };
        heights.ring();
        heights
    }

    /// Continues each row and column by a quadratic, by a line or by its only value.
    fn ring(&mut self) {
        if self.columns == 0 || self.rows == 0 {
            return;
        }
        let width = self.columns + 2;
        let beyond = |nodes: &[[f32; 2]], start: usize, step: isize, count: usize| {
            let at = |k: isize| f64::from(nodes[(start as isize + k * step) as usize][0]);
            let height = match count {
                1 => at(0),
                2 => 2.0 * at(0) - at(1),
                _ => 3.0 * at(0) - 3.0 * at(1) + at(2),
            };
            [height as f32, nodes[start][1]]
        };
        for row in 1..=self.rows {
            let (first, last) = (row * width + 1, row * width + self.columns);
            self.nodes[first - 1] = beyond(&self.nodes, first, 1, self.columns);
            self.nodes[last + 1] = beyond(&self.nodes, last, -1, self.columns);
        }
        for column in 0..width {
            let (first, last) = (width + column, self.rows * width + column);
            self.nodes[first - width] = beyond(&self.nodes, first, width as isize, self.rows);
            self.nodes[last + width] = beyond(&self.nodes, last, -(width as isize), self.rows);
        }
    }

    /// Node coordinates (column, row) of two positions, fractional; an axis of one node has it everywhere.
    pub fn node(&self, [a, b]: [f64; 2]) -> [f64; 2] {
        let along = |(start, end): (f64, f64), count: usize, x: f64| {
            if count < 2 || start == end {
                0.0
            } else {
                (x - start) / (end - start) * (count - 1) as f64
            }
        };
        [along(self.first, self.columns, a), along(self.second, self.rows, b)]
    }

    /// The value at two positions: of the smooth surface, or of the nearest node where that is not finite. Nothing
    /// outside the grid or beside a missing node.
    pub fn value(&self, position: [f64; 2]) -> Option<f64> {
        let [x, y] = self.node(position);
        match self.nearest(x, y)? {
            Node::Missing => None,
            Node::NotFinite => Some(f64::NAN),
            Node::Interpolated | Node::Measured => Some(self.height.value(self.at(x, y))),
        }
    }

    /// What stands at the node nearest to node coordinates; nothing outside the grid.
    pub fn nearest(&self, x: f64, y: f64) -> Option<Node> {
        let index =
            |x: f64, count: usize| ((-1e-9..=(count as f64 - 1.0) + 1e-9).contains(&x)).then(|| x.round() as usize + 1);
        let (column, row) = (index(x, self.columns)?, index(y, self.rows)?);
        Some(match self.nodes[row * (self.columns + 2) + column][1] as u8 {
            0 => Node::Missing,
            1 => Node::Interpolated,
            2 => Node::Measured,
            _ => Node::NotFinite,
        })
    }

    /// The height at node coordinates inside the grid.
    pub fn at(&self, x: f64, y: f64) -> f64 {
        let (x, y) = (
            x.clamp(0.0, self.columns.saturating_sub(1) as f64),
            y.clamp(0.0, self.rows.saturating_sub(1) as f64),
        );
        // The last node belongs to the cell before it.
        let cell = |x: f64, count: usize| (x.floor() as usize).min(count.saturating_sub(2));
        let (column, row) = (cell(x, self.columns), cell(y, self.rows));
        let (wx, wy) = (cubic(x - column as f64), cubic(y - row as f64));
        let width = self.columns + 2;
        let mut sum = 0.0;
        for (j, wy) in wy.into_iter().enumerate() {
            for (i, wx) in wx.into_iter().enumerate() {
                let (column, row) = ((column + i).min(width - 1), (row + j).min(self.rows + 1));
                sum += wx * wy * f64::from(self.nodes[row * width + column][0]);
            }
        }
        sum
    }
}

/// Catmull and Rom's weights of the nodes −1, 0, 1, 2 at `t` between 0 and 1.
pub fn cubic(t: f64) -> [f64; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        0.5 * (-t + 2.0 * t2 - t3),
        0.5 * (2.0 - 5.0 * t2 + 3.0 * t3),
        0.5 * (t + 4.0 * t2 - 3.0 * t3),
        0.5 * (t3 - t2),
    ]
}

/// Gives nodes without a finite height the mean of those around them, ring by ring, and 0 where there are none at all.
fn close(nodes: &mut [(f64, Node)], columns: usize, rows: usize) {
    let mut open: Vec<usize> = (0..nodes.len())
        .filter(|&index| matches!(nodes[index].1, Node::Missing | Node::NotFinite))
        .collect();
    if open.len() == nodes.len() {
        nodes.iter_mut().for_each(|node| node.0 = 0.0);
        return;
    }
    open.iter().for_each(|&index| nodes[index].0 = f64::NAN);
    while !open.is_empty() {
        let means: Vec<(usize, f64)> = open
            .iter()
            .filter_map(|&index| {
                let (column, row) = (index % columns, index / columns);
                let (mut sum, mut count) = (0.0, 0.0);
                for r in row.saturating_sub(1)..(row + 2).min(rows) {
                    for c in column.saturating_sub(1)..(column + 2).min(columns) {
                        let height = nodes[r * columns + c].0;
                        if height.is_finite() {
                            (sum, count) = (sum + height, count + 1.0);
                        }
                    }
                }
                (count > 0.0).then(|| (index, sum / count))
            })
            .collect();
        for (index, mean) in means {
            nodes[index].0 = mean;
        }
        open.retain(|&index| nodes[index].0.is_nan());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(columns: usize, rows: usize, value: impl Fn(f64, f64) -> f64) -> Field {
        Field {
            first: (-1.0, 1.0),
            second: (-2.0, 3.0),
            columns,
            rows,
            values: (0..columns * rows)
                .map(|i| {
                    value(
                        -1.0 + 2.0 * (i % columns) as f64 / (columns - 1) as f64,
                        -2.0 + 5.0 * (i / columns) as f64 / (rows - 1) as f64,
                    )
                })
                .collect(),
            known: vec![Known::Measured; columns * rows],
            ..Field::default()
        }
    }

    #[test]
    fn a_quadratic_is_met_everywhere_up_to_the_edge() {
        let f = |a: f64, b: f64| 5.0 + 3.0 * a * a - 2.0 * a * b + b * b + a;
        let heights = field(7, 11, f).heights(Scale::Linear);
        for (a, b) in [(-1.0, -2.0), (1.0, 3.0), (0.97, -1.9), (0.123, 0.456), (-0.99, 2.99)] {
            let value = heights.value([a, b]).unwrap();
            assert!((value - f(a, b)).abs() < 1e-5, "{value} at {a}, {b}");
        }
        assert_eq!(heights.value([1.1, 0.0]), None);
    }

    #[test]
    fn a_field_without_nodes_has_no_heights() {
        for (columns, rows) in [(0, 0), (0, 3), (3, 0)] {
            let empty = Field {
                columns,
                rows,
                ..Field::default()
            };
            assert_eq!(empty.heights(Scale::Automatic).value([0.0, 0.0]), None);
        }
    }

    #[test]
    fn accuracies_have_no_logarithm_unless_told() {
        let mut field = field(5, 5, |a, _| 0.01 + 0.4 * (a + 1.0));
        assert!(field.heights(Scale::Automatic).height.logarithmic);
        field.quantity = Quantity::TestAccuracy;
        assert!(!field.heights(Scale::Automatic).height.logarithmic);
        assert!(field.heights(Scale::Logarithmic).height.logarithmic);
    }

    #[test]
    fn what_is_not_finite_stays_so_and_does_not_spread() {
        let mut field = field(9, 9, |a, b| a * a + b * b);
        field.values[4 * 9 + 4] = f64::NAN;
        field.known[0] = Known::Missing;
        let heights = field.heights(Scale::Automatic);
        assert!(heights.value([0.0, 0.5]).unwrap().is_nan());
        assert!(heights.value([0.25, 0.5]).unwrap().is_finite());
        assert_eq!(heights.value([-1.0, -2.0]), None);
        let lost = Field {
            values: vec![f64::INFINITY; 81],
            ..field
        };
        assert!(lost.heights(Scale::Logarithmic).value([0.0, 0.0]).unwrap().is_nan());
    }
}
