//! The shift gap ξ_δ: how far the test loss along a line still is from the train loss after it was moved by δ
//! (*Asymmetric Valleys*, Definition 3, Fig. 3 and the verification of Assumption 1; the same in both versions).
//!
//! With L̂ the train loss and L the test loss, which stands for the population loss, L' = L − min L + min L̂ and
//! ξ_δ = max |L'(l + δ) − L̂(l)| over the positions l of a range, −3 to 3 in the paper.
//!
//! Both curves are linear between their measured positions. Then the maximum is at a measured position of either, and
//! between two δ at which measured positions of the two pass one another ξ_δ is the largest of |straight lines|: both
//! are found exactly. Against curves whose second derivatives are at most M and M̂, measured every h, ξ_δ errs by at
//! most (M + M̂ + max(M, M̂))·h²/8: h²/8 of each for the lines, and of one for the minima.

mod best;
pub(super) mod piecewise;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use piecewise::{Stretch, ascending, clipped, piece, stretches};

use super::curve::{Curve, Minimum};
use crate::data::Part;
use crate::error::{Error, Result};

/// Share of the range that must stay comparable when the best δ is looked for, unless told otherwise. Every δ drops
/// what the shifted test curve does not reach: with less, a gap is small since the steep side is no longer looked at.
pub const LEAST_SHARE: f64 = 0.5;
/// What is narrower than this share of the range is rounding.
const NARROW: f64 = 1e-10;

/// A train and a test curve over a range of positions, ready to be shifted against one another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShiftGap {
    /// First and last position l of the train curve that is looked at.
    pub range: (f64, f64),
    /// Lowest finite loss of the whole train curve: min L̂.
    pub train_minimum: Minimum,
    /// Lowest finite loss of the whole test curve: min L.
    pub test_minimum: Minimum,
    /// Pieces of the train curve left out, first to last position: a loss at one end is NaN or infinite.
    pub train_unknown: Vec<(f64, f64)>,
    /// Pieces of the test curve left out for the same reason.
    pub test_unknown: Vec<(f64, f64)>,
    /// ξ_0, in units of the loss.
    pub gap_at_zero: f64,
    /// L̂ within the range.
    train: Vec<Stretch>,
    /// L'.
    test: Vec<Stretch>,
}

/// The gap that a shift leaves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// δ, in units of the position: the valley of the test loss lies δ further along the line.
    pub delta: f64,
    /// ξ_δ, in units of the loss.
    pub gap: f64,
    /// ξ_0.
    pub gap_at_zero: f64,
    /// ξ_δ/ξ_0; nothing where ξ_0 is 0.
    pub ratio: Option<f64>,
    /// First and last position l at which the two were compared.
    pub covered: (f64, f64),
    /// Share of the range over which they were compared, from 0 to 1: less where one ends or is not finite.
    pub share: f64,
}

/// A stretch of each curve and the positions that they share.
struct Overlap<'a> {
    train: &'a [(f64, f64)],
    test: &'a [(f64, f64)],
    from: f64,
    to: f64,
}

impl ShiftGap {
    /// Of a train and a test curve, each (position, loss) by ascending position, for train positions within `range`.
    /// The positions of the two may differ; a test curve that reaches beyond the range keeps more of it comparable.
    ///
    /// # Errors
    /// When the range is empty or not finite, positions do not ascend, a curve has no finite loss, or the two have
    /// nothing in common within the range.
    pub fn new(train: &[(f64, f64)], test: &[(f64, f64)], range: (f64, f64)) -> Result<Self> {
        let (start, end) = range;
        if !start.is_finite() || !end.is_finite() || start >= end {
            return Err(Error::Request(format!(
                "a shift gap needs a range from a lower to a higher position; {start} to {end} is none"
            )));
        }
        let (train_minimum, test_minimum) = (minimum(train, "train")?, minimum(test, "test")?);
        let (train, train_unknown) = stretches(train);
        let (mut test, test_unknown) = stretches(test);
        for (_, loss) in test.iter_mut().flatten() {
            *loss += train_minimum.loss - test_minimum.loss;
        }
        let mut gap = Self {
            range,
            train_minimum,
            test_minimum,
            train_unknown,
            test_unknown,
            gap_at_zero: 0.0,
            train: train.iter().filter_map(|stretch| clipped(stretch, range)).collect(),
            test,
        };
        gap.gap_at_zero = gap.gap(0.0).ok_or_else(|| {
            Error::Request(format!(
                "between {start} and {end} there is no piece of the line with finite train and test losses; \
                 measure it more finely or nearer to its origin"
            ))
        })?;
        Ok(gap)
    }

