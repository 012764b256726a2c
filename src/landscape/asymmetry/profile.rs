//! The loss along a line as that which slopes are taken from.

use serde::{Deserialize, Serialize};

use super::{Side, SlopeSource};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::landscape::curve::Curve;

/// Losses by ascending position l on a line w + l·u, with the slopes dL/dl there where they are known. Positions are
/// distances from w where u is of unit length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub(super) nodes: Vec<Node>,
    slopes: SlopeSource,
}

/// One position. What is not finite there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Node {
    pub position: f64,
    pub loss: Option<f64>,
    pub slope: Option<f64>,
}

/// The smallest and the largest of several slopes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub low: f64,
    pub high: f64,
}

impl Bounds {
    /// Of both.
    pub fn joined(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    /// Of slopes dL/dl, those going out on one side.
    pub fn outward(self, side: Side) -> Self {
        match side {
            Side::Positive => self,
            Side::Negative => Self {
                low: -self.high,
                high: -self.low,
            },
        }
    }
}

impl Node {
    /// Slopes dL/dl from here to the next position; nothing where a loss or slope is not finite.
    pub fn slopes_to(&self, next: &Self, source: SlopeSource) -> Option<Bounds> {
        let (here, there) = (self.loss?, next.loss?);
        let (first, last) = match source {
            SlopeSource::Exact => (self.slope?, next.slope?),
            SlopeSource::Differences => {
                let slope = (there - here) / (next.position - self.position);
                (slope, slope)
            }
        };
        (first.is_finite() && last.is_finite()).then(|| Bounds {
            low: first.min(last),
            high: first.max(last),
        })
    }
}

impl Profile {
    /// Losses at positions, one each. Those that are NaN or infinite are gaps.
    ///
    /// # Errors
    /// When there are not as many losses as positions, or the positions are not finite or do not ascend.
    pub fn new(positions: &[f64], losses: &[f64]) -> Result<Self> {
        if positions.len() != losses.len() {
            return Err(Error::Request(format!(
                "the curve has {} positions and {} losses; give one loss a position",
                positions.len(),
                losses.len()
            )));
        }
        if let Some(position) = positions.iter().find(|position| !position.is_finite()) {
            return Err(Error::Request(format!(
                "the curve has the position {position}; give finite positions"
            )));
        }
        if let Some(pair) = positions.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::Request(format!(
                "the position {} of the curve is followed by {}; give them in ascending order, each once",
                pair[0], pair[1]
            )));
        }
        Ok(Self::from_points(positions.iter().copied().zip(losses.iter().copied())))
    }

    /// One split of a curve, wherever it was measured: the neighbours of a position not measured yet are taken as
    /// neighbours. A position measured twice counts once.
    pub fn of(curve: &Curve, part: Part) -> Self {
        let mut points: Vec<(f64, f64)> = curve
            .losses(part)
            .filter(|(position, _)| position.is_finite())
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by(|later, first| later.0 == first.0);
        Self::from_points(points.into_iter())
    }

    fn from_points(points: impl Iterator<Item = (f64, f64)>) -> Self {
        Self {
            nodes: points
                .map(|(position, loss)| Node {
                    position,
                    loss: finite(loss),
                    slope: None,
                })
                .collect(),
            slopes: SlopeSource::Differences,
        }
    }

    /// The same with the slope dL/dl at each position, ⟨∇L(w + l·u), u⟩, in losses per unit of l.
    ///
    /// # Errors
    /// When there are not as many slopes as positions.
    pub fn with_slopes(mut self, slopes: &[f64]) -> Result<Self> {
        if slopes.len() != self.nodes.len() {
            return Err(Error::Request(format!(
                "the curve has {} positions and {} slopes; give one slope a position",
                self.nodes.len(),
                slopes.len()
            )));
        }
        for (node, &slope) in self.nodes.iter_mut().zip(slopes) {
            node.slope = finite(slope);
        }
        self.slopes = SlopeSource::Exact;
        Ok(self)
    }

    /// Positions, ascending.
    pub fn positions(&self) -> impl Iterator<Item = f64> {
        self.nodes.iter().map(|node| node.position)
    }

    /// What its slopes are taken from, if nothing else is asked for.
    pub fn slopes(&self) -> SlopeSource {
        self.slopes
    }

    /// Slopes going out between two distances that have no position between them, on one side: those of the segment
    /// that they lie in. Nothing where it is not measured or not finite.
    pub(super) fn bounds(&self, side: Side, from: f64, to: f64, source: SlopeSource) -> Option<Bounds> {
        let (low, high) = side.span(from, to);
        let next = self.nodes.partition_point(|node| node.position <= low);
        let (left, right) = (self.nodes.get(next.checked_sub(1)?)?, self.nodes.get(next)?);
        if right.position < high {
            return None;
        }
        Some(left.slopes_to(right, source)?.outward(side))
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{Measurement, Quality};

    #[test]
    fn a_curve_is_sorted_and_what_is_missing_is_bridged() {
        let measured = |loss| {
            let quality = |loss| Quality { loss, accuracy: 0.5 };
            Some(Measurement {
                train: quality(loss),
                test: quality(-loss),
            })
        };
        let curve = Curve {
            positions: vec![2.0, -1.0, 0.0, 1.0, -1.0],
            values: vec![measured(4.0), measured(3.0), measured(1.0), None, measured(3.0)],
        };
        let expected = Profile::new(&[-1.0, 0.0, 2.0], &[3.0, 1.0, 4.0]).unwrap();
        assert_eq!(Profile::of(&curve, Part::Train), expected);
        let expected = Profile::new(&[-1.0, 0.0, 2.0], &[-3.0, -1.0, -4.0]).unwrap();
        assert_eq!(Profile::of(&curve, Part::Test), expected);
    }

    #[test]
    fn what_is_no_curve_is_an_error() {
        assert!(Profile::new(&[0.0, 1.0], &[1.0]).is_err());
        assert!(Profile::new(&[0.0, f64::NAN], &[1.0, 1.0]).is_err());
        assert!(Profile::new(&[0.0, 0.0], &[1.0, 1.0]).is_err());
        assert!(Profile::new(&[1.0, 0.0], &[1.0, 1.0]).is_err());
        let profile = Profile::new(&[0.0, 1.0], &[1.0, f64::NAN]).unwrap();
        assert!(profile.clone().with_slopes(&[1.0]).is_err());
        assert_eq!(profile.with_slopes(&[1.0, 2.0]).unwrap().slopes(), SlopeSource::Exact);
    }
}
