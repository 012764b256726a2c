//! Iso-lines of a surface: marching squares over the smooth surface, their pieces joined into lines.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::landscape::{Heights, Node};

/// Rows of samples that are taken at once: enough work to share out, and little to hold.
const ROWS_AT_ONCE: usize = 64;

/// The samples at the two ends of each side of a cell, where the sides are the bottom, right, top and left one, and the
/// samples lie at the bottom left, bottom right, top right and top left. A crossing is computed the same from both of
/// its cells: from the left or lower sample.
const ENDS: [[usize; 2]; 4] = [[0, 1], [1, 2], [3, 2], [0, 3]];

/// Where the surface has the value `level`: lines in positions along the two axes, closed ones ending where they start.
/// The surface is sampled at the ends of so many even `intervals` along each axis, which can be more or fewer than its
/// nodes, and is linear in between. Lines stop at nodes that are missing or not finite. A grid of one row or one column
/// has none.
pub fn contour(heights: &Heights, level: f64, intervals: [usize; 2]) -> Vec<Vec<[f64; 2]>> {
    if heights.columns < 2 || heights.rows < 2 {
        return Vec::new();
    }
    let samples = Samples {
        heights,
        target: heights.height.of(level),
        intervals: intervals.map(|count| count.max(1)),
    };
    let mut links = samples.links();
    // Lines with ends first: started in its middle, such a line would come in two.
    let (mut starts, inner): (Vec<usize>, Vec<usize>) = links.keys().partition(|crossing| links[*crossing].is_end());
    starts.extend(inner);
    starts.into_iter().filter_map(|start| walk(&mut links, start)).collect()
}

/// A place where the level crosses an edge between two samples.
struct Crossing {
    position: [f64; 2],
    /// The crossings that it is joined with: one at a line's end, two elsewhere, as an edge has a cell on either side.
    joined: [Option<usize>; 2],
}

impl Crossing {
    fn new(position: [f64; 2]) -> Self {
        Self {
            position,
            joined: [None; 2],
        }
    }

    fn join(&mut self, other: usize) {
        if let Some(free) = self.joined.iter_mut().find(|joined| joined.is_none()) {
            *free = Some(other);
        }
    }

    fn is_end(&self) -> bool {
        self.joined.iter().flatten().count() == 1
    }

    /// Takes out a way on, if there is one.
    fn leave(&mut self) -> Option<usize> {
        self.joined.iter_mut().rev().find_map(Option::take)
    }

    /// Takes out the way back to another crossing.
    fn part(&mut self, other: usize) {
        for joined in &mut self.joined {
            if *joined == Some(other) {
                *joined = None;
            }
        }
    }
}

/// The crossings by the numbers of their edges: the edge to the right of sample `i` is `2 i`, the one up from it
/// `2 i + 1`.
type Links = BTreeMap<usize, Crossing>;

/// Follows a line from `start` to its end, or around to `start` again, and takes it out of `links`.
fn walk(links: &mut Links, start: usize) -> Option<Vec<[f64; 2]>> {
    let mut line = Vec::new();
    let mut here = start;
    while let Some(crossing) = links.get_mut(&here) {
        line.push(crossing.position);
        let Some(next) = crossing.leave() else { break };
        if let Some(other) = links.get_mut(&next) {
            other.part(here);
        }
        here = next;
    }
    (line.len() > 1).then_some(line)
}

/// The surface on a grid of samples.
struct Samples<'a> {
    heights: &'a Heights,
    /// Height of the level.
    target: f64,
    /// Intervals between the samples along each axis.
    intervals: [usize; 2],
}

