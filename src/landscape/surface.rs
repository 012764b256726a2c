//! A measured surface over two positions with what is known of the trajectory and of solutions beside it: what is
//! drawn, exported and taken up again.

use serde::{Deserialize, Serialize};

use super::curve::Provenance;
use super::grid::Grid;
use crate::objective::Measurement;

/// Opacity of the trajectory's step farthest from the plane, where a step in the plane has 1.
const FAINTEST: f64 = 0.25;
/// Axes whose extents differ by more than this factor are drawn equally long: to scale, the plane would be a ribbon.
const MOST_UNEQUAL: f64 = 3.0;
/// Distances from the plane below this share of the surface's extent are not told apart.
const NEAR: f64 = 0.01;
/// Largest difference of angles and lengths, as a share of them, that comes of writing and reading them.
const ROUNDING: f64 = 1e-9;

/// A point of parameter space as seen in a plane: its nearest point there, and how far off it lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Projected {
    /// What it is: a solution's name, or a step's epoch.
    pub name: String,
    /// Positions along the two axes of the nearest point of the plane.
    pub position: [f64; 2],
    /// Distance from the plane, in units of ‖w‖.
    pub distance: f64,
    /// Its own loss, with its own batch-norm statistics under `running`; the plane's loss below it may differ.
    pub own: Option<Measurement>,
}

impl Projected {
    /// The largest finite distance from the plane among some steps, in units of ‖w‖; 0 without any.
    pub fn farthest(steps: &[Self]) -> f64 {
        let distances = steps.iter().map(|step| step.distance);
        distances.filter(|distance| distance.is_finite()).fold(0.0, f64::max)
    }

    /// Opacity to draw it with, 0..1: the farther from the plane, the fainter, down to 0.25 at `farthest`. Without a
    /// farthest distance nothing fades.
    pub fn opacity(&self, farthest: Option<f64>) -> f64 {
        match farthest {
            Some(farthest) if farthest > 0.0 => 1.0 - (1.0 - FAINTEST) * (self.distance / farthest).min(1.0),
            _ => 1.0,
        }
    }
}

/// Extents of two ranges of positions in units of ‖w‖, where pictures draw the two axes to the same scale: where the
/// `lengths` of a step along each are known, and neither extent is more than three times the other.
pub fn extents(lengths: Option<[f64; 2]>, ranges: [(f64, f64); 2]) -> Option<[f64; 2]> {
    let lengths = lengths?;
    let extents = [0, 1].map(|axis: usize| lengths[axis] * (ranges[axis].1 - ranges[axis].0).abs());
    (1.0 / MOST_UNEQUAL..=MOST_UNEQUAL)
        .contains(&(extents[0] / extents[1]))
        .then_some(extents)
}

/// A surface with its provenance: what is exported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SurfaceRecord {
    /// What it is, such as `uniform (seed 1) and symmetric (seed 2)`.
    pub label: String,
    /// What is written at the two axes.
    pub axes: [String; 2],
    /// How it was made.
    pub provenance: Provenance,
    /// Angle between the two directions as given, in degrees, where they are directions.
    #[serde(default)]
    pub angle: Option<f64>,
    /// Lengths of one step along each axis, in units of ‖w‖, where the axes are directions.
    #[serde(default)]
    pub lengths: Option<[f64; 2]>,
    /// Share of the trajectory's variance along each axis, where the axes are its principal components.
    #[serde(default)]
    pub explained: Option<[f64; 2]>,
    /// CRC-32 of what the surface is measured on: the parameters at one step along both axes with the origin's statistics,
    /// or every snapshot and the direction of a surface through training. It tells surfaces apart that are called the
    /// same, such as before and after a checkpoint was trained again.
    #[serde(default)]
    pub checksum: Option<u32>,
    /// The trajectory, step by step.
    #[serde(default)]
    pub trajectory: Vec<Projected>,
    /// Solutions.
    #[serde(default)]
    pub solutions: Vec<Projected>,
    /// The values.
    pub grid: Grid,
}

impl SurfaceRecord {
    /// One line on the geometry, for figures.
    pub fn geometry(&self) -> String {
        let mut parts = Vec::new();
        if let Some(angle) = self.angle {
            parts.push(format!("angle {angle:.1}°"));
        }
        if let Some([first, second]) = self.explained {
            parts.push(format!(
                "{:.1} % and {:.1} % of the trajectory's variance",
                100.0 * first,
                100.0 * second
            ));
        }
        let (measured, all) = (self.grid.measured(), self.grid.values.len());
        if measured < all {
            parts.push(format!("{measured} of {all} points measured, the others interpolated"));
        }
        parts.join(" · ")
    }

    /// Distance from the plane of the trajectory's step farthest from it, in units of ‖w‖, where it is worth telling:
    /// more than 1 % of the surface's extent.
    pub fn fading(&self) -> Option<f64> {
        let farthest = Projected::farthest(&self.trajectory);
        let span = |positions: &[f64]| match positions {
            [start, .., end] => (end - start).abs(),
            _ => 0.0,
        };
        // Without the axes' lengths there is nothing to compare it with.
        let extent = self.lengths.map_or(0.0, |[first, second]| {
            (first * span(&self.grid.first)).max(second * span(&self.grid.second))
        });
        (farthest > NEAR * extent).then_some(farthest)
    }

    /// Takes over the values of a record of the same surface, where both have been measured at the same positions. Of
    /// another one it takes nothing, and says false: where provenance, axes, their angle and lengths or the checksum
    /// differ, numbers by more than rounding.
    pub fn take_up(&mut self, known: &Self) -> bool {
        let alike = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= ROUNDING * a.abs().max(b.abs()),
            (a, b) => a == b,
        };
        let length = |record: &Self, axis: usize| record.lengths.map(|lengths| lengths[axis]);
        let same = known.provenance == self.provenance
            && known.axes == self.axes
            && known.checksum == self.checksum
            && known.grid.values.len() == known.grid.first.len() * known.grid.second.len()
            && alike(known.angle, self.angle)
            && (0..2).all(|axis| alike(length(known, axis), length(self, axis)));
        if same {
            self.grid.take(&known.grid);
        }
        same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_to_scale_unless_one_extent_is_more_than_three_times_the_other() {
        let ranges = [(-2.0, 2.0), (1.0, -1.0)];
        for (lengths, expected) in [
            ([1.0, 1.0], [4.0, 2.0]),
            ([1.5, 1.0], [6.0, 2.0]),
            ([0.5, 3.0], [2.0, 6.0]),
        ] {
            assert_eq!(extents(Some(lengths), ranges), Some(expected));
        }
        for lengths in [
            [1.6, 1.0],
            [0.5, 3.1],
            [0.0, 1.0],
            [1.0, 0.0],
            [0.0, 0.0],
            [f64::NAN, 1.0],
        ] {
            assert_eq!(extents(Some(lengths), ranges), None, "{lengths:?}");
        }
        assert_eq!(extents(None, ranges), None);
        // A grid of one row.
        assert_eq!(extents(Some([1.0, 1.0]), [(-2.0, 2.0), (0.5, 0.5)]), None);
    }
}
