//! A surface as a relief with all that lies on it: curves, the trajectory as a ribbon at its own loss, the solutions as
//! pins. In its space the base reaches from −1 to 1 along its longer side, and heights go up from it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::camera::Camera;
use super::scene::{Scene, Segment, View, rise};
use crate::figure::Colouring;
use crate::landscape::surface::extents;
use crate::landscape::{Heights, Projected, SurfaceRecord};

/// Height of a relief unless told otherwise.
pub const HEIGHT: f32 = 0.85;
/// Heights that a relief may have.
pub const HEIGHTS: RangeInclusive<f32> = 0.05..=3.0;

/// Height of a pin over the surface.
const PIN: f32 = 0.16;
/// From the middle to the names of the axes, where the base ends at 1.
const NAMES: f32 = 1.12;
/// Corners of a base with half sides of 1.
const CORNERS: [[f32; 2]; 4] = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];

const WHITE: [f32; 3] = [1.0, 1.0, 1.0];
const RIBBON: [f32; 3] = [1.0, 0.98, 0.92];
/// Lines of a relief on white.
const DARK: [f32; 3] = [0.08, 0.08, 0.08];
/// Widths of the ribbon, of pins and curves, and of stems and edges, in points.
const WIDTHS: [f32; 3] = [3.0, 1.6, 1.0];
/// Width and opacity of what is around a dark line, where the line has 1.
const SEAM: [f32; 2] = [1.9, 0.7];
/// How much nearer to the eye lines are taken to be: the ribbon, and what lies on the surface.
const LIFTS: [f32; 2] = [0.004, 0.002];
/// How much farther behind them their seams are.
const BEHIND: f32 = 0.0005;

/// A relief: what it shows, and from where it is seen.
#[derive(Clone, Debug)]
pub struct Relief<'a> {
    /// What was measured.
    pub record: &'a SurfaceRecord,
    /// The quantity of it that is drawn.
    pub heights: Arc<Heights>,
    /// Its colours and iso-lines.
    pub colouring: Colouring,
    /// The eye.
    pub camera: Camera,
    /// Height between the two ends of the colours, where half the base's longer side is 1.
    pub height: f32,
    /// Curves that follow the surface, as positions along the two axes.
    pub curves: Vec<Vec<[f64; 2]>>,
    /// Whether the record's trajectory and solutions belong to this surface and are drawn.
    pub landmarks: bool,
    /// The trajectory's step up to which it is drawn; without, to its end.
    pub until: Option<usize>,
    /// Colour of the base's edges: red, green, blue and opacity, 0..1.
    pub ink: [f32; 4],
    /// Whether it lies on white: its lines are dark then, with light seams, otherwise light.
    pub on_white: bool,
    /// Pixels in a point; widths are in points.
    pub pixels_per_point: f32,
}

/// A step of the trajectory in the relief's space.
#[derive(Clone, Copy)]
struct Step {
    /// On the surface.
    foot: [f32; 3],
    /// At its own value.
    own: [f32; 3],
    opacity: f32,
}

impl<'a> Relief<'a> {
    /// Half the base's sides: true to the axes' lengths where they are alike, otherwise square; always as far from corner
    /// to corner, so that it fills as much of the picture.
    pub fn base(&self) -> [f32; 2] {
        match extents(self.record.lengths, [self.heights.first, self.heights.second]) {
            Some([a, b]) => [a, b].map(|side| (side * std::f64::consts::SQRT_2 / a.hypot(b)) as f32),
            None => [1.0, 1.0],
        }
    }

    /// What the GPU draws: the surface, and the lines in its space.
    pub fn scene(&self) -> Scene {
        Scene {
            heights: self.heights.clone(),
            colouring: self.colouring.clone(),
            dots: 0.0,
            pixels_per_point: self.pixels_per_point,
            view: View::Relief {
                camera: self.camera,
                base: self.base(),
                height: self.height,
                segments: self.segments(),
            },
        }
    }

    /// Where positions along the two axes are on the surface; nothing outside it, where it is not finite, or where it
    /// is cut off above the colours.
    pub fn on_surface(&self, position: [f64; 2]) -> Option<[f32; 3]> {
        let value = self.heights.value(position).filter(|value| value.is_finite())?;
        let rise = self.rise(value);
        let base = self.base();
        let [x, y] = self.heights.node(position);
        let along = |x: f64, count: usize| match count {
            0 | 1 => 0.0,
            _ => (2.0 * x / (count - 1) as f64 - 1.0) as f32,
        };
        (rise <= 1.001 * self.height).then_some([
            along(x, self.heights.columns) * base[0],
            along(y, self.heights.rows) * base[1],
            rise,
        ])
    }

