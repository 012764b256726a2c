//! Where a grid is worth evaluating, and what stands between measured nodes. Nodes form levels: every second node of a
//! level is a node of the next coarser one, and the last node of an axis belongs to all. A finer level is predicted from
//! the coarser by cubic interpolation; where the prediction fails the surface is steep or curved, and its surroundings
//! are evaluated first.

use super::grid::{Field, Grid, Known, Quantity, range};
use super::scale::Scale;

/// Intervals of the coarsest level along an axis, at least.
const COARSE_INTERVALS: usize = 8;
/// How much better the next finer level is predicted, at least: 16 times on a smooth surface, where cubic interpolation
/// errs by the fourth power of the spacing.
const GAIN: f64 = 4.0;
/// Share of the largest height within which a surface is flat: more than rounding, less than any picture shows.
const FLAT: f64 = 1e-9;

/// The levels of one axis of `count` nodes.
#[derive(Clone, Copy)]
struct Ladder {
    count: usize,
    coarsest: u32,
    /// Levels of the other axis that are coarser than its own coarsest.
    behind: u32,
}

impl Ladder {
    fn new(count: usize) -> Self {
        let intervals = count.saturating_sub(1);
        Self {
            count,
            coarsest: (intervals / COARSE_INTERVALS).checked_ilog2().unwrap_or(0),
            behind: 0,
        }
    }

    /// Spacing of a level's nodes. The coarsest levels of both axes are one level, so that both are looked at from there.
    fn stride(self, level: u32) -> usize {
        1 << level.saturating_sub(self.behind).min(self.coarsest + 1)
    }

    /// Nodes of a level, ascending.
    fn nodes(self, level: u32) -> Vec<usize> {
        let last = self.count.saturating_sub(1);
        let mut nodes: Vec<usize> = (0..self.count).step_by(self.stride(level)).collect();
        if nodes.last().is_some_and(|&node| node != last) {
            nodes.push(last);
        }
        nodes
    }

    fn intervals(self, level: u32) -> usize {
        self.nodes(level).len().saturating_sub(1).max(1)
    }

    /// Number of the interval of a level that a node lies in.
    fn interval(self, level: u32, node: usize) -> usize {
        (node / self.stride(level)).min(self.intervals(level) - 1)
    }

    /// Nodes of a level within an interval of the next coarser one, both ends included.
    fn within(self, level: u32, interval: usize) -> Vec<usize> {
        let stride = self.stride(level + 1);
        let last = self.count - 1;
        let (start, end) = (interval * stride, ((interval + 1) * stride).min(last));
        let mut nodes: Vec<usize> = (start..=end).step_by(self.stride(level)).collect();
        if nodes.last() != Some(&end) {
            nodes.push(end);
        }
        nodes
    }
}

/// Both axes.
#[derive(Clone, Copy)]
struct Ladders {
    first: Ladder,
    second: Ladder,
}

impl Ladders {
    fn new(columns: usize, rows: usize) -> Self {
        let mut ladders = Self {
            first: Ladder::new(columns),
            second: Ladder::new(rows),
        };
        let top = ladders.coarsest();
        for ladder in [&mut ladders.first, &mut ladders.second] {
            ladder.behind = top - ladder.coarsest;
        }
        ladders
    }

    fn coarsest(self) -> u32 {
        self.first.coarsest.max(self.second.coarsest)
    }

    /// All nodes of a level.
    fn nodes(self, level: u32) -> impl Iterator<Item = usize> {
        let first = self.first.nodes(level);
        let columns = self.first.count;
        self.second
            .nodes(level)
            .into_iter()
            .flat_map(move |row| first.clone().into_iter().map(move |column| row * columns + column))
    }
}

/// Interpolates what is not measured of a loss or an accuracy, level by level. Nodes that nothing known surrounds stay
/// missing.
pub(super) fn fill(field: &mut Field) {
    let Some((low, high)) = field.range() else { return };
    let height = field.quantity.scale(Scale::Automatic).height(low, high);
    let ladders = Ladders::new(field.columns, field.rows);
    let mut heights: Vec<Option<f64>> = field
        .values
        .iter()
        .zip(&field.known)
        .map(|(&value, known)| (*known == Known::Measured).then(|| height.of(value)))
        .collect();
    for level in (0..=ladders.coarsest()).rev() {
        predict(&mut heights, ladders, level);
    }
    for ((value, known), filled) in field.values.iter_mut().zip(&mut field.known).zip(heights) {
        if let (Known::Missing, Some(filled)) = (*known, filled) {
            let between = height.value(filled);
            *value = match field.quantity.is_accuracy() {
                true => between.clamp(0.0, 1.0),
                false => between,
            };
            *known = Known::Interpolated;
        }
    }
}

