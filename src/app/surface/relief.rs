//! The surface as a relief that one turns: with the curves through the point, the trajectory as a ribbon over it, and
//! the solutions as pins.

use std::sync::Arc;

use egui::{Align2, Color32, FontId, Painter, PointerButton, Pos2, Rect, Response, Role, Sense, Ui, WidgetInfo};

use super::overlay;
use super::space::paint;
use crate::app::look::Picture;
use crate::app::source::name;
use crate::app::state::State;
use crate::app::theme::{self, Palette};
use crate::engine::SurfaceView;
use crate::figure::Colouring;
use crate::landscape::Heights;
use crate::render::{self, Camera};

/// Radians of a drag over one point.
const TURN: f32 = 0.009;
/// Pieces of a curve that follows the surface.
const PIECES: usize = 96;

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

impl<'a> Relief<'a> {
    /// The relief as it is looked at, with its base's edges in `ink`, on a dark or a white background.
    fn drawn(&self, state: &State, pixels_per_point: f32, ink: [f32; 4], on_white: bool) -> render::Relief<'a> {
        let plane = state.look.picture == Picture::Plane;
        render::Relief {
            record: &self.view.record,
            heights: self.heights.clone(),
            colouring: self.colouring.clone(),
            camera: state.look.surface.camera,
            height: state.look.surface.height,
            curves: curves(state, &self.heights, plane),
            landmarks: plane,
            until: None,
            ink,
            on_white,
            pixels_per_point,
        }
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
    turn(ui, &response, &mut state.look.surface.camera, Camera::default());
    let drawn = relief.drawn(
        state,
        ui.ctx().pixels_per_point(),
        ink(&palette),
        !ui.visuals().dark_mode,
    );
    paint(ui, rect, relief.number, drawn.scene());
    let painter = ui.painter_at(rect);
    names(&painter, rect, &drawn, palette.faint);
    let help = Rect::from_min_size(rect.right_top() + egui::vec2(-22.0, 4.0), egui::Vec2::splat(18.0));
    ui.put(help, egui::Label::new(egui::RichText::new("?").color(palette.faint)))
        .on_hover_text(
            "drag to turn, Shift or the right button to move, the wheel to come nearer, a double click for the view \
             from the start. The ribbon is at the trajectory's own loss, with stems down to the plane's; it is fainter \
             where it is farther from the plane",
        );
}

/// Turns the eye, moves it aside and brings it nearer as the hand on a relief asks; a double click brings it `home`.
pub fn turn(ui: &Ui, response: &Response, camera: &mut Camera, home: Camera) {
    let (delta, shift) = (response.drag_delta(), ui.input(|input| input.modifiers.shift));
    let aside = [PointerButton::Secondary, PointerButton::Middle]
        .iter()
        .any(|&button| response.dragged_by(button));
    if aside || (response.dragged() && shift) {
        let height = response.rect.height();
        camera.pan(delta.x / height, -delta.y / height);
    } else if response.dragged() {
        camera.orbit(delta.x * TURN, delta.y * TURN);
        ui.ctx().set_cursor_icon(egui::CursorIcon::Grabbing);
    }
    if response.hovered() {
        let (scroll, pinch) = ui.input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
        camera.zoom(pinch * (scroll * 0.003).exp());
    }
    if response.double_clicked() {
        *camera = home;
    }
}

/// Colour of a base's edges.
pub fn ink(palette: &Palette) -> [f32; 4] {
    let faint = palette.reference;
    [faint.r(), faint.g(), faint.b(), 255].map(|channel| f32::from(channel) / 255.0)
}

/// Where a point of the space of a relief in `rect` is seen; nothing outside it.
pub fn place(camera: &Camera, rect: Rect, point: [f32; 3]) -> Option<Pos2> {
    let [x, y] = camera.project(point, rect.width() / rect.height().max(1.0))?;
    let at = rect.center() + egui::vec2(0.5 * x * rect.width(), -0.5 * y * rect.height());
    rect.contains(at).then_some(at)
}

/// Names of the two axes and of the solutions of the relief in `rect`.
pub fn names(painter: &Painter, rect: Rect, drawn: &render::Relief, colour: Color32) {
    for (name, at) in drawn.record.axes.iter().zip(drawn.axes()) {
        if let Some(at) = place(&drawn.camera, rect, at) {
            let short: String = name.chars().take(34).collect();
            let text = painter.layout_no_wrap(short, FontId::proportional(11.5), colour);
            // Away from the middle, so that it does not lie over the surface.
            let align = match at.x < rect.center().x {
                true => Align2::RIGHT_TOP,
                false => Align2::LEFT_TOP,
            };
            let words = align.anchor_size(at, text.size());
            let inside = words.translate(egui::vec2(
                (rect.left() - words.left()).max(0.0) - (words.right() - rect.right()).max(0.0),
                0.0,
            ));
            painter.galley(inside.min, text, colour);
        }
    }
    let pins: Vec<(String, Pos2)> = drawn
        .pins()
        .into_iter()
        .filter_map(|(_, top, name)| Some((name.to_owned(), place(&drawn.camera, rect, top)?)))
        .collect();
    overlay::pins(painter, rect, &pins);
}
