//! Where panels lie in a picture, and where positions lie in a panel.

use crate::landscape::surface::extents;

/// Where panels lie: each has the same room for its frame, and around it fixed room for its words.
pub(in crate::figure) struct Layout {
    pub(in crate::figure) unit: f64,
    /// From one panel's left edge to the next one's.
    pitch: f64,
    /// From there to its frame.
    left: f64,
    top: f64,
    room: [f64; 2],
}

/// Room to the left of a frame and below it, for ticks and names at its axes, in units.
const AXES: [f64; 2] = [118.0, 106.0];
/// The same of a frame without them.
const BARE: [f64; 2] = [36.0, 36.0];
/// Room to its right, for the colour bar.
pub(in crate::figure) const RIGHT: f64 = 176.0;

impl Layout {
    /// Of a picture of some pixels with so many panels and lines at its foot.
    pub(in crate::figure) fn new(size: (u32, u32), panels: usize, titled: bool, foot: usize) -> Self {
        Self::around(size, panels, titled, foot, AXES)
    }

    /// The same for panels without ticks and names at the axes of their frames.
    pub(in crate::figure) fn bare(size: (u32, u32), panels: usize, titled: bool, foot: usize) -> Self {
        Self::around(size, panels, titled, foot, BARE)
    }

    fn around((width, height): (u32, u32), panels: usize, titled: bool, foot: usize, [left, below]: [f64; 2]) -> Self {
        let pitch = f64::from(width) / panels as f64;
        // Words shrink with whichever side is short.
        let unit = (f64::from(height) / 1000.0).min(pitch / 800.0);
        let top = unit * if titled { 120.0 } else { 64.0 };
        let bottom = unit * (below + 26.0 * foot as f64);
        Self {
            unit,
            pitch,
            left: left * unit,
            top,
            room: [pitch - (left + RIGHT) * unit, f64::from(height) - top - bottom],
        }
    }

    /// A panel's frame over two spans of positions. Where the axes have `lengths`, one unit of length is the same on
    /// both, unless one extent is more than three times the other.
    pub(in crate::figure) fn frame(&self, index: usize, spans: [(f64, f64); 2], lengths: Option<[f64; 2]>) -> Frame {
        let mut size = self.room;
        if let Some(extents) = extents(lengths, spans) {
            let scale = (size[0] / extents[0]).min(size[1] / extents[1]);
            size = extents.map(|extent| extent * scale);
        }
        let corner = [
            index as f64 * self.pitch + self.left + 0.5 * (self.room[0] - size[0]),
            self.top + 0.5 * (self.room[1] - size[1]),
        ];
        let [left, top] = corner.map(|place| place.round() as usize);
        let [width, height] = size.map(|side| (side.round() as usize).max(2));
        Frame {
            left,
            top,
            width,
            height,
            spans,
        }
    }
}

/// The pixels of a panel that show the surface. A whole coordinate is a pixel's middle; the axes' ends are the middles
/// of the outermost pixels.
#[derive(Clone, Copy, Debug)]
pub(in crate::figure) struct Frame {
    pub(in crate::figure) left: usize,
    pub(in crate::figure) top: usize,
    pub(in crate::figure) width: usize,
    pub(in crate::figure) height: usize,
    /// First and last position of the two axes.
    pub(in crate::figure) spans: [(f64, f64); 2],
}

impl Frame {
    /// Where two positions lie, in pixels.
    pub(in crate::figure) fn pixel(&self, position: [f64; 2]) -> [f64; 2] {
        let [x, y] = [0, 1].map(|axis| {
            let (start, end) = self.spans[axis];
            (position[axis] - start) / (end - start)
        });
        self.place([x, y])
    }

