//! A measured surface over two positions with what is known of the trajectory and of solutions beside it: what is
//! drawn, exported and taken up again.

use serde::{Deserialize, Serialize};

use super::curve::Provenance;
use super::grid::Grid;
use crate::objective::Measurement;

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

/// A surface with its provenance: what is exported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}
