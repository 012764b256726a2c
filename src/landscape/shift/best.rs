//! The shift that leaves the smallest gap, found exactly for curves that are linear between their nodes.

use super::{LEAST_SHARE, NARROW, Shift, ShiftGap};

/// What lowers the gap by less than this share of ξ_0 is rounding.
const IMPROVEMENT: f64 = 1e-12;

impl ShiftGap {
    /// The lowest and highest δ that leave `least_share` of the range comparable: the axis of Fig. 3b.
    pub fn reach(&self, least_share: f64) -> Option<(f64, f64)> {
        let cells = self.cells((f64::NEG_INFINITY, f64::INFINITY), least_share);
        Some((cells.first()?.0, cells.last()?.1))
    }

    /// The δ of the smallest ξ_δ among those that leave [`LEAST_SHARE`] of the range comparable.
    pub fn best(&self) -> Option<Shift> {
        self.best_within((f64::NEG_INFINITY, f64::INFINITY), LEAST_SHARE)
    }

    /// The δ from the first of `deltas` to the second of the smallest ξ_δ, with at least `least_share`, from 0 to 1, of
    /// the range comparable; of several as good, one near 0. Nothing where no δ leaves as much. The smallest of curves
    /// linear between their nodes is exact; it costs as many steps as there are different distances between measured
    /// positions of the two curves, few on evenly spaced ones.
    pub fn best_within(&self, deltas: (f64, f64), least_share: f64) -> Option<Shift> {
        let margin = IMPROVEMENT * self.gap_at_zero;
        let enough = self.length(0.0) >= (least_share - NARROW) * self.width();
        let asked = (deltas.0..=deltas.1).contains(&0.0);
        let mut best = (enough && asked).then_some((0.0, self.gap_at_zero));
        let mut cells: Vec<(f64, f64)> = self
            .cells(deltas, least_share)
            .into_iter()
            .map(|(start, end)| (0.5 * (start + end), 0.5 * (end - start)))
            .collect();
        cells.sort_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
        for (middle, half) in cells {
            let wanted = best.map_or(f64::INFINITY, |(_, gap)| gap - margin);
            let lines: Vec<(f64, f64)> = self.differences(middle).collect();
            let offset = lowest(&lines, half);
            if highest(&lines, offset).0 >= wanted {
                continue;
            }
            let delta = middle + offset;
            if let Some(gap) = self.gap(delta).filter(|&gap| gap < wanted) {
                best = Some((delta, gap));
            }
        }
        self.at(best?.0)
    }

    /// Ranges of δ, ascending, in which no measured positions of the two curves pass one another, cut to those that
    /// leave enough of the range: what is left changes linearly within each.
    fn cells(&self, (low, high): (f64, f64), least_share: f64) -> Vec<(f64, f64)> {
        let train: Vec<f64> = self.train.iter().flatten().map(|node| node.0).collect();
        let tested = self.test.iter().flatten();
        let mut passing: Vec<f64> = tested
            .flat_map(|node| train.iter().map(move |at| node.0 - at))
            .collect();
        passing.sort_by(f64::total_cmp);
        let (Some(&first), Some(&last)) = (passing.first(), passing.last()) else {
            return Vec::new();
        };
        let (low, high) = (low.max(first), high.min(last));
        passing.retain(|&delta| low < delta && delta < high);
        passing.insert(0, low);
        passing.push(high);
        passing.dedup_by(|later, earlier| *later - *earlier <= NARROW * self.width());
        let spare = |delta: f64| self.length(delta) - (least_share - NARROW) * self.width();
        let cut = |cell: &[f64]| {
            let (start, end) = (cell[0], cell[1]);
            let (before, after) = (spare(start), spare(end));
            let crossing = start + (end - start) * before / (before - after);
            match (before >= 0.0, after >= 0.0) {
                (true, true) => Some((start, end)),
                (true, false) => Some((start, crossing)),
                (false, true) => Some((crossing, end)),
                (false, false) => None,
            }
        };
        passing.windows(2).filter_map(cut).collect()
    }
}

/// The highest of the |lines| at an offset, and its slope there. Each line is its value at 0 and its slope.
fn highest(lines: &[(f64, f64)], offset: f64) -> (f64, f64) {
    let at = lines.iter().map(|&(value, slope)| (value + slope * offset, slope));
    at.map(|(value, slope)| if value < 0.0 { (-value, -slope) } else { (value, slope) })
        .fold((0.0, 0.0), |top, line| if line.0 > top.0 { line } else { top })
}

/// The offset from −`half` to `half` at which the highest of the |lines| is lowest. It is convex, so where the lines
/// that are highest on either side meet bounds it from below: once that is a point of it, it is the lowest.
fn lowest(lines: &[(f64, f64)], half: f64) -> f64 {
    let (mut left, mut right) = (-half, half);
    let (mut falling, mut rising) = (highest(lines, left), highest(lines, right));
    if falling.1 >= 0.0 || rising.1 <= 0.0 {
        return if falling.1 >= 0.0 { left } else { right };
    }
    let rounding = 4.0 * f64::EPSILON * (falling.0 + rising.0);
    loop {
        let step = (rising.0 - falling.0 - rising.1 * (right - left)) / (falling.1 - rising.1);
        let meeting = left + step;
        let top = highest(lines, meeting);
        let bound = falling.0 + falling.1 * step;
        // A step within rounding would be taken again.
        if top.0 <= bound + rounding || top.1 == 0.0 || meeting <= left || meeting >= right {
            return meeting.clamp(left, right);
        }
        if top.1 < 0.0 {
            (left, falling) = (meeting, top);
        } else {
            (right, rising) = (meeting, top);
        }
    }
}
