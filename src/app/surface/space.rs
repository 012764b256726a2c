//! Where positions of a plane lie on the map, and what the window draws a picture with.

use eframe::egui_wgpu;
use egui::{Pos2, Rect};

use crate::landscape::Heights;
use crate::landscape::surface::extents;
use crate::render::{Pictures, Scene};

/// Share of the surface's extent that stays free around it.
const MARGIN: f64 = 0.03;
/// Smallest and largest part of the plane that is shown, as shares of what shows the whole surface. In a smaller one,
/// neighbouring pixels would have the same positions in single precision.
const PARTS: (f64, f64) = (1e-4, 50.0);

/// A map's place on screen, and the positions at its edges.
#[derive(Clone, Copy, Debug)]
pub struct MapSpace {
    /// On screen.
    pub rect: Rect,
    /// Positions at left, bottom, right and top.
    pub window: [f64; 4],
    /// Width and height, in positions, of the window that shows the whole surface.
    pub whole: [f64; 2],
}

impl MapSpace {
    /// The whole of a surface in `rect`; with `lengths` of a step along each axis, one unit of length is as long across
    /// as up where the axes are alike enough.
    pub fn whole(rect: Rect, heights: &Heights, lengths: Option<[f64; 2]>) -> Self {
        let side = |(start, end): (f64, f64)| {
            let (low, high) = (start.min(end), start.max(end));
            let room = if high > low { MARGIN * (high - low) } else { 0.5 };
            (low - room, high + room)
        };
        let (mut a, mut b) = (side(heights.first), side(heights.second));
        if let Some([across, up]) = extents(lengths, [heights.first, heights.second]) {
            // The room around adds the same share to both.
            let per_point = [across / f64::from(rect.width()), up / f64::from(rect.height())];
            let (widen, by) = match per_point[0] < per_point[1] {
                true => (&mut a, per_point[1] / per_point[0]),
                false => (&mut b, per_point[0] / per_point[1]),
            };
            let (middle, half) = (0.5 * (widen.0 + widen.1), 0.5 * (widen.1 - widen.0) * by);
            *widen = (middle - half, middle + half);
        }
        Self {
            rect,
            window: [a.0, b.0, a.1, b.1],
            whole: [a.1 - a.0, b.1 - b.0],
        }
    }

    /// Where a position is on screen.
    pub fn place(&self, [a, b]: [f64; 2]) -> Pos2 {
        let [left, bottom, right, top] = self.window;
        self.rect.lerp_inside(egui::vec2(
            ((a - left) / (right - left)) as f32,
            1.0 - ((b - bottom) / (top - bottom)) as f32,
        ))
    }

    /// The position at a place on screen.
    pub fn position(&self, place: Pos2) -> [f64; 2] {
        let [left, bottom, right, top] = self.window;
        let share = (place - self.rect.min) / self.rect.size();
        [
            left + f64::from(share.x) * (right - left),
            top - f64::from(share.y) * (top - bottom),
        ]
    }

    /// The part that is seen after moving by some points and coming nearer by a factor at a place, as far as one can.
    pub fn moved(&self, by: egui::Vec2, factor: f64, at: Pos2) -> [f64; 4] {
        let factor = self.reachable(factor);
        let [left, bottom, right, top] = self.window;
        let per_point = [
            (right - left) / f64::from(self.rect.width()),
            (top - bottom) / f64::from(self.rect.height()),
        ];
        let [a, b] = self.position(at);
        let aside = [-f64::from(by.x) * per_point[0], f64::from(by.y) * per_point[1]];
        [
            a + (left - a) / factor + aside[0],
            b + (bottom - b) / factor + aside[1],
            a + (right - a) / factor + aside[0],
            b + (top - b) / factor + aside[1],
        ]
    }

    /// The factor to come nearer by that comes closest to one asked for and leaves the part that is seen within
    /// [`PARTS`].
    fn reachable(&self, factor: f64) -> f64 {
        let comes_nearer = factor > 0.0 && factor.is_finite() && factor != 1.0;
        if !comes_nearer {
            return 1.0;
        }
        let [left, bottom, right, top] = self.window;
        let shares = [(right - left) / self.whole[0], (top - bottom) / self.whole[1]];
        let (smaller, larger) = (shares[0].min(shares[1]), shares[0].max(shares[1]));
        factor.min(smaller / PARTS.0).max(larger / PARTS.1)
    }

    /// The map's corners in nodes of a surface.
    pub fn corners(&self, heights: &Heights) -> [f32; 4] {
        let [left, bottom, right, top] = self.window;
        let (low, high) = (heights.node([left, bottom]), heights.node([right, top]));
        // An axis of one node has it everywhere.
        let along = |low: f64, high: f64| {
            if low == high {
                (-0.5, 0.5)
            } else {
                (low as f32, high as f32)
            }
        };
        let (columns, rows) = (along(low[0], high[0]), along(low[1], high[1]));
        [columns.0, rows.0, columns.1, rows.1]
    }
}

