//! Iso-lines of a surface: marching squares over the smooth surface, their pieces joined into lines.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::landscape::{Heights, Node};

/// Where the surface has the value `level`: lines in positions along the two axes, closed ones ending where they start.
/// The surface is sampled `finer` times as finely as its nodes lie, and linear in between. Lines stop at nodes that are
/// missing or not finite. A grid of one row or one column has none.
pub fn contour(heights: &Heights, level: f64, finer: usize) -> Vec<Vec<[f64; 2]>> {
    if heights.columns < 2 || heights.rows < 2 {
        return Vec::new();
    }
    let samples = Samples::new(heights, heights.height.of(level), finer.max(1));
    let mut links = samples.links();
    // Lines with ends first: started in its middle, such a line would come in two.
    let (mut starts, inner): (Vec<usize>, Vec<usize>) = links.keys().partition(|crossing| links[*crossing].len() == 1);
    starts.extend(inner);
    starts
        .into_iter()
        .filter_map(|start| walk(&mut links, start))
        .map(|line| line.into_iter().map(|crossing| samples.position(crossing)).collect())
        .collect()
}

/// The crossings that one crossing is joined with: one at a line's end, two elsewhere.
type Links = BTreeMap<usize, Vec<usize>>;

/// Follows a line from `start` to its end, or around to `start` again, and takes it out of `links`.
fn walk(links: &mut Links, start: usize) -> Option<Vec<usize>> {
    let mut line = vec![start];
    let mut here = start;
    while let Some(next) = links.get_mut(&here).and_then(Vec::pop) {
        if let Some(back) = links.get_mut(&next) {
            back.retain(|&crossing| crossing != here);
        }
        line.push(next);
        here = next;
    }
    (line.len() > 1).then_some(line)
}

/// Heights above the level on a grid finer than the nodes.
struct Samples<'a> {
    heights: &'a Heights,
    target: f64,
    finer: usize,
    columns: usize,
    rows: usize,
    /// `[rows][columns]`
    above: Vec<f64>,
}

impl<'a> Samples<'a> {
    fn new(heights: &'a Heights, target: f64, finer: usize) -> Self {
        let (columns, rows) = ((heights.columns - 1) * finer + 1, (heights.rows - 1) * finer + 1);
        let node = |index: usize| index as f64 / finer as f64;
        let above = (0..rows)
            .into_par_iter()
            .flat_map_iter(|row| (0..columns).map(move |column| heights.at(node(column), node(row)) - target))
            .collect();
        Self {
            heights,
            target,
            finer,
            columns,
            rows,
            above,
        }
    }

    fn node(&self, index: f64) -> f64 {
        index / self.finer as f64
    }

    /// Whether a cell has only finite nodes nearest to it. Asked in four places inside the cell, as a cell can lie
    /// between nodes.
    fn is_known(&self, column: usize, row: usize) -> bool {
        [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
            .iter()
            .all(|(x, y)| {
                let nearest = self
                    .heights
                    .nearest(self.node(column as f64 + x), self.node(row as f64 + y));
                matches!(nearest, Some(Node::Interpolated | Node::Measured))
            })
    }

    /// The crossings of the level with the cells' edges, joined cell by cell. A crossing is named by its edge: the edge
    /// to the right of sample `i` is `2 i`, the one up from it `2 i + 1`.
    fn links(&self) -> Links {
        let mut links = Links::new();
        let mut join = |a: usize, b: usize| {
            links.entry(a).or_default().push(b);
            links.entry(b).or_default().push(a);
        };
        for row in 0..self.rows - 1 {
            for column in 0..self.columns - 1 {
                let corner = row * self.columns + column;
                // Around the cell: bottom left, bottom right, top right, top left.
                let corners = [corner, corner + 1, corner + self.columns + 1, corner + self.columns];
                let is_above = corners.map(|index| self.above[index] > 0.0);
                if is_above == [is_above[0]; 4] || !self.is_known(column, row) {
                    continue;
                }
                let [bottom, right, top, left] =
                    [2 * corner, 2 * corner + 3, 2 * (corner + self.columns), 2 * corner + 1];
                let crossed: Vec<usize> = [bottom, right, top, left]
                    .into_iter()
                    .enumerate()
                    .filter(|&(side, _)| is_above[side] != is_above[(side + 1) % 4])
                    .map(|(_, edge)| edge)
                    .collect();
                if let [a, b] = crossed[..] {
                    join(a, b);
                    continue;
                }
                // A saddle: the middle belongs to one pair of opposite corners, and the lines cut off the other two.
                let middle = self
                    .heights
                    .at(self.node(column as f64 + 0.5), self.node(row as f64 + 0.5));
                if (middle > self.target) == is_above[0] {
                    join(bottom, right);
                    join(top, left);
                } else {
                    join(bottom, left);
                    join(right, top);
                }
            }
        }
        links
    }

    /// The two positions of a crossing.
    fn position(&self, crossing: usize) -> [f64; 2] {
        let (sample, upwards) = (crossing / 2, crossing % 2 == 1);
        let next = if upwards { sample + self.columns } else { sample + 1 };
        let (from, to) = (self.above[sample], self.above[next]);
        let share = from / (from - to);
        let (column, row) = ((sample % self.columns) as f64, (sample / self.columns) as f64);
        let (column, row) = if upwards {
            (column, row + share)
        } else {
            (column + share, row)
        };
        let along =
            |(start, end): (f64, f64), index: f64, count: usize| start + (end - start) * index / (count - 1) as f64;
        [
            along(self.heights.first, column, self.columns),
            along(self.heights.second, row, self.rows),
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
            let lines = contour(&heights, 3.0, 4);
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
        let below = contour(&heights, 0.5, 3);
        assert_eq!(below.len(), 2);
        assert!(below.iter().all(|line| is_closed(line)));
        assert!(below.iter().all(|line| line.iter().all(|[a, _]| a * line[0][0] > 0.0)));
        assert_eq!(contour(&heights, 1.5, 3).len(), 1);
        assert!(contour(&heights, -1.0, 3).is_empty());
    }

    #[test]
    fn a_saddle_is_resolved_by_its_middle() {
        // Four nodes a side: the saddle point is the middle of a cell.
        let heights = field(4, |a, b| a * b).heights(Scale::Linear);
        for (level, sign) in [(0.01, 1.0), (-0.01, -1.0)] {
            let lines = contour(&heights, level, 1);
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
            let lines = contour(&field.heights(Scale::Linear), 1.0, 5);
            assert_eq!(lines.len(), 1);
            assert!(!is_closed(&lines[0]));
            let nearest = lines[0].iter().map(|[a, b]| (a - 1.0).abs().max(b.abs()));
            // Half the distance of the nodes.
            assert!(nearest.fold(f64::INFINITY, f64::min) > 0.1 - 1e-9);
        }
    }

    #[test]
    fn a_grid_of_one_row_has_no_lines() {
        let mut flat = field(5, |a, _| a);
        (flat.rows, flat.second) = (1, (0.0, 0.0));
        flat.values.truncate(5);
        flat.known.truncate(5);
        assert!(contour(&flat.heights(Scale::Linear), 0.5, 4).is_empty());
    }
}
