//! The surface from above. Dragging moves the point, its axes' ends turn the two curves through it, a line drawn across
//! becomes the slice on the stage, the wheel comes nearer, and hovering reads values.

use std::f64::consts::{FRAC_PI_2, PI};
use std::sync::Arc;

use egui::{Align2, FontId, PointerButton, Pos2, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo};

use super::overlay;
use super::space::{MapSpace, paint};
use crate::app::axis::round_marks;
use crate::app::command::Command;
use crate::app::look::Picture;
use crate::app::source::name;
use crate::app::state::State;
use crate::app::theme::{self, Palette};
use crate::engine::{Marginals, SurfaceView};
use crate::figure::Colouring;
use crate::figure::chart::number;
use crate::landscape::{Heights, Node, Quantity};
use crate::render::{Scene, View};

/// Room for the marks and names of the axes, on the left.
pub const LEFT: f32 = 50.0;
/// And below.
pub const BELOW: f32 = 38.0;
/// How near an axis' end or a step of the trajectory counts as on it.
const NEAR: f32 = 11.0;
/// Length of the handles beyond the point, as a share of the map's shorter side.
const HANDLE: f32 = 0.36;
/// Shift turns an axis in steps of this many radians.
const SNAP: f64 = PI / 12.0;

/// One map.
pub struct Map<'a> {
    /// Its place among those side by side.
    pub number: usize,
    /// What was measured.
    pub view: &'a SurfaceView,
    /// What is drawn.
    pub heights: Arc<Heights>,
    /// How.
    pub colouring: Colouring,
}

/// What a drag on the map does, from where it began.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Drag {
    /// It moves the point.
    Mark,
    /// It turns a curve by one of its ends: the curve's number, and 1 or −1.
    Axis(usize, f64),
    /// It draws a line from a position.
    Line([f64; 2]),
}

/// The map in `rect`, with its axes.
pub fn show(ui: &mut Ui, state: &mut State, map: &Map, rect: Rect, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    let inner = Rect::from_min_max(rect.min + egui::vec2(LEFT, 6.0), rect.max - egui::vec2(8.0, BELOW));
    if inner.width() < 40.0 || inner.height() < 40.0 {
        return;
    }
    let record = &map.view.record;
    let whole = MapSpace::whole(inner, &map.heights, record.lengths);
    let space = MapSpace {
        window: state.look.surface.window.unwrap_or(whole.window),
        ..whole
    };
    let response = ui.interact(inner, ui.scope_id().with(("map", map.number)), Sense::click_and_drag());
    let label = format!("Map of {}", map.heights.quantity.name());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    name(&response, &label);
    paint(
        ui,
        inner,
        map.number,
        Scene {
            heights: map.heights.clone(),
            colouring: map.colouring.clone(),
            dots: if state.look.surface.dots { 0.7 } else { 0.0 },
            pixels_per_point: ui.ctx().pixels_per_point(),
            view: View::Map {
                corners: space.corners(&map.heights),
            },
        },
    );
    axes(ui, rect, &space, &record.axes, &palette);
    let plane = state.look.picture == Picture::Plane;
    let handles = handles(state, &space);
    let drag = interact(ui, state, &space, &response, plane.then_some(&handles), commands);
    let painter = ui.painter_at(inner);
    if plane {
        overlay::trajectory(&painter, record, state.look.surface.step, |p| space.place(p));
        let pins: Vec<(String, Pos2)> = record
            .solutions
            .iter()
            .map(|solution| (solution.name.clone(), space.place(solution.position)))
            .filter(|(_, at)| inner.contains(*at))
            .collect();
        overlay::pins(&painter, inner, &pins);
    }
    mark(&painter, state, &space, plane.then_some(&handles), drag);
    if let (Some(Drag::Line(from)), Some(to)) = (drag, response.interact_pointer_pos()) {
        let ends = [space.place(from), to];
        painter.line_segment(ends, Stroke::new(5.0, overlay::AROUND.gamma_multiply(0.6)));
        painter.line_segment(ends, Stroke::new(2.2, egui::Color32::WHITE));
    }
    if response.hovered() && drag.is_none() {
        hover(ui, map, &space, &response, plane);
    }
}