impl Samples<'_> {
    /// Node coordinates of a place given in samples.
    fn node(&self, column: f64, row: f64) -> [f64; 2] {
        let along = |index: f64, nodes: usize, intervals: usize| index * (nodes - 1) as f64 / intervals as f64;
        [
            along(column, self.heights.columns, self.intervals[0]),
            along(row, self.heights.rows, self.intervals[1]),
        ]
    }

    /// Height above the level.
    fn above(&self, column: f64, row: f64) -> f64 {
        let [x, y] = self.node(column, row);
        self.heights.at(x, y) - self.target
    }

    /// Heights above the level of a row of samples.
    fn row(&self, row: usize) -> Vec<f64> {
        (0..=self.intervals[0])
            .map(|column| self.above(column as f64, row as f64))
            .collect()
    }

    /// Whether a cell has only finite nodes nearest to it. Asked in two places along each axis, as a cell can lie
    /// between nodes, and in more, at most half a node apart, where it holds several.
    fn is_known(&self, column: usize, row: usize) -> bool {
        let places = |nodes: usize, intervals: usize| (2 * (nodes - 1)).div_ceil(intervals).max(2);
        let across = places(self.heights.columns, self.intervals[0]);
        let up = places(self.heights.rows, self.intervals[1]);
        let place = |index: usize, count: usize| (index as f64 + 0.5) / count as f64;
        (0..across * up).all(|index| {
            let (x, y) = (place(index % across, across), place(index / across, up));
            let [x, y] = self.node(column as f64 + x, row as f64 + y);
            matches!(self.heights.nearest(x, y), Some(Node::Interpolated | Node::Measured))
        })
    }

    /// The crossings of the level with the cells' edges, joined cell by cell. Samples are held for a few rows only.
    fn links(&self) -> Links {
        let rows = self.intervals[1] + 1;
        let mut links = Links::new();
        let mut below = self.row(0);
        for first in (1..rows).step_by(ROWS_AT_ONCE) {
            let next: Vec<Vec<f64>> = (first..rows.min(first + ROWS_AT_ONCE))
                .into_par_iter()
                .map(|row| self.row(row))
                .collect();
            for (row, above) in (first - 1..).zip(next) {
                self.link_row(&mut links, row, &below, &above);
                below = above;
            }
        }
        links
    }

    /// Joins the crossings around each cell of a row, between the samples below it and above it.
    fn link_row(&self, links: &mut Links, row: usize, below: &[f64], above: &[f64]) {
        let columns = below.len();
        for column in 0..columns - 1 {
            // Around the cell: bottom left, bottom right, top right, top left.
            let corners = [below[column], below[column + 1], above[column + 1], above[column]];
            let is_above = corners.map(|height| height > 0.0);
            if is_above == [is_above[0]; 4] || !self.is_known(column, row) {
                continue;
            }
            let corner = row * columns + column;
            let edges = [2 * corner, 2 * corner + 3, 2 * (corner + columns), 2 * corner + 1];
            let mut join = |one: usize, other: usize| {
                for (side, to) in [(one, other), (other, one)] {
                    let [start, end] = ENDS[side].map(|corner| corners[corner]);
                    links
                        .entry(edges[side])
                        .or_insert_with(|| Crossing::new(self.position(edges[side], start / (start - end))))
                        .join(edges[to]);
                }
            };
            let crossed: Vec<usize> = (0..ENDS.len())
                .filter(|&side| is_above[side] != is_above[(side + 1) % 4])
                .collect();
            if let [one, other] = crossed[..] {
                join(one, other);
                continue;
            }
            // A saddle: the middle belongs to one pair of opposite corners, and the lines cut off the other two.
            let [bottom, right, top, left] = [0, 1, 2, 3];
            let middle = self.above(column as f64 + 0.5, row as f64 + 0.5);
            if (middle > 0.0) == is_above[0] {
                join(bottom, right);
                join(top, left);
            } else {
                join(bottom, left);
                join(right, top);
            }
        }
    }

    /// The two positions of the crossing that lies a share along an edge.
    fn position(&self, edge: usize, share: f64) -> [f64; 2] {
        let columns = self.intervals[0] + 1;
        let (sample, upwards) = (edge / 2, edge % 2 == 1);
        let (column, row) = ((sample % columns) as f64, (sample / columns) as f64);
        let (column, row) = if upwards {
            (column, row + share)
        } else {
            (column + share, row)
        };
        let along =
            |(start, end): (f64, f64), index: f64, intervals: usize| start + (end - start) * index / intervals as f64;
        [
            along(self.heights.first, column, self.intervals[0]),
            along(self.heights.second, row, self.intervals[1]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::{Field, Known, Scale};

    /// A surface over the square from −2 to 2.
    fn field(nodes: usize, value: impl Fn(f64, f64) -> f64) -> Field {
        let position = |index: usize| -2.0 + 4.0 * index as f64 / (nodes - 1) as f64;
        Field {
            first: (-2.0, 2.0),
            second: (-2.0, 2.0),
            columns: nodes,
            rows: nodes,
            values: (0..nodes * nodes)
                .map(|index| value(position(index % nodes), position(index / nodes)))
                .collect(),
            known: vec![Known::Measured; nodes * nodes],
            ..Field::default()
        }
    }

    fn is_closed(line: &[[f64; 2]]) -> bool {
        line.len() > 3 && line.first() == line.last()
    }

    #[test]
    fn an_iso_line_of_a_quadratic_is_one_closed_ellipse() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            // Kept above 0, for the logarithm.
            let heights = field(41, |a, b| 1.0 + a * a + 4.0 * b * b).heights(scale);
            let lines = contour(&heights, 3.0, [160; 2]);
            assert_eq!(lines.len(), 1);
            assert!(is_closed(&lines[0]) && lines[0].len() > 100);
            for [a, b] in &lines[0] {
                let value = a * a + 4.0 * b * b;
                assert!((value - 2.0).abs() < 1e-3, "{value} at {a}, {b}");
            }
            let reach = lines[0].iter().map(|[a, _]| a.abs()).fold(0.0, f64::max);
            assert!((reach - 2.0f64.sqrt()).abs() < 1e-2, "{reach}");
        }
    }

    #[test]
    fn two_basins_have_a_line_each_and_one_above_the_pass() {
        let heights = field(41, |a, b| (a * a - 1.0).powi(2) + b * b).heights(Scale::Linear);
        let below = contour(&heights, 0.5, [120; 2]);
        assert_eq!(below.len(), 2);
        assert!(below.iter().all(|line| is_closed(line)));
        assert!(below.iter().all(|line| line.iter().all(|[a, _]| a * line[0][0] > 0.0)));
        assert_eq!(contour(&heights, 1.5, [120; 2]).len(), 1);
        assert!(contour(&heights, -1.0, [120; 2]).is_empty());
    }

    #[test]
    fn a_saddle_is_resolved_by_its_middle() {
        // Four nodes a side: the saddle point is the middle of a cell.
        let heights = field(4, |a, b| a * b).heights(Scale::Linear);
        for (level, sign) in [(0.01, 1.0), (-0.01, -1.0)] {
            let lines = contour(&heights, level, [3; 2]);
            assert_eq!(lines.len(), 2);
            for line in lines {
                assert!(
                    line.iter().all(|[a, b]| a * line[0][0] > 0.0 && sign * a * b > 0.0),
                    "{line:?}"
                );
            }
        }
    }

    #[test]
    fn lines_stop_at_what_is_not_known() {
        let mut field = field(21, |a, b| a * a + b * b);
        // The node at (1, 0), on the line.
        let node = 10 * 21 + 15;
        for known in [Known::Missing, Known::Measured] {
            (field.known[node], field.values[node]) = (known, f64::NAN);
            let lines = contour(&field.heights(Scale::Linear), 1.0, [100; 2]);
            assert_eq!(lines.len(), 1);
            assert!(!is_closed(&lines[0]));
            let nearest = lines[0].iter().map(|[a, b]| (a - 1.0).abs().max(b.abs()));
            // Half the distance of the nodes.
            assert!(nearest.fold(f64::INFINITY, f64::min) > 0.1 - 1e-9);
        }
    }

    #[test]
    fn samples_can_lie_farther_apart_than_nodes_and_different_along_each_axis() {
        let mut field = field(201, |a, b| a * a + b * b);
        for intervals in [[40, 40], [40, 400], [37, 80]] {
            let lines = contour(&field.heights(Scale::Linear), 1.1, intervals);
            assert_eq!(lines.len(), 1);
            assert!(is_closed(&lines[0]));
            for [a, b] in &lines[0] {
                // A chord of 0.1 is 0.0012 off the circle.
                assert!((a.hypot(*b) - 1.1f64.sqrt()).abs() < 2e-3, "{a}, {b}");
            }
        }
        // A node inside of a cell that the line crosses.
        field.values[102 * 201 + 152] = f64::NAN;
        let lines = contour(&field.heights(Scale::Linear), 1.1, [40; 2]);
        assert_eq!(lines.len(), 1);
        assert!(!is_closed(&lines[0]));
    }

    #[test]
    fn a_grid_of_one_row_has_no_lines() {
        let mut flat = field(5, |a, _| a);
        (flat.rows, flat.second) = (1, (0.0, 0.0));
        flat.values.truncate(5);
        flat.known.truncate(5);
        assert!(contour(&flat.heights(Scale::Linear), 0.5, [16; 2]).is_empty());
    }
}
