//! The surface as a relief that one turns: with the curves through the point, the trajectory as a ribbon over it, and
//! the solutions as pins.

use std::sync::Arc;

use egui::{Align2, FontId, PointerButton, Pos2, Rect, Role, Sense, Ui, WidgetInfo};

use super::overlay;
use super::space::paint;
use crate::app::source::name;
use crate::app::state::{Picture, State};
use crate::app::theme;
use crate::engine::SurfaceView;
use crate::figure::Colouring;
use crate::landscape::{Heights, Projected};
use crate::render::{Camera, Scene, Segment, View};

/// Radians of a drag over one point.
const TURN: f32 = 0.009;
/// Axes whose extents differ by more than this are drawn equally long.
const MOST_UNEQUAL: f64 = 3.0;
/// Pieces of a curve that follows the surface.
const PIECES: usize = 96;
/// Height of a pin over the surface.
const PIN: f32 = 0.16;

/// One relief.
pub struct Relief<'a> {
    /// Its number among the pictures.
    pub number: usize,
    /// What was measured.
    pub view: &'a SurfaceView,
    /// What is drawn.
    pub heights: Arc<Heights>,
    /// How.
    pub colouring: Colouring,
}

impl Relief<'_> {
    /// Half the base's sides.
    fn base(&self) -> [f32; 2] {
        let side = |(start, end): (f64, f64)| (end - start).abs();
        let [first, second] = self.view.record.lengths.unwrap_or([1.0, 1.0]);
        let (a, b) = (side(self.heights.first) * first, side(self.heights.second) * second);
        let alike = self.view.record.lengths.is_some() && a > 0.0 && b > 0.0 && a.max(b) / a.min(b) <= MOST_UNEQUAL;
        match alike {
            true => [(a / a.max(b)) as f32, (b / a.max(b)) as f32],
            false => [1.0, 1.0],
        }
    }

    /// The scene, with everything that lies on the surface; also what a picture for a file is made of.
    pub fn scene(&self, state: &State, pixels_per_point: f32, ink: [f32; 4]) -> Scene {
        let (base, height) = (self.base(), state.look.surface.height);
        let mut scene = Scene {
            heights: self.heights.clone(),
            colouring: self.colouring.clone(),
            dots: 0.0,
            pixels_per_point,
            view: View::Map { corners: [0.0; 4] },
        };
        let mut segments = Vec::new();
        let mut line = |from: [f32; 3], to: [f32; 3], colours: [[f32; 4]; 2], width: f32, lift: f32| {
            segments.push(Segment {
                ends: [from, to],
                colours,
                width: width * pixels_per_point,
                lift,
            });
        };
        let corners = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]
            .map(|[x, y]: [f32; 2]| [x * base[0], y * base[1], 0.0]);
        for (index, &corner) in corners.iter().enumerate() {
            line(corner, corners[(index + 1) % 4], [ink; 2], 1.0, 0.0);
        }
        let white = [1.0, 1.0, 1.0, 1.0];
        let plane = state.look.picture == Picture::Plane;
        for curve in curves(state, &self.heights, plane) {
            let points: Vec<[f32; 3]> = curve
                .into_iter()
                .filter_map(|p| self.on_surface(&scene, p, base, height))
                .collect();
            for pair in points.windows(2) {
                line(pair[0], pair[1], [[1.0, 1.0, 1.0, 0.9]; 2], 1.6, 0.002);
            }
        }
        if plane {
            let steps = &self.view.record.trajectory;
            let farthest = overlay::farthest(steps);
            let seen: Vec<Option<([f32; 3], [f32; 3], f32)>> = steps
                .iter()
                .map(|step| {
                    let foot = self.on_surface(&scene, step.position, base, height)?;
                    Some((
                        foot,
                        self.own(&scene, step, foot, height),
                        overlay::opacity(step, farthest),
                    ))
                })
                .collect();
            for pair in seen.windows(2) {
                if let [Some(from), Some(to)] = pair {
                    let shade = |opacity: f32| [1.0, 0.98, 0.92, opacity];
                    line(from.1, to.1, [shade(from.2), shade(to.2)], 3.0, 0.004);
                }
            }
            // A stem from the plane's loss to the step's own.
            for (foot, own, opacity) in seen.iter().flatten() {
                if (foot[2] - own[2]).abs() > 0.01 {
                    line(*foot, *own, [[1.0, 1.0, 1.0, 0.35 * opacity]; 2], 1.0, 0.002);
                }
            }
        }
        for (foot, top, _) in self.pins(state, &scene) {
            line(foot, top, [white; 2], 1.6, 0.002);
        }
        scene.view = View::Relief {
            camera: state.look.surface.camera,
            base,
            height,
            segments,
        };
        scene
    }

    /// Where two positions are on the surface; nothing outside it or above the colours.
    fn on_surface(&self, scene: &Scene, position: [f64; 2], base: [f32; 2], height: f32) -> Option<[f32; 3]> {
        let value = self.heights.value(position).filter(|value| value.is_finite())?;
        let rise = scene.rise(self.heights.height.of(value), height);
        let [x, y] = self.heights.node(position);
        let along = |x: f64, count: usize| match count {
            0 | 1 => 0.0,
            _ => (2.0 * x / (count - 1) as f64 - 1.0) as f32,
        };
        (rise <= 1.001 * height).then_some([
            along(x, self.heights.columns) * base[0],
            along(y, self.heights.rows) * base[1],
            rise,
        ])
    }

    /// The same place at a landmark's own value, where it is known.
    fn own(&self, scene: &Scene, landmark: &Projected, foot: [f32; 3], height: f32) -> [f32; 3] {
        let value = landmark
            .own
            .map(|own| self.heights.quantity.of(&own))
            .filter(|value| value.is_finite());
        match value {
            Some(value) => [
                foot[0],
                foot[1],
                scene.rise(self.heights.height.of(value), height).min(1.2 * height),
            ],
            None => foot,
        }
    }

    /// Foot and top of each pin, with its name.
    fn pins(&self, state: &State, scene: &Scene) -> Vec<([f32; 3], [f32; 3], String)> {
        let (base, height) = (self.base(), state.look.surface.height);
        let mut pins = Vec::new();
        if state.look.picture == Picture::Plane {
            for solution in &self.view.record.solutions {
                if let Some(foot) = self.on_surface(scene, solution.position, base, height) {
                    let [x, y, z] = self.own(scene, solution, foot, height);
                    pins.push((foot, [x, y, z + PIN], solution.name.clone()));
                }
            }
        }
        pins
    }
}