/// Ends of the two curves' handles.
fn handles(state: &State, space: &MapSpace) -> [[Pos2; 2]; 2] {
    let at = space.place(state.look.surface.mark);
    let reach = HANDLE * space.rect.width().min(space.rect.height());
    let marginals = marginals(state);
    [0, 1].map(|index| {
        let [a, b] = marginals.along(index);
        let mark = state.look.surface.mark;
        let along = space.place([mark[0] + a, mark[1] + b]) - at;
        let unit = along / along.length().max(1e-6);
        [at + unit * reach, at - unit * reach]
    })
}

fn marginals(state: &State) -> Marginals {
    state.look.marginals([(0.0, 0.0); 2])
}

/// What the hand does. Gives the drag under way.
fn interact(
    ui: &Ui,
    state: &mut State,
    space: &MapSpace,
    response: &egui::Response,
    handles: Option<&[[Pos2; 2]; 2]>,
    commands: &mut Vec<Command>,
) -> Option<Drag> {
    let key = response.id.with("drag");
    let shift = ui.input(|input| input.modifiers.shift);
    if response.hovered() {
        let (scroll, pinch, pointer) = ui.input(|input| {
            (
                input.smooth_scroll_delta().y,
                input.zoom_delta(),
                input.pointer.hover_pos(),
            )
        });
        let factor = f64::from(pinch) * (f64::from(scroll) * 0.004).exp();
        if let Some(pointer) = pointer.filter(|_| factor != 1.0) {
            state.look.surface.window = Some(space.moved(Vec2::ZERO, factor, pointer));
        }
    }
    for button in [PointerButton::Secondary, PointerButton::Middle] {
        if response.dragged_by(button) {
            state.look.surface.window = Some(space.moved(response.drag_delta(), 1.0, space.rect.center()));
        }
    }
    if response.double_clicked() {
        if let Some(pointer) = response.interact_pointer_pos() {
            move_to(state, space.position(pointer), commands);
            commands.push(Command::Recentre);
        }
        return None;
    }
    let pointer = response.interact_pointer_pos()?;
    if response.clicked() {
        move_to(state, space.position(pointer), commands);
        return None;
    }
    if response.drag_started_by(PointerButton::Primary) {
        let from = ui.input(|input| input.pointer.press_origin()).unwrap_or(pointer);
        let end = handles.and_then(|handles| {
            handles
                .iter()
                .enumerate()
                .flat_map(|(index, ends)| [(index, 1.0, ends[0]), (index, -1.0, ends[1])])
                .find(|(_, _, at)| at.distance(from) < NEAR)
        });
        let drag = match end {
            Some((index, sign, _)) => Drag::Axis(index, sign),
            None if shift && handles.is_some() => Drag::Line(space.position(from)),
            None => Drag::Mark,
        };
        ui.data_mut(|data| data.insert_temp(key, drag));
    }
    let drag: Drag = ui.data(|data| data.get_temp(key))?;
    if response.drag_stopped_by(PointerButton::Primary) {
        ui.data_mut(|data| data.remove::<Drag>(key));
        if let Drag::Line(from) = drag {
            commands.push(Command::SliceAcross(from, space.position(pointer)));
        }
        return None;
    }
    if !response.dragged_by(PointerButton::Primary) {
        return None;
    }
    match drag {
        Drag::Mark => move_to(state, space.position(pointer), commands),
        Drag::Axis(index, sign) => {
            let (mark, to) = (state.look.surface.mark, space.position(pointer));
            let angle = (sign * (to[1] - mark[1])).atan2(sign * (to[0] - mark[0]));
            state.look.surface.angles[index] = snapped(angle, shift, index);
        }
        Drag::Line(_) => {}
    }
    Some(drag)
}