/// Adds a picture to what egui draws in `rect`.
pub fn paint(ui: &egui::Ui, rect: Rect, number: usize, scene: Scene) {
    let scale = ui.ctx().pixels_per_point();
    let size = [rect.width(), rect.height()].map(|side| (side * scale).round().max(1.0) as u32);
    let painter = Painter { number, scene, size };
    ui.painter_at(rect)
        .add(egui_wgpu::Callback::new_paint_callback(rect, painter));
}

struct Painter {
    number: usize,
    scene: Scene,
    size: [u32; 2],
}

impl egui_wgpu::CallbackTrait for Painter {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _screen: &egui_wgpu::ScreenDescriptor,
        encoder: &mut wgpu::CommandEncoder,
        resources: &mut egui_wgpu::CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(pictures) = resources.get_mut::<Pictures>() {
            pictures.prepare(device, queue, encoder, self.number, &self.scene, self.size);
        }
        Vec::new()
    }

    fn paint(
        &self,
        _info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &egui_wgpu::CallbackResources,
    ) {
        if let Some(pictures) = resources.get::<Pictures>() {
            pictures.copy(pass, self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::{Field, Scale};

    fn space() -> (MapSpace, Heights) {
        let field = Field {
            first: (-1.0, 3.0),
            second: (2.0, 4.0),
            columns: 5,
            rows: 3,
            values: vec![1.0; 15],
            known: vec![crate::landscape::Known::Measured; 15],
            ..Field::default()
        };
        let heights = field.heights(Scale::Linear);
        let rect = Rect::from_min_size(Pos2::new(10.0, 20.0), egui::vec2(300.0, 200.0));
        (MapSpace::whole(rect, &heights, Some([1.0, 1.0])), heights)
    }

    #[test]
    fn places_and_positions_are_each_other_s_and_one_unit_is_one_length() {
        let (space, heights) = space();
        for position in [[-1.0, 2.0], [3.0, 4.0], [0.7, 2.9]] {
            let again = space.position(space.place(position));
            assert!((again[0] - position[0]).abs() < 1e-4 && (again[1] - position[1]).abs() < 1e-4);
        }
        let across = space.place([1.0, 3.0]).x - space.place([0.0, 3.0]).x;
        let up = space.place([0.0, 3.0]).y - space.place([0.0, 4.0]).y;
        assert!((across - up).abs() < 0.01, "{across} and {up}");
        let corners = space.corners(&heights);
        assert!(corners[0] < 0.0 && corners[2] > 4.0 && corners[1] < 0.0 && corners[3] > 2.0);
    }

    #[test]
    fn what_is_under_the_pointer_stays_there_when_one_comes_nearer() {
        let (space, _) = space();
        let at = Pos2::new(123.0, 77.0);
        let nearer = MapSpace {
            window: space.moved(egui::Vec2::ZERO, 2.5, at),
            ..space
        };
        let (before, after) = (space.position(at), nearer.position(at));
        assert!((before[0] - after[0]).abs() < 1e-9 && (before[1] - after[1]).abs() < 1e-9);
        let moved = MapSpace {
            window: space.moved(egui::vec2(10.0, -5.0), 1.0, at),
            ..space
        };
        let same = moved.position(at + egui::vec2(10.0, -5.0));
        assert!((before[0] - same[0]).abs() < 1e-6 && (before[1] - same[1]).abs() < 1e-6);
    }

    #[test]
    fn whether_lengths_are_true_depends_on_the_surface_and_not_on_the_window_s_shape() {
        let (_, heights) = space();
        for size in [egui::vec2(900.0, 60.0), egui::vec2(60.0, 900.0)] {
            let rect = Rect::from_min_size(Pos2::ZERO, size);
            let alike = MapSpace::whole(rect, &heights, Some([1.0, 1.0]));
            let per_point = [alike.whole[0] / f64::from(size.x), alike.whole[1] / f64::from(size.y)];
            assert!((per_point[0] / per_point[1] - 1.0).abs() < 1e-9, "{per_point:?}");
            // Extents of 4 and 0.5 fill the window, whatever it is like.
            let unlike = MapSpace::whole(rect, &heights, Some([1.0, 0.25]));
            assert_eq!(unlike.window, MapSpace::whole(rect, &heights, None).window);
        }
    }

    #[test]
    fn one_comes_neither_so_near_nor_so_far_that_nothing_is_told_apart() {
        let (space, heights) = space();
        let at = Pos2::new(123.0, 77.0);
        for (factor, share) in [(1.5, PARTS.0), (1.0 / 1.5, PARTS.1)] {
            let mut seen = space;
            for _ in 0..100 {
                seen.window = seen.moved(egui::Vec2::ZERO, factor, at);
            }
            let [left, bottom, right, top] = seen.window;
            for (side, whole) in [right - left, top - bottom].into_iter().zip(space.whole) {
                assert!((side / whole / share - 1.0).abs() < 1e-6, "{side} of {whole}");
            }
            let corners = seen.corners(&heights);
            assert!(corners[0] < corners[2] && corners[1] < corners[3], "{corners:?}");
        }
        let still = space.moved(egui::Vec2::ZERO, 1.0, at);
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(space.moved(egui::Vec2::ZERO, factor, at), still, "{factor}");
        }
    }
}
