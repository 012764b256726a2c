//! What a picture of a surface is made of, in plain numbers.

use std::sync::Arc;

use super::camera::Camera;
use crate::figure::Colouring;
use crate::landscape::Heights;

/// A straight segment in the space of a relief.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Its two ends.
    pub ends: [[f32; 3]; 2],
    /// Colours of the two ends, red, green, blue and opacity, 0..1.
    pub colours: [[f32; 4]; 2],
    /// Width in pixels.
    pub width: f32,
    /// How much nearer to the eye than it is it is taken to be, as a share of the depth: so that it is seen on a surface
    /// it lies on.
    pub lift: f32,
}

/// From where a surface is seen.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// From above.
    Map {
        /// Node coordinates at the picture's left, bottom, right and top.
        corners: [f32; 4],
    },
    /// From aside.
    Relief {
        /// The eye.
        camera: Camera,
        /// Half the base's sides.
        base: [f32; 2],
        /// Height of the relief between the two ends of the colours.
        height: f32,
        /// Lines in its space.
        segments: Vec<Segment>,
    },
}

/// A picture of a surface.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The surface.
    pub heights: Arc<Heights>,
    /// Its colours and iso-lines.
    pub colouring: Colouring,
    /// Opacity of the dots on measured nodes, 0..1.
    pub dots: f32,
    /// Pixels in a point: lines are a point wide.
    pub pixels_per_point: f32,
    /// From where.
    pub view: View,
}

impl PartialEq for Scene {
    fn eq(&self, other: &Self) -> bool {
        // Surfaces are told apart by where they are: a new one is a new allocation.
        Arc::ptr_eq(&self.heights, &other.heights)
            && self.colouring == other.colouring
            && self.dots == other.dots
            && self.pixels_per_point == other.pixels_per_point
            && self.view == other.view
    }
}

impl Scene {
    /// Height over the base of a height of the surface, in a relief as high as `relief`.
    pub fn rise(&self, height: f64, relief: f32) -> f32 {
        rise(&self.colouring, height, relief)
    }
}

/// The same under a colouring: what is below its colours lies on the base.
pub(super) fn rise(colouring: &Colouring, height: f64, relief: f32) -> f32 {
    let (low, high) = (
        colouring.height.of(colouring.range.0),
        colouring.height.of(colouring.range.1),
    );
    ((height - low) / (high - low)).max(0.0) as f32 * relief
}