    /// Foot and top of each solution's pin, with its name.
    pub fn pins(&self) -> Vec<([f32; 3], [f32; 3], &'a str)> {
        if !self.landmarks {
            return Vec::new();
        }
        let pin = |solution: &'a Projected| {
            let foot = self.on_surface(solution.position)?;
            let [x, y, z] = self.own(solution, foot);
            Some((foot, [x, y, z + PIN], solution.name.as_str()))
        };
        self.record.solutions.iter().filter_map(pin).collect()
    }

    /// The last step of a trajectory that is not drawn to its end.
    pub fn mark(&self) -> Option<[f32; 3]> {
        self.until?;
        let last = self.trajectory().last()?;
        Some(self.own(last, self.on_surface(last.position)?))
    }

    /// Where the names of the two axes are to stand, beside the base.
    pub fn axes(&self) -> [[f32; 3]; 2] {
        let [x, y] = self.base();
        [[0.0, -y * NAMES, 0.0], [-x * NAMES, 0.0, 0.0]]
    }

    /// What is to be seen of it: the corners of the space it fills, its axes' names and its pins.
    pub fn extremes(&self) -> Vec<[f32; 3]> {
        let [x, y] = self.base();
        let corners = CORNERS
            .into_iter()
            .flat_map(|[right, far]| [0.0, self.height].map(|height| [right * x, far * y, height]));
        let tops = self.pins().into_iter().map(|(_, top, _)| top);
        corners.chain(self.axes()).chain(tops).collect()
    }

    /// Height of a value over the base.
    fn rise(&self, value: f64) -> f32 {
        rise(&self.colouring, self.heights.height.of(value), self.height)
    }

    /// A place at a landmark's own value, where it is known.
    fn own(&self, landmark: &Projected, foot: [f32; 3]) -> [f32; 3] {
        let value = landmark
            .own
            .map(|own| self.heights.quantity.of(&own))
            .filter(|value| value.is_finite());
        match value {
            Some(value) => [foot[0], foot[1], self.rise(value).min(1.2 * self.height)],
            None => foot,
        }
    }

    /// The steps that are drawn.
    fn trajectory(&self) -> &'a [Projected] {
        let steps: &'a [Projected] = if self.landmarks { &self.record.trajectory } else { &[] };
        let shown = self
            .until
            .map_or(steps.len(), |until| until.saturating_add(1).min(steps.len()));
        &steps[..shown]
    }

    /// The same in the relief's space; nothing for those that are not on the surface.
    fn steps(&self) -> Vec<Option<Step>> {
        let farthest = self.record.fading();
        self.trajectory()
            .iter()
            .map(|step| {
                let foot = self.on_surface(step.position)?;
                Some(Step {
                    foot,
                    own: self.own(step, foot),
                    opacity: step.opacity(farthest) as f32,
                })
            })
            .collect()
    }

    /// All lines, those in front last.
    fn segments(&self) -> Vec<Segment> {
        let [ribbon, thin, hair] = WIDTHS;
        let [front, flat] = LIFTS;
        let base = self.base();
        let corners = CORNERS.map(|[x, y]| [x * base[0], y * base[1], 0.0]);
        let mut segments: Vec<Segment> = (0..corners.len())
            .map(|index| [corners[index], corners[(index + 1) % corners.len()]])
            .map(|ends| self.segment(ends, [self.ink; 2], hair, 0.0))
            .collect();
        for curve in &self.curves {
            let points: Vec<[f32; 3]> = curve.iter().filter_map(|&position| self.on_surface(position)).collect();
            let pairs = points.windows(2).map(|pair| [pair[0], pair[1]]);
            segments.extend(pairs.map(|ends| self.segment(ends, [self.shade(WHITE, 0.9); 2], thin, flat)));
        }
        let steps = self.steps();
        let pieces: Vec<[Step; 2]> = steps.windows(2).filter_map(|pair| Some([pair[0]?, pair[1]?])).collect();
        let pins: Vec<[[f32; 3]; 2]> = self.pins().into_iter().map(|(foot, top, _)| [foot, top]).collect();
        if self.on_white {
            let [wider, opacity] = SEAM;
            let seam = |share: f32| [1.0, 1.0, 1.0, opacity * share];
            segments.extend(pieces.iter().map(|piece| {
                let colours = piece.map(|step| seam(step.opacity));
                self.segment(piece.map(|step| step.own), colours, wider * ribbon, front - BEHIND)
            }));
            segments.extend(
                pins.iter()
                    .map(|&ends| self.segment(ends, [seam(1.0); 2], wider * thin, flat - BEHIND)),
            );
        }
        segments.extend(pieces.iter().map(|piece| {
            let colours = piece.map(|step| self.shade(RIBBON, step.opacity));
            self.segment(piece.map(|step| step.own), colours, ribbon, front)
        }));
        // A stem from the plane's loss to the step's own.
        for Step { foot, own, opacity } in steps.into_iter().flatten() {
            if (foot[2] - own[2]).abs() > 0.01 {
                let colour = self.shade(WHITE, 0.35 * opacity);
                segments.push(self.segment([foot, own], [colour; 2], hair, flat));
            }
        }
        segments.extend(
            pins.iter()
                .map(|&ends| self.segment(ends, [self.shade(WHITE, 1.0); 2], thin, flat)),
        );
        segments
    }

    /// A line of a width in points.
    fn segment(&self, ends: [[f32; 3]; 2], colours: [[f32; 4]; 2], width: f32, lift: f32) -> Segment {
        Segment {
            ends,
            colours,
            width: width * self.pixels_per_point,
            lift,
        }
    }

    /// A light colour with an opacity, or on white the dark one.
    fn shade(&self, light: [f32; 3], opacity: f32) -> [f32; 4] {
        let [red, green, blue] = if self.on_white { DARK } else { light };
        [red, green, blue, opacity]
    }
}