/// Gives the nodes of `level` that have no height one from those of the next coarser level: along rows, then along
/// columns.
fn predict(heights: &mut [Option<f64>], ladders: Ladders, level: u32) {
    let columns = ladders.first.count;
    let (coarse_columns, coarse_rows) = (ladders.first.nodes(level + 1), ladders.second.nodes(level + 1));
    let (fine_columns, fine_rows) = (ladders.first.nodes(level), ladders.second.nodes(level));
    for &row in &coarse_rows {
        for &column in &fine_columns {
            let index = row * columns + column;
            if heights[index].is_none() {
                heights[index] = between(&coarse_columns, column, |node| heights[row * columns + node]);
            }
        }
    }
    for &row in &fine_rows {
        for &column in &fine_columns {
            let index = row * columns + column;
            if heights[index].is_none() {
                heights[index] = between(&coarse_rows, row, |node| heights[node * columns + column]);
            }
        }
    }
}

/// The value at `node` by the cubic through the four nearest of `nodes`, or through as many as are finite; where one of
/// its two neighbours is not finite, the nearer one's. Nothing beside a node that has no value.
fn between(nodes: &[usize], node: usize, value: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    let right = nodes.partition_point(|&n| n < node);
    let (&left_node, &right_node) = (nodes.get(right.checked_sub(1)?)?, nodes.get(right)?);
    let (left_value, right_value) = (value(left_node)?, value(right_node)?);
    if !left_value.is_finite() || !right_value.is_finite() {
        return Some(if node - left_node < right_node - node {
            left_value
        } else {
            right_value
        });
    }
    let start = right.saturating_sub(2).min(nodes.len().saturating_sub(4));
    let stencil: Vec<(f64, f64)> = nodes[start..(start + 4).min(nodes.len())]
        .iter()
        .filter_map(|&n| Some((n as f64, value(n).filter(|v| v.is_finite())?)))
        .collect();
    let x = node as f64;
    Some(
        stencil
            .iter()
            .map(|&(xi, vi)| {
                let others = stencil.iter().filter(|&&(xj, _)| xj != xi);
                vi * others.map(|&(xj, _)| (x - xj) / (xi - xj)).product::<f64>()
            })
            .sum(),
    )
}

/// The nodes to evaluate next, the most telling first; none when both losses are known to the tolerance: the error
/// allowed where nothing is evaluated, as a share of the range of a loss's heights. A tolerance of 0 asks for every node.
/// Accuracies are not looked at: they rise in steps, image by image, which no grid is fine enough for. They may be
/// further off, and so may differences, whose range is smaller than that of the losses they are between.
pub fn next(grid: &Grid, tolerance: f64) -> Vec<usize> {
    let (columns, values) = (grid.first.len(), &grid.values);
    if values.is_empty() {
        return Vec::new();
    }
    let ladders = Ladders::new(columns, grid.second.len());
    let missing = |index: &usize| values[*index].is_none();
    let top = ladders.coarsest();
    let coarse: Vec<usize> = ladders.nodes(top).filter(missing).collect();
    if !coarse.is_empty() {
        return from_the_origin(grid, coarse);
    }
    let sides = [Quantity::TrainLoss, Quantity::TestLoss].map(|quantity| Side::new(grid, quantity, ladders));
    let mut surprises = surprise(&sides, ladders, top);
    for level in (0..top).rev() {
        let (width, height) = (ladders.first.intervals(level + 1), ladders.second.intervals(level + 1));
        let mut found: Vec<(f64, usize)> = Vec::new();
        let mut seen = vec![false; values.len()];
        for cell in 0..width * height {
            let score = parent_surprise(&surprises, ladders, level + 1, cell % width, cell / width) / GAIN;
            if score <= tolerance && tolerance > 0.0 {
                continue;
            }
            for row in ladders.second.within(level, cell / width) {
                for column in ladders.first.within(level, cell % width) {
                    let index = row * columns + column;
                    if values[index].is_none() && !std::mem::replace(&mut seen[index], true) {
                        found.push((score, index));
                    }
                }
            }
        }
        if !found.is_empty() {
            found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            return found.into_iter().map(|(_, index)| index).collect();
        }
        surprises = surprise(&sides, ladders, level);
    }
    Vec::new()
}

