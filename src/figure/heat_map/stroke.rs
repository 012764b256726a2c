//! Lines and dots, and how they are blended into a picture's pixels.

use super::layout::Frame;

/// The colour of dark lines and dots.
pub(in crate::figure) const LINE: [u8; 3] = [20, 20, 20];

/// A line with round ends, or a dot where it has a single point; in pixels.
#[derive(Clone, Debug)]
pub(in crate::figure) struct Stroke {
    pub(in crate::figure) points: Vec<[f64; 2]>,
    pub(in crate::figure) width: f64,
    pub(in crate::figure) colour: [u8; 3],
    pub(in crate::figure) opacity: f64,
}

impl Stroke {
    /// Blends the stroke into an RGB picture that is `across` pixels wide, inside the frame. Where it crosses itself it
    /// does not cover itself twice.
    pub(in crate::figure) fn paint(&self, pixels: &mut [u8], across: usize, frame: &Frame) {
        let reach = 0.5 * self.width.max(1.0) + 0.5;
        // The pixels within reach of some points: first and one past the last.
        let within = |points: &[[f64; 2]], axis: usize| {
            let (low, high) = frame.bounds(axis);
            let places = points.iter().map(|point| point[axis]);
            let first = places.clone().fold(f64::INFINITY, f64::min) - reach;
            let last = places.fold(f64::NEG_INFINITY, f64::max) + reach;
            (first.ceil().max(low) as usize, last.floor().min(high) as usize + 1)
        };
        let ((left, right), (top, bottom)) = (within(&self.points, 0), within(&self.points, 1));
        if self.points.is_empty() || left >= right || top >= bottom {
            return;
        }
        let mut coverage = vec![0.0f64; (right - left) * (bottom - top)];
        let single = self.points.len() == 1;
        for piece in self.points.windows(if single { 1 } else { 2 }) {
            let ((x0, x1), (y0, y1)) = (within(piece, 0), within(piece, 1));
            for (x, y) in (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y))) {
                let covered = reach - distance([x as f64, y as f64], piece[0], piece[piece.len() - 1]);
                let pixel = &mut coverage[(y - top) * (right - left) + x - left];
                *pixel = pixel.max(covered.clamp(0.0, 1.0));
            }
        }
        for (y, line) in (top..bottom).zip(coverage.chunks_exact(right - left)) {
            let start = 3 * (y * across + left);
            for (pixel, covered) in pixels[start..].chunks_exact_mut(3).zip(line) {
                for (channel, colour) in pixel.iter_mut().zip(self.colour) {
                    *channel = blend(*channel, colour, covered * self.opacity);
                }
            }
        }
    }
}

/// A channel of sRGB under another one of this opacity.
pub(in crate::figure) fn blend(below: u8, above: u8, opacity: f64) -> u8 {
    let (below, above) = (f64::from(below), f64::from(above));
    (below + opacity * (above - below)).round() as u8
}

/// From a point to the nearest one of a straight line.
pub(in crate::figure) fn distance(point: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let (px, py) = (point[0] - from[0], point[1] - from[1]);
    let squared = dx * dx + dy * dy;
    let share = if squared > 0.0 {
        ((px * dx + py * dy) / squared).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (px - share * dx).hypot(py - share * dy)
}

/// A dark dot in a white one, by their diameters.
pub(in crate::figure) fn dot(at: [f64; 2], seam: f64, inside: f64, opacity: f64) -> [Stroke; 2] {
    [(seam, [255; 3]), (inside, LINE)].map(|(width, colour)| Stroke {
        points: vec![at],
        width,
        colour,
        opacity,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::heat_map::layout::Layout;
    use crate::figure::heat_map::test_surface::{SIZE, pixel};

    #[test]
    fn a_line_that_crosses_itself_covers_once_and_stays_in_the_frame() {
        let frame = Layout::new(SIZE, 1, false, 0).frame(0, [(-1.0, 1.0); 2], None);
        let corners = [[-2.0, 0.0], [0.5, 0.0], [0.5, 0.5], [0.0, 0.5], [0.0, -0.5]];
        let stroke = Stroke {
            points: corners.map(|corner| frame.pixel(corner)).to_vec(),
            width: 5.0,
            colour: [0; 3],
            opacity: 0.5,
        };
        let mut pixels = vec![255; 3 * SIZE.0 as usize * SIZE.1 as usize];
        stroke.paint(&mut pixels, SIZE.0 as usize, &frame);
        let at = |a, b| pixel(&pixels, frame.pixel([a, b]));
        // Half of 255, also where the line crosses itself at (0, 0).
        for [a, b] in [[-0.5, 0.0], [0.0, 0.0], [0.0, 0.3], [0.3, 0.5]] {
            assert_eq!(at(a, b), [128; 3], "{a}, {b}");
        }
        assert_eq!(at(0.3, 0.3), [255; 3]);
        let [x, y] = frame.pixel([-1.0, 0.0]);
        assert_eq!(pixel(&pixels, [x, y]), [128; 3]);
        assert_eq!(pixel(&pixels, [x - 1.0, y]), [255; 3]);
    }
}