/// An angle between −π and π: to 15° with Shift, onto the curve's own axis nearby, otherwise to tenths of a degree.
fn snapped(angle: f64, shift: bool, index: usize) -> f64 {
    let own = [0.0, FRAC_PI_2][index];
    let angle = if shift { (angle / SNAP).round() * SNAP } else { angle };
    match (angle - own).abs() < 0.02 {
        true => own,
        false => ((angle.to_degrees() * 10.0).round() / 10.0).to_radians(),
    }
}

/// Moves the point to positions rounded to what a hand can tell; close to the origin it snaps.
fn move_to(state: &mut State, [a, b]: [f64; 2], commands: &mut Vec<Command>) {
    let rounded = |x: f64| (x * 1e3).round() / 1e3;
    if state.look.picture == Picture::Through {
        state.look.position = rounded(a).clamp(-state.look.reach, state.look.reach);
        commands.push(Command::GoToEpoch(b.round().max(0.0) as usize));
        return;
    }
    let reach = state.look.reach;
    let near = |x: f64| x.abs() < 0.012 * reach;
    state.look.surface.mark = if near(a) && near(b) {
        [0.0; 2]
    } else {
        [rounded(a), rounded(b)]
    };
    state.look.surface.step = None;
}

/// The point, with the two curves through it.
fn mark(
    painter: &egui::Painter,
    state: &State,
    space: &MapSpace,
    handles: Option<&[[Pos2; 2]; 2]>,
    drag: Option<Drag>,
) {
    let around = overlay::AROUND.gamma_multiply(0.55);
    let light = egui::Color32::WHITE;
    let Some(handles) = handles else {
        // Through training the slice on the stage is the row of an epoch.
        let at = space.place([state.look.position, state.epoch()]);
        let row = [
            egui::pos2(space.rect.left(), at.y),
            egui::pos2(space.rect.right(), at.y),
        ];
        painter.line_segment(row, Stroke::new(3.0, around));
        painter.line_segment(row, Stroke::new(1.3, light));
        painter.circle(at, 6.0, light, Stroke::new(2.0, overlay::AROUND));
        return;
    };
    let at = space.place(state.look.surface.mark);
    for (index, ends) in handles.iter().enumerate() {
        painter.line_segment(*ends, Stroke::new(3.4, around));
        painter.line_segment(*ends, Stroke::new(1.4, light));
        for (end, sign) in ends.iter().zip([1.0, -1.0]) {
            let held = drag == Some(Drag::Axis(index, sign));
            painter.circle(
                *end,
                if held { 7.0 } else { 5.0 },
                light,
                Stroke::new(1.5, overlay::AROUND),
            );
        }
        let beyond = (ends[0] - at).normalized() * 15.0;
        let symbol = ["1", "2"][index];
        painter.text(
            ends[0] + beyond,
            Align2::CENTER_CENTER,
            symbol,
            FontId::proportional(13.0),
            light,
        );
    }
    painter.circle(at, 6.5, light, Stroke::new(2.0, overlay::AROUND));
}