    /// Of the two splits of one measured curve, whose positions may stand in any order.
    ///
    /// # Errors
    /// As [`ShiftGap::new`].
    pub fn along(curve: &Curve, range: (f64, f64)) -> Result<Self> {
        let points = |part| {
            let mut points: Vec<(f64, f64)> = curve.losses(part).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            points.dedup_by(|later, earlier| later.0 == earlier.0);
            points
        };
        Self::new(&points(Part::Train), &points(Part::Test), range)
    }

    /// ξ_δ over what of the range both curves are known on; nothing where that is nothing.
    pub fn gap(&self, delta: f64) -> Option<f64> {
        self.differences(delta)
            .map(|(difference, _)| difference.abs())
            .reduce(f64::max)
    }

    /// ξ_δ with what it stands on; nothing where the curves have nothing in common.
    pub fn at(&self, delta: f64) -> Option<Shift> {
        let gap = self.gap(delta)?;
        let covered = self
            .overlaps(delta)
            .map(|overlap| (overlap.from, overlap.to))
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some(Shift {
            delta,
            gap,
            gap_at_zero: self.gap_at_zero,
            ratio: Some(gap / self.gap_at_zero).filter(|ratio| ratio.is_finite()),
            covered,
            share: self.length(delta) / self.width(),
        })
    }

    /// ξ_δ/ξ_0 at each δ (Fig. 3b); nothing where the curves have nothing in common or ξ_0 is 0.
    pub fn curve(&self, deltas: &[f64]) -> Vec<Option<f64>> {
        deltas.iter().map(|&delta| self.at(delta)?.ratio).collect()
    }

    /// (l, L'(l + δ)), the raised test curve moved by δ so that it lies over the train curve, in stretches between
    /// losses that are not finite.
    pub fn shifted(&self, delta: f64) -> Vec<Vec<(f64, f64)>> {
        let moved = |&(position, loss): &(f64, f64)| (position - delta, loss);
        self.test
            .iter()
            .map(|stretch| stretch.iter().map(moved).collect())
            .collect()
    }

    fn width(&self) -> f64 {
        self.range.1 - self.range.0
    }

    /// Where both curves are known. Stretches that merely touch have nothing in common, so that ξ has a smallest value.
    fn overlaps(&self, delta: f64) -> impl Iterator<Item = Overlap<'_>> {
        let narrow = NARROW * self.width();
        self.train.iter().flat_map(move |train| {
            self.test.iter().filter_map(move |test| {
                let from = train[0].0.max(test[0].0 - delta);
                let to = train[train.len() - 1].0.min(test[test.len() - 1].0 - delta);
                let shared = delta.is_finite() && to - from > narrow;
                shared.then_some(Overlap { train, test, from, to })
            })
        })
    }

    /// Length of what both curves are known on.
    fn length(&self, delta: f64) -> f64 {
        self.overlaps(delta).map(|overlap| overlap.to - overlap.from).sum()
    }

    /// L'(l + δ) − L̂(l) and its derivative by δ, at every measured position of either curve. At a train position L'
    /// moves along its slope; at a test position, which stays with its l + δ, −L̂ moves back along its own.
    fn differences(&self, delta: f64) -> impl Iterator<Item = (f64, f64)> {
        self.overlaps(delta).flat_map(move |overlap| {
            let Overlap { train, test, from, to } = overlap;
            let inside = move |position: f64| (from..=to).contains(&position);
            let trained = train.iter().filter(move |node| inside(node.0));
            let tested = test.iter().filter(move |node| inside(node.0 - delta));
            let at_trained = trained.map(move |&(position, loss)| {
                let (raised, slope) = piece(test, position + delta);
                (raised - loss, slope)
            });
            at_trained.chain(tested.map(move |&(position, raised)| {
                let (loss, slope) = piece(train, position - delta);
                (raised - loss, slope)
            }))
        })
    }
}

/// The lowest finite loss of a curve.
fn minimum(points: &[(f64, f64)], name: &str) -> Result<Minimum> {
    ascending(points, name)?;
    let finite = points.iter().enumerate().filter(|(_, node)| node.1.is_finite());
    let lowest = finite.min_by(|(_, a), (_, b)| a.1.total_cmp(&b.1));
    let (index, &(position, loss)) =
        lowest.ok_or_else(|| Error::Request(format!("the {name} curve has no finite loss")))?;
    Ok(Minimum {
        position,
        loss,
        at_edge: index == 0 || index + 1 == points.len(),
    })
}