/// The curves through the point, as positions.
fn curves(state: &State, heights: &Heights, plane: bool) -> Vec<Vec<[f64; 2]>> {
    let share = |index: usize| index as f64 / PIECES as f64;
    if !plane {
        let (start, end) = heights.first;
        let row = |index| [start + share(index) * (end - start), state.epoch()];
        return vec![(0..=PIECES).map(row).collect()];
    }
    let marginals = state.look.marginals([heights.first, heights.second]);
    (0..2)
        .map(|curve| {
            let (along, foot, (start, end)) = (marginals.along(curve), marginals.foot(curve), marginals.range(curve));
            (0..=PIECES)
                .map(|index| {
                    let s = start + share(index) * (end - start);
                    [foot[0] + s * along[0], foot[1] + s * along[1]]
                })
                .collect()
        })
        .collect()
}

/// The relief in `rect`.
pub fn show(ui: &mut Ui, state: &mut State, relief: &Relief, rect: Rect) {
    let palette = theme::palette(ui.ctx());
    let response = ui.interact(
        rect,
        ui.scope_id().with(("relief", relief.number)),
        Sense::click_and_drag(),
    );
    let label = format!("Relief of {}", relief.heights.quantity.name());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    name(&response, &label);
    let camera = &mut state.look.surface.camera;
    let (delta, shift) = (response.drag_delta(), ui.input(|input| input.modifiers.shift));
    let aside = [PointerButton::Secondary, PointerButton::Middle]
        .iter()
        .any(|&button| response.dragged_by(button));
    if aside || (response.dragged() && shift) {
        camera.pan(delta.x / rect.height(), -delta.y / rect.height());
    } else if response.dragged() {
        camera.orbit(delta.x * TURN, delta.y * TURN);
        ui.ctx().set_cursor_icon(egui::CursorIcon::Grabbing);
    }
    if response.hovered() {
        let (scroll, pinch) = ui.input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
        camera.zoom(pinch * (scroll * 0.003).exp());
    }
    if response.double_clicked() {
        *camera = Camera::default();
    }
    let faint = palette.reference;
    let ink = [faint.r(), faint.g(), faint.b(), 255].map(|channel| f32::from(channel) / 255.0);
    let scene = relief.scene(state, ui.ctx().pixels_per_point(), ink);
    let camera = state.look.surface.camera;
    let place = |point: [f32; 3]| -> Option<Pos2> {
        let [x, y] = camera.project(point, rect.width() / rect.height().max(1.0))?;
        let at = rect.center() + egui::vec2(0.5 * x * rect.width(), -0.5 * y * rect.height());
        rect.contains(at).then_some(at)
    };
    let pins: Vec<(String, Pos2)> = relief
        .pins(state, &scene)
        .into_iter()
        .filter_map(|(_, top, name)| Some((name, place(top)?)))
        .collect();
    paint(ui, rect, relief.number, scene);
    let painter = ui.painter_at(rect);
    let [x, y] = relief.base();
    for (name, at) in relief
        .view
        .record
        .axes
        .iter()
        .zip([[0.0, -y * 1.12, 0.0], [-x * 1.12, 0.0, 0.0]])
    {
        if let Some(at) = place(at) {
            let short: String = name.chars().take(34).collect();
            painter.text(at, Align2::CENTER_TOP, short, FontId::proportional(11.5), palette.faint);
        }
    }
    overlay::pins(&painter, rect, &pins);
    if !response.dragged() {
        response.on_hover_text(
            "drag to turn, Shift or the right button to move, the wheel to come nearer, a double click for the view \
             from the start. The ribbon is at the trajectory's own loss, with stems down to the plane's; it is fainter \
             where it is farther from the plane",
        );
    }
}
