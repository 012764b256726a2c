//! The colour bar: its ends are dragged to spread the colours, its middle to shift the iso-lines, the wheel makes more or
//! fewer of them.

use egui::{Align2, Color32, FontId, Mesh, Rect, Role, Sense, Stroke, Ui, WidgetInfo};

use super::look::{LINES, SurfaceLook};
use crate::app::source::name;
use crate::app::theme;
use crate::figure::chart::number;
use crate::figure::{ColourMap, Colouring};

/// Width of the bar with its marks.
pub const WIDTH: f32 = 62.0;
/// Width of the colours.
const COLOURS: f32 = 14.0;
/// How near an end counts as on it.
const NEAR: f32 = 14.0;
/// Pieces that the colours are drawn in.
const PIECES: usize = 64;
/// Points of the wheel for one line.
const WHEEL: f32 = 18.0;

/// What a drag on the bar does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Drag {
    Low,
    High,
    Lines,
}

/// The bar in `rect` for colours whose surface has values over `own`.
pub fn show(ui: &mut Ui, look: &mut SurfaceLook, colouring: &Colouring, own: (f64, f64), rect: Rect) {
    let palette = theme::palette(ui.ctx());
    let bar = Rect::from_min_max(
        rect.min + egui::vec2(4.0, 8.0),
        egui::pos2(rect.left() + 4.0 + COLOURS, rect.bottom() - 8.0),
    );
    if bar.height() < 40.0 {
        return;
    }
    let response = ui.interact(rect, ui.scope_id().with("colour bar"), Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::labeled(Role::Slider, true, "Colour bar"));
    name(&response, "Colour bar");
    let [low, high] = [colouring.range.0, colouring.range.1].map(|value| colouring.height.of(value));
    let place = |height: f64| bar.bottom() - ((height - low) / (high - low)) as f32 * bar.height();
    interact(ui, look, colouring, own, &response, bar);
    let painter = ui.painter_at(rect);
    painter.add(gradient(colouring.map, bar));
    for level in colouring.levels() {
        let y = place(colouring.height.of(level));
        let under = colouring
            .colour(level)
            .map_or(0, |[r, g, b]| u32::from(r) + u32::from(g) + u32::from(b));
        let shade = if under > 400 { Color32::BLACK } else { Color32::WHITE };
        let line = [egui::pos2(bar.left(), y), egui::pos2(bar.right(), y)];
        painter.line_segment(line, Stroke::new(1.0, shade.gamma_multiply(0.6)));
    }
    painter.rect_stroke(bar, 0.0, Stroke::new(1.0, palette.grid), egui::StrokeKind::Outside);
    let font = FontId::proportional(11.5);
    let mut taken: Vec<f32> = Vec::new();
    let ends = [low, high];
    let between = (1..8).map(|index| low + (high - low) * f64::from(index) / 8.0);
    for (index, height) in ends.into_iter().chain(between).enumerate() {
        let y = place(height);
        if taken.iter().any(|other| (other - y).abs() < 17.0) {
            continue;
        }
        taken.push(y);
        let end = index < 2;
        let colour = if end { ui.visuals().text_color() } else { palette.faint };
        let value = shortened(colouring.height.value(height));
        painter.text(
            egui::pos2(bar.right() + 6.0, y),
            Align2::LEFT_CENTER,
            value,
            font.clone(),
            colour,
        );
        if end {
            let grip = Rect::from_center_size(egui::pos2(bar.center().x, y), egui::vec2(COLOURS + 6.0, 5.0));
            painter.rect(
                grip,
                2.0,
                palette.handle,
                Stroke::new(1.0, palette.reference),
                egui::StrokeKind::Outside,
            );
        }
    }
    response.on_hover_text(
        "drag an end to spread the colours, the middle to shift the iso-lines, the wheel for more or fewer of them; a \
         double click goes back to the surface's own range",
    );
}

/// A map's colours from its lower end at the bottom to its upper one at the top.
pub fn gradient(map: ColourMap, bar: Rect) -> Mesh {
    let mut mesh = Mesh::default();
    for piece in 0..=PIECES {
        let share = piece as f32 / PIECES as f32;
        let [r, g, b] = map.at(f64::from(share));
        let y = bar.bottom() - share * bar.height();
        mesh.colored_vertex(egui::pos2(bar.left(), y), Color32::from_rgb(r, g, b));
        mesh.colored_vertex(egui::pos2(bar.right(), y), Color32::from_rgb(r, g, b));
        if piece > 0 {
            let last = 2 * piece as u32;
            mesh.add_triangle(last - 2, last - 1, last);
            mesh.add_triangle(last - 1, last, last + 1);
        }
    }
    mesh
}