/// Whether the coarsest level is complete, so that every node has a value or one between its neighbours'.
pub fn has_shape(grid: &Grid) -> bool {
    let ladders = Ladders::new(grid.first.len(), grid.second.len());
    ladders
        .nodes(ladders.coarsest())
        .all(|index| grid.values[index].is_some())
}

/// One quantity of a grid as heights.
struct Side {
    measured: Vec<Option<f64>>,
    /// The same with every node predicted from the level above its own.
    predicted: Vec<Option<f64>>,
    span: f64,
}

impl Side {
    fn new(grid: &Grid, quantity: Quantity, ladders: Ladders) -> Self {
        let measured = grid.values.iter().map(|value| value.map(|value| quantity.of(&value)));
        let (low, high) = grid.range(quantity).unwrap_or((0.0, 1.0));
        let height = quantity.scale(Scale::Automatic).height(low, high);
        let measured: Vec<Option<f64>> = measured.map(|value| value.map(|value| height.of(value))).collect();
        let heights = range(measured.iter().flatten().copied());
        // What differs by rounding alone is flat.
        let span = heights.map_or(1.0, |(low, high)| {
            (high - low).max(FLAT * low.abs().max(high.abs()).max(f64::MIN_POSITIVE))
        });
        let mut predicted = vec![None; measured.len()];
        let mut filled = measured.clone();
        for level in (0..=ladders.coarsest()).rev() {
            predict(&mut filled, ladders, level);
            // The same once more without what was measured on this level.
            let mut without: Vec<Option<f64>> = vec![None; measured.len()];
            ladders
                .nodes(level + 1)
                .for_each(|index| without[index] = filled[index]);
            predict(&mut without, ladders, level);
            for index in ladders.nodes(level) {
                predicted[index] = predicted[index].or(without[index]);
            }
        }
        Self {
            measured,
            predicted,
            span,
        }
    }

    /// By how much of the range the measurement differs from the prediction.
    fn surprise(&self, index: usize) -> f64 {
        match (self.measured[index], self.predicted[index]) {
            (Some(measured), Some(predicted)) if measured.is_finite() && predicted.is_finite() => {
                (measured - predicted).abs() / self.span
            }
            // The border of what is not finite is worth finding.
            (Some(measured), Some(predicted)) if measured.is_finite() != predicted.is_finite() => 1.0,
            _ => 0.0,
        }
    }
}

/// For every cell of the level above `level`, how badly its nodes of `level` were predicted.
fn surprise(sides: &[Side; 2], ladders: Ladders, level: u32) -> Vec<f64> {
    let (width, height) = (ladders.first.intervals(level + 1), ladders.second.intervals(level + 1));
    let columns = ladders.first.count;
    (0..width * height)
        .map(|cell| {
            let across = ladders.first.within(level, cell % width);
            ladders
                .second
                .within(level, cell / width)
                .into_iter()
                .flat_map(|row| across.iter().map(move |column| row * columns + column))
                .flat_map(|index| sides.iter().map(move |side| side.surprise(index)))
                .fold(0.0, f64::max)
        })
        .collect()
}

/// The surprise of the coarser cell that a cell of `level` lies in; those around it count for less.
fn parent_surprise(surprises: &[f64], ladders: Ladders, level: u32, column: usize, row: usize) -> f64 {
    let parent = |ladder: Ladder, interval: usize| ladder.interval(level + 1, interval * ladder.stride(level));
    let around =
        |centre: usize, ladder: Ladder| centre.saturating_sub(1)..(centre + 2).min(ladder.intervals(level + 1));
    let (column, row) = (parent(ladders.first, column), parent(ladders.second, row));
    let width = ladders.first.intervals(level + 1);
    let mut worst = surprises[row * width + column];
    for r in around(row, ladders.second) {
        for c in around(column, ladders.first) {
            worst = worst.max(surprises[r * width + c] / GAIN);
        }
    }
    worst
}