/// Values under the pointer, and the step or solution there.
fn hover(ui: &Ui, map: &Map, space: &MapSpace, response: &egui::Response, plane: bool) {
    ui.ctx().set_cursor_icon(egui::CursorIcon::Crosshair);
    let Some(pointer) = response.hover_pos() else { return };
    let position = space.position(pointer);
    let record = &map.view.record;
    let landmark = record
        .solutions
        .iter()
        .map(|solution| (solution.name.clone(), solution))
        .chain(
            record
                .trajectory
                .iter()
                .map(|step| (format!("epoch {}", step.name), step)),
        )
        .filter(|(_, landmark)| space.place(landmark.position).distance(pointer) < 0.6 * NEAR)
        .min_by(|a, b| {
            let distance = |landmark: [f64; 2]| space.place(landmark).distance(pointer);
            distance(a.1.position).total_cmp(&distance(b.1.position))
        });
    let mut text = match plane {
        true => format!("{:+.3}, {:+.3}", position[0], position[1]),
        false => format!("l = {:+.3}, epoch {:.0}", position[0], position[1]),
    };
    let [x, y] = map.heights.node(position);
    let measured = match map.heights.nearest(x, y) {
        Some(Node::Measured) => "",
        Some(Node::Interpolated) => " (interpolated)",
        _ => "",
    };
    for (quantity, label) in [(Quantity::TrainLoss, "train"), (Quantity::TestLoss, "test")] {
        let accuracy = match quantity {
            Quantity::TrainLoss => Quantity::TrainAccuracy,
            _ => Quantity::TestAccuracy,
        };
        let value = |quantity| {
            let field = map.view.field(quantity)?;
            let index = nearest_index(field.columns, field.rows, x, y)?;
            (field.known[index] != crate::landscape::Known::Missing).then(|| field.values[index])
        };
        if let (Some(loss), Some(accuracy)) = (value(quantity), value(accuracy)) {
            text += &format!("\n{label} loss {loss:.4}, accuracy {:.1} %{measured}", 100.0 * accuracy);
        }
    }
    if let Some((name, landmark)) = landmark {
        text += &format!("\n{name}: {:.3} from the plane", landmark.distance);
        if let Some(own) = landmark.own {
            text += &format!("\nits own loss: train {:.4}, test {:.4}", own.train.loss, own.test.loss);
        }
    }
    response.clone().on_hover_text_at_pointer(text);
}

fn nearest_index(columns: usize, rows: usize, x: f64, y: f64) -> Option<usize> {
    let inside = |x: f64, count: usize| (-0.5..=count as f64 - 0.5).contains(&x);
    (inside(x, columns) && inside(y, rows)).then(|| {
        let index = |x: f64, count: usize| (x.round().max(0.0) as usize).min(count - 1);
        index(y, rows) * columns + index(x, columns)
    })
}

/// Marks and names of the axes.
pub fn axes(ui: &Ui, rect: Rect, space: &MapSpace, names: &[String; 2], palette: &Palette) {
    let painter = ui.painter_at(rect);
    let inner = space.rect;
    painter.rect_stroke(inner, 0.0, Stroke::new(1.0, palette.grid), egui::StrokeKind::Outside);
    let [left, bottom, right, top] = space.window;
    let font = FontId::proportional(11.5);
    for mark in round_marks((left, right), f64::from(inner.width() / 60.0)) {
        let x = space.place([mark.value, bottom]).x;
        painter.line_segment(
            [egui::pos2(x, inner.bottom()), egui::pos2(x, inner.bottom() + 4.0)],
            Stroke::new(1.0, palette.grid),
        );
        let at = egui::pos2(x, inner.bottom() + 5.0);
        painter.text(at, Align2::CENTER_TOP, number(mark.value), font.clone(), palette.faint);
    }
    for mark in round_marks((bottom, top), f64::from(inner.height() / 44.0)) {
        let y = space.place([left, mark.value]).y;
        painter.line_segment(
            [egui::pos2(inner.left() - 4.0, y), egui::pos2(inner.left(), y)],
            Stroke::new(1.0, palette.grid),
        );
        let at = egui::pos2(inner.left() - 6.0, y);
        painter.text(
            at,
            Align2::RIGHT_CENTER,
            number(mark.value),
            font.clone(),
            palette.faint,
        );
    }
    let text = |words: &str, room: f32| {
        let mut job =
            egui::text::LayoutJob::simple_singleline(words.to_owned(), FontId::proportional(12.0), palette.faint);
        job.wrap = egui::text::TextWrapping::truncate_at_width(room);
        painter.layout_job(job)
    };
    let across = text(&names[0], inner.width());
    let at = egui::pos2(inner.center().x - across.size().x / 2.0, rect.bottom() - 17.0);
    painter.galley(at, across, palette.faint);
    let up = text(&names[1], inner.height());
    let at = egui::pos2(rect.left(), inner.center().y + up.size().x / 2.0);
    let turned = egui::epaint::TextShape::new(at, up, palette.faint).with_angle(-std::f32::consts::FRAC_PI_2);
    painter.add(turned);
}
