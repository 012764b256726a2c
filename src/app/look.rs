//! Where one stands and how one looks from there: all that undo brings back.

use super::surface::look::SurfaceLook;
use crate::engine::{Anchor, Marginals, PlaneChoice, Step, Turn};
use crate::landscape::{Basis, DirectionKind, Normalisation};
use crate::objective::BatchNormPolicy;

/// Range of positions along the interpolation: SWA is 0, SGD is 1.
pub const INTERPOLATION_RANGE: (f64, f64) = (-2.0, 3.0);

/// Which picture is on the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// The slice along the pad's direction.
    Direction,
    /// The pad's two directions over each other.
    Comparison,
    /// From SWA to SGD.
    Interpolation,
    /// The loss in the plane of the pad's two directions.
    Plane,
    /// The slice along the pad's direction through the whole of training.
    Through,
}

/// What the ranges of a plane are to hold, once it is known where that lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The trajectory and the solutions.
    Trajectory,
    /// The solutions, and where one stands.
    Solutions,
}

/// A plane whose ranges wait for what lies in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fitting {
    /// What they are to hold.
    pub what: Fit,
    /// The plane.
    pub plane: PlaneChoice,
    /// The solution that it goes through.
    pub anchor: Anchor,
}

/// All that undo brings back: where one stands, and where one looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The solution the walk starts from.
    pub anchor: Anchor,
    /// Steps from there.
    pub walk: Vec<Step>,
    /// The picture on the stage.
    pub picture: Picture,
    /// u₁.
    pub first: Basis,
    /// u₂.
    pub second: Basis,
    /// φ, in radians.
    pub angle: f64,
    /// What is done to the directions' lengths.
    pub normalisation: Normalisation,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// Slices reach from −reach to reach.
    pub reach: f64,
    /// The marked position along the slice.
    pub position: f64,
    /// How surfaces are looked at.
    pub surface: SurfaceLook,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            anchor: Anchor::Current,
            walk: Vec::new(),
            picture: Picture::Direction,
            first: Basis::Random(DirectionKind::BatchNorm, 1),
            second: Basis::Random(DirectionKind::NonBatchNorm, 1),
            angle: std::f64::consts::FRAC_PI_4,
            normalisation: Normalisation::Unit,
            policy: BatchNormPolicy::Running,
            reach: 3.0,
            position: 0.0,
            surface: SurfaceLook::default(),
        }
    }
}

impl Look {
    /// The pad's direction.
    pub fn turn(&self) -> Turn {
        Turn {
            first: self.first,
            second: self.second,
            angle: self.angle,
            normalisation: self.normalisation,
        }
    }

    /// Range of positions on the stage.
    pub fn range(&self) -> (f64, f64) {
        match self.picture {
            Picture::Interpolation => INTERPOLATION_RANGE,
            _ => (-self.reach, self.reach),
        }
    }

    /// The plane of the pad's two directions.
    pub fn plane(&self) -> PlaneChoice {
        PlaneChoice {
            first: self.first,
            second: self.second,
            frame: self.surface.frame,
            normalisation: self.normalisation,
        }
    }

    /// The two curves through the marked point of the plane, within its ranges.
    pub fn marginals(&self, ranges: [(f64, f64); 2]) -> Marginals {
        Marginals {
            plane: self.plane(),
            ranges,
            mark: self.surface.mark,
            angles: self.surface.angles,
        }
    }

    /// Ranges of the surface's two axes.
    pub fn surface_ranges(&self) -> [(f64, f64); 2] {
        let usual = [(-self.reach, self.reach); 2];
        match self.picture {
            Picture::Plane => self.surface.ranges.unwrap_or(usual),
            _ => usual,
        }
    }

    /// Takes the marked position as the new point w: what follows starts there.
    pub fn settle(&mut self) {
        if self.picture == Picture::Direction && self.position != 0.0 {
            self.walk.push(Step {
                turn: self.turn(),
                position: self.position,
            });
            self.position = 0.0;
        }
    }
}