/// From position 0, 0 outwards, each axis measured by its extent: what lies around the solution is seen first.
fn from_the_origin(grid: &Grid, mut nodes: Vec<usize>) -> Vec<usize> {
    let extent =
        |positions: &[f64]| range(positions.iter().copied()).map_or(1.0, |(low, high)| (high - low).max(1e-300));
    let extents = [extent(&grid.first), extent(&grid.second)];
    let distance = |index: usize| {
        let position = grid.position(index);
        (position[0] / extents[0]).powi(2) + (position[1] / extents[1]).powi(2)
    };
    nodes.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)));
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::line::positions;
    use crate::objective::{Measurement, Quality};
    use proptest::prelude::*;

    fn measurement(loss: f64) -> Measurement {
        let quality = Quality { loss, accuracy: 0.5 };
        Measurement {
            train: quality,
            test: quality,
        }
    }

    fn refine(columns: usize, rows: usize, tolerance: f64, loss: impl Fn([f64; 2]) -> f64) -> Grid {
        let mut grid = Grid::new(positions(-2.0, 2.0, columns), positions(-1.0, 3.0, rows));
        loop {
            let asked = next(&grid, tolerance);
            if asked.is_empty() {
                return grid;
            }
            for index in asked {
                assert!(grid.values[index].is_none(), "asked twice");
                grid.values[index] = Some(measurement(loss(grid.position(index))));
            }
        }
    }

    /// Largest error of the interpolated field, as a share of the range.
    fn error(grid: &Grid, loss: impl Fn([f64; 2]) -> f64) -> f64 {
        let field = grid.field(Quantity::TrainLoss);
        let (low, high) = field.range().unwrap();
        let errors = field
            .values
            .iter()
            .enumerate()
            .map(|(index, value)| (value - loss(grid.position(index))).abs());
        errors.fold(0.0, f64::max) / (high - low)
    }

    #[test]
    fn no_tolerance_asks_for_every_node_once_on_sides_of_any_length() {
        for (columns, rows) in [(1, 1), (2, 1), (1, 9), (3, 40), (17, 5), (51, 51), (33, 18)] {
            let grid = refine(columns, rows, 0.0, |[a, b]| (a * 3.0).sin() + b);
            assert_eq!(grid.measured(), columns * rows, "{columns} by {rows}");
        }
    }

    #[test]
    fn a_cubic_surface_is_known_from_the_coarse_level() {
        let cubic = |[a, b]: [f64; 2]| 40.0 + a * a * a - a * b * b + 2.0 * b;
        let grid = refine(65, 49, 1e-6, cubic);
        assert!(grid.measured() <= 130, "{}", grid.measured());
        assert!(error(&grid, cubic) < 1e-9);
    }

    #[test]
    fn a_sharp_feature_is_found_and_met_within_the_tolerance() {
        let ridge = |[a, b]: [f64; 2]| 1.0 + 5.0 * (-((a - 0.5 * b - 0.3) / 0.15).powi(2)).exp();
        let grid = refine(65, 65, 0.01, ridge);
        assert!(grid.measured() < 65 * 65 * 2 / 3, "{}", grid.measured());
        assert!(error(&grid, ridge) < 0.01, "{}", error(&grid, ridge));
    }

    #[test]
    fn the_border_of_what_is_not_finite_is_followed() {
        let lost = |[a, b]: [f64; 2]| if a + b > 2.0 { f64::NAN } else { 1.0 + a * a };
        let grid = refine(33, 33, 0.01, lost);
        let field = grid.field(Quantity::TrainLoss);
        for (index, value) in field.values.iter().enumerate() {
            let [a, b] = grid.position(index);
            // One spacing beside the border either is right.
            if (a + b - 2.0).abs() > 0.13 {
                assert_eq!(value.is_nan(), lost([a, b]).is_nan(), "at {a}, {b}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_measured_is_never_changed(columns in 1_usize..40, rows in 1_usize..40, seed: u64) {
            let mut grid = Grid::new(positions(0.0, 1.0, columns), positions(0.0, 1.0, rows));
            for (index, value) in grid.values.iter_mut().enumerate() {
                let bits = seed.rotate_left(index as u32 % 64) ^ index as u64;
                if !bits.is_multiple_of(3) {
                    let loss = if bits.is_multiple_of(17) { f64::INFINITY } else { (bits % 1000) as f64 - 300.0 };
                    *value = Some(measurement(loss));
                }
            }
            let field = grid.field(Quantity::TestLoss);
            for (index, value) in grid.values.iter().enumerate() {
                if let Some(value) = value {
                    prop_assert_eq!(field.values[index].to_bits(), value.test.loss.to_bits());
                    prop_assert_eq!(field.known[index], Known::Measured);
                }
            }
        }
    }
}
