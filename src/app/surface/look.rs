//! How a surface is looked at: all of it can be undone.

use std::sync::Arc;

use crate::engine::SurfaceView;
use crate::figure::{ColourMap, Colouring};
use crate::landscape::{Field, Frame, Heights, Quantity, Scale};
use crate::render::Camera;
use crate::render::relief::HEIGHT;

/// Fewest and most iso-lines that the wheel reaches.
pub const LINES: (usize, usize) = (0, 60);

/// What is drawn of a surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The map from above.
    Map,
    /// The relief.
    Relief,
    /// Both, side by side.
    Both,
}

/// Which quantities are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// One.
    One(Quantity),
    /// Train and test loss side by side, with the same colours.
    Losses,
    /// Train and test accuracy side by side.
    Accuracies,
}

impl Shown {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 8] = [
        Self::One(Quantity::TrainLoss),
        Self::One(Quantity::TestLoss),
        Self::Losses,
        Self::One(Quantity::LossDifference),
        Self::One(Quantity::TrainAccuracy),
        Self::One(Quantity::TestAccuracy),
        Self::Accuracies,
        Self::One(Quantity::AccuracyDifference),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::One(quantity) => quantity.name(),
            Self::Losses => "train and test loss",
            Self::Accuracies => "train and test accuracy",
        }
    }

    /// The quantities, from left to right.
    pub fn quantities(self) -> Vec<Quantity> {
        match self {
            Self::One(quantity) => vec![quantity],
            Self::Losses => vec![Quantity::TrainLoss, Quantity::TestLoss],
            Self::Accuracies => vec![Quantity::TrainAccuracy, Quantity::TestAccuracy],
        }
    }
}

/// How a surface is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct SurfaceLook {
    /// The marked point of the plane.
    pub mark: [f64; 2],
    /// Angles of the two curves through it, in radians.
    pub angles: [f64; 2],
    /// What one step along the axes is.
    pub frame: Frame,
    /// Ranges of the axes; without, those of the slices.
    pub ranges: Option<[(f64, f64); 2]>,
    /// Step of the trajectory that is marked.
    pub step: Option<usize>,
    /// What is drawn of it.
    pub layout: Layout,
    /// Of which quantities.
    pub shown: Shown,
    /// The colours; without, the usual ones.
    pub map: Option<ColourMap>,
    /// Values at the two ends of the colours; without, the surface's own.
    pub colours: Option<(f64, f64)>,
    /// Iso-lines over the range.
    pub lines: usize,
    /// Share of a spacing by which they are shifted up.
    pub offset: f64,
    /// Whether measured nodes have dots.
    pub dots: bool,
    /// Whether every node is evaluated, not only those that tell.
    pub every_node: bool,
    /// The part of the plane on the map, as positions at left, bottom, right and top; without, all of it.
    pub window: Option<[f64; 4]>,
    /// The eye before the relief.
    pub camera: Camera,
    /// Height of the relief, where half the base's longer side is 1.
    pub height: f32,
}

impl Default for SurfaceLook {
    fn default() -> Self {
        Self {
            mark: [0.0; 2],
            angles: [0.0, std::f64::consts::FRAC_PI_2],
            frame: Frame::Given,
            ranges: None,
            step: None,
            layout: Layout::Both,
            shown: Shown::One(Quantity::TrainLoss),
            map: None,
            colours: None,
            lines: 14,
            offset: 0.0,
            dots: false,
            every_node: false,
            window: None,
            camera: Camera::default(),
            height: HEIGHT,
        }
    }
}

impl SurfaceLook {
    /// Puts the mark back to the origin of another plane.
    pub fn reset_place(&mut self) {
        let fresh = Self::default();
        (self.mark, self.angles) = (fresh.mark, fresh.angles);
        (self.ranges, self.window, self.step, self.colours) = (None, None, None, None);
    }
}

/// The smooth surfaces on screen, made once for each new version of what was measured.
#[derive(Default)]
pub struct HeightsKept(Vec<(Scale, Arc<Field>, Arc<Heights>)>);

impl HeightsKept {
    /// The smooth surface of a quantity.
    pub fn of(&mut self, view: &SurfaceView, quantity: Quantity, scale: Scale) -> Option<Arc<Heights>> {
        let field = view.field(quantity)?;
        if let Some((.., heights)) = self
            .0
            .iter()
            .find(|kept| kept.0 == scale && Arc::ptr_eq(&kept.1, field))
        {
            return Some(heights.clone());
        }
        let heights = Arc::new(field.heights(scale));
        self.0.retain(|kept| kept.1.quantity != quantity);
        self.0.push((scale, field.clone(), heights.clone()));
        Some(heights)
    }
}

/// The colours of quantities drawn side by side: the same for all of a kind.
pub fn colourings(look: &SurfaceLook, heights: &[Arc<Heights>]) -> Vec<Colouring> {
    let together = heights
        .iter()
        .map(|heights| heights.range)
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    heights
        .iter()
        .map(|own| Colouring::of(own, look.map, look.colours.or(together), look.lines, look.offset))
        .collect()
}