    /// Where shares of the two axes lie, in pixels.
    pub(in crate::figure) fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [
            self.left as f64 + x * (self.width - 1) as f64,
            self.top as f64 + (1.0 - y) * (self.height - 1) as f64,
        ]
    }

    /// Left, top, right and bottom edge; the pixels end before the latter two.
    pub(in crate::figure) fn edges(&self) -> [f64; 4] {
        [self.left, self.top, self.left + self.width, self.top + self.height].map(|edge| edge as f64)
    }

    /// The lowest and highest coordinate of a pixel's middle along an axis.
    pub(in crate::figure) fn bounds(&self, axis: usize) -> (f64, f64) {
        let edges = self.edges();
        (edges[axis], edges[axis + 2] - 1.0)
    }

    pub(in crate::figure) fn contains(&self, at: [f64; 2]) -> bool {
        (0..2).all(|axis| {
            let (low, high) = self.bounds(axis);
            (low - 0.5..=high + 0.5).contains(&at[axis])
        })
    }

    /// The part of a straight line that lies inside, if any.
    pub(in crate::figure) fn clip(&self, from: [f64; 2], to: [f64; 2]) -> Option<[[f64; 2]; 2]> {
        clip(from, to, [self.bounds(0), self.bounds(1)])
    }
}

/// The part of a straight line between the lowest and highest coordinate along each axis, if any (Liang and Barsky).
pub(in crate::figure) fn clip(from: [f64; 2], to: [f64; 2], bounds: [(f64, f64); 2]) -> Option<[[f64; 2]; 2]> {
    let (mut start, mut end) = (0.0f64, 1.0f64);
    for (axis, (from, to)) in from.into_iter().zip(to).enumerate() {
        let ((low, high), step) = (bounds[axis], to - from);
        if !step.is_finite() || (step == 0.0 && !(low..=high).contains(&from)) {
            return None;
        }
        if step != 0.0 {
            let ends = [(low - from) / step, (high - from) / step];
            start = start.max(ends[0].min(ends[1]));
            end = end.min(ends[0].max(ends[1]));
        }
    }
    let at = |share: f64| [0, 1].map(|axis| from[axis] + share * (to[axis] - from[axis]));
    // Whole ends stay what they are to the bit, so that the next piece is seen to go on from there.
    (start < end).then(|| [at(start), if end == 1.0 { to } else { at(end) }])
}

/// An axis of one position, drawn as wide as one unit.
pub(in crate::figure) fn widened((start, end): (f64, f64)) -> (f64, f64) {
    if start == end {
        (start - 0.5, end + 0.5)
    } else {
        (start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::heat_map::test_surface::SIZE;

    #[test]
    fn a_line_that_leaves_the_panel_is_cut_at_its_edge() {
        let frame = Layout::new(SIZE, 1, false, 0).frame(0, [(-1.0, 1.0); 2], None);
        let [from, to] = frame.clip(frame.pixel([0.0, 0.0]), frame.pixel([2.0, 1.0])).unwrap();
        let edge = frame.pixel([1.0, 0.5]);
        assert_eq!(from, frame.pixel([0.0, 0.0]));
        assert!((to[0] - edge[0]).abs() < 1e-9 && (to[1] - edge[1]).abs() < 1e-9);
        assert_eq!(frame.clip(frame.pixel([2.0, 0.0]), frame.pixel([2.0, 1.0])), None);
        assert_eq!(frame.clip(frame.pixel([0.0, 0.0]), [f64::NAN, 0.0]), None);
    }

    #[test]
    fn one_unit_of_length_is_the_same_on_both_axes_unless_they_differ_too_much() {
        let layout = Layout::new((1200, 1000), 1, true, 1);
        let frame = |first, second| layout.frame(0, [(-1.0, 1.0), (0.0, 2.0)], Some([first, second]));
        let (square, wide, filled) = (frame(1.0, 1.0), frame(5.0, 2.0), frame(5.0, 1.0));
        assert_eq!(square.width, square.height);
        assert!((wide.width as f64 / wide.height as f64 - 2.5).abs() < 0.02);
        assert_eq!(
            [filled.width, filled.height].map(|side| side as f64),
            layout.room.map(f64::round)
        );
    }
}
