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
    /// The smooth surface of a quantity; on an automatic scale, as its own values ask.
    pub fn of(&mut self, view: &SurfaceView, quantity: Quantity, scale: Scale) -> Option<Arc<Heights>> {
        let field = view.field(quantity)?;
        // Who leaves the scale open gets the surface that is drawn where that has the same, and not another like it.
        let scale = quantity.scale(scale).resolved(field.range());
        if let Some((.., heights)) = self
            .0
            .iter()
            .find(|kept| kept.0 == scale && Arc::ptr_eq(&kept.1, field))
        {
            return Some(heights.clone());
        }
        let heights = Arc::new(field.heights(scale));
        // The curves may be read off another scale than is drawn: both stay as long as their values.
        self.0
            .retain(|kept| kept.1.quantity != quantity || Arc::ptr_eq(&kept.1, field));
        self.0.push((scale, field.clone(), heights.clone()));
        Some(heights)
    }
}

/// Chosen ends of the colours, where a surface with values over `own` has some between them. Those that were chosen for
/// quite another surface would paint all of this one in one colour.
fn chosen(colours: Option<(f64, f64)>, own: (f64, f64)) -> Option<(f64, f64)> {
    colours.filter(|&(one, other)| one.min(other) <= own.1 && one.max(other) >= own.0)
}

/// The one scale of all that is shown side by side, and so under one bar of colours.
pub fn shared_scale(view: &SurfaceView, shown: Shown, scale: Scale) -> Scale {
    let quantities = shown.quantities();
    let ranges = quantities.iter().filter_map(|&quantity| view.field(quantity)?.range());
    // All that is shown at once is of one kind.
    let scale = quantities.first().map_or(scale, |quantity| quantity.scale(scale));
    scale.resolved(ranges)
}

/// The colours of quantities drawn side by side: the same for all of a kind.
pub fn colourings(look: &SurfaceLook, heights: &[Arc<Heights>]) -> Vec<Colouring> {
    let together = heights
        .iter()
        .map(|heights| heights.range)
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let range = together.and_then(|own| chosen(look.colours, own)).or(together);
    heights
        .iter()
        .map(|own| Colouring::of(own, look.map, range, look.lines, look.offset))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_chosen_for_quite_another_surface_do_not_count() {
        let own = (1.0, 2.0);
        for colours in [
            (0.5, 1.5),
            (1.5, 9.0),
            (0.0, 9.0),
            (1.2, 1.3),
            (9.0, 1.5),
            (0.0, 1.0),
            (2.0, 3.0),
        ] {
            assert_eq!(chosen(Some(colours), own), Some(colours));
        }
        for colours in [(0.0, 0.9), (2.1, 9.0), (9.0, 2.1)] {
            assert_eq!(chosen(Some(colours), own), None, "{colours:?}");
        }
        assert_eq!(chosen(None, own), None);
    }
}