/// Three digits are enough to read a colour.
pub fn shortened(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => number(value.round()),
        size if size >= 1.0 => number((value * 100.0).round() / 100.0),
        _ => number(value),
    }
}

/// How far beyond a surface's own heights the ends of the colours go, and how far apart they stay, over some of those
/// heights.
fn limits(own: (f64, f64)) -> (f64, f64) {
    let room = (own.1 - own.0).max(1e-9);
    (room, 0.02 * room)
}

/// Where the lower end goes when it is dragged to a height. Where the upper one has left the surface's `own` heights,
/// the limits cross, and to stay apart comes first.
fn low_end(to: f64, high: f64, own: (f64, f64)) -> f64 {
    let (room, apart) = limits(own);
    to.max(own.0 - room).min(high.min(own.1) - apart)
}

/// The same for the upper end.
fn high_end(to: f64, low: f64, own: (f64, f64)) -> f64 {
    let (room, apart) = limits(own);
    to.min(own.1 + room).max(low.max(own.0) + apart)
}

fn interact(
    ui: &Ui,
    look: &mut SurfaceLook,
    colouring: &Colouring,
    own: (f64, f64),
    response: &egui::Response,
    bar: Rect,
) {
    if response.double_clicked() {
        (look.colours, look.offset) = (None, 0.0);
        return;
    }
    if response.hovered() {
        let key = response.id.with("wheel");
        let scroll = ui.input(|input| input.smooth_scroll_delta().y);
        if scroll != 0.0 {
            let sum = ui.data(|data| data.get_temp::<f32>(key)).unwrap_or(0.0) + scroll;
            let steps = (sum / WHEEL).trunc();
            ui.data_mut(|data| data.insert_temp(key, sum - steps * WHEEL));
            look.lines = look.lines.saturating_add_signed(steps as isize).clamp(LINES.0, LINES.1);
        }
        ui.ctx().set_cursor_icon(egui::CursorIcon::ResizeVertical);
    }
    let key = response.id.with("drag");
    let Some(pointer) = response.interact_pointer_pos() else {
        return;
    };
    if response.drag_started() {
        let from = ui.input(|input| input.pointer.press_origin()).unwrap_or(pointer);
        let drag = match from.y {
            y if (y - bar.bottom()).abs() < NEAR => Drag::Low,
            y if (y - bar.top()).abs() < NEAR => Drag::High,
            _ => Drag::Lines,
        };
        ui.data_mut(|data| data.insert_temp(key, drag));
    }
    if !response.dragged() {
        return;
    }
    let Some(drag) = ui.data(|data| data.get_temp::<Drag>(key)) else {
        return;
    };
    let [low, high] = [colouring.range.0, colouring.range.1].map(|value| colouring.height.of(value));
    let per_point = (high - low) / f64::from(bar.height());
    let by = -f64::from(response.drag_delta().y) * per_point;
    let own = (colouring.height.of(own.0), colouring.height.of(own.1));
    match drag {
        Drag::Low => {
            let low = low_end(low + by, high, own);
            look.colours = Some((colouring.height.value(low), colouring.range.1));
        }
        Drag::High => {
            let high = high_end(high + by, low, own);
            look.colours = Some((colouring.range.0, colouring.height.value(high)));
        }
        Drag::Lines => look.offset = (look.offset + by / colouring.spacing().max(1e-12)).rem_euclid(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_stay_apart_near_the_surface_and_over_some_of_it() {
        let own = (1.0, 2.0);
        assert_eq!((low_end(0.7, 2.0, own), high_end(1.6, 1.0, own)), (0.7, 1.6));
        assert_eq!((low_end(-5.0, 2.0, own), high_end(9.0, 1.0, own)), (0.0, 3.0));
        assert_eq!((low_end(1.9, 1.5, own), high_end(1.1, 1.5, own)), (1.48, 1.52));
        // Not beyond the surface's own heights, where the colours would be over none of them.
        assert_eq!((low_end(2.5, 3.0, own), high_end(0.5, 0.0, own)), (1.98, 1.02));
    }

    #[test]
    fn ends_that_another_surface_left_elsewhere_are_dragged_as_well() {
        for own in [(1.0, 2.0), (1.0, 1.0), (-7.0, -7.0)] {
            for other in [-50.0, -7.0, 0.0, 1.0, 50.0] {
                for to in [-100.0, 0.0, 1.5, 100.0] {
                    let (low, high) = (low_end(to, other, own), high_end(to, other, own));
                    assert!(low < other && high > other, "{low} and {high} of {other} over {own:?}");
                }
            }
        }
    }
}
