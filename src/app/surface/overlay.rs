//! What lies over a picture of a surface: the trajectory, fainter where it is farther from the plane, and the solutions
//! as labelled pins.

use egui::{Align2, Color32, FontId, Painter, Pos2, Rect, Stroke};

use crate::landscape::SurfaceRecord;

/// Room around a label.
const ROOM: f32 = 4.0;

/// The line of the trajectory.
pub const LINE: Color32 = Color32::WHITE;
/// What is around lines and pins, so that they are seen on any colour.
pub const AROUND: Color32 = Color32::from_rgb(20, 22, 28);

/// A record's trajectory as a line with a dot a step, and a ring at the marked one.
pub fn trajectory(painter: &Painter, record: &SurfaceRecord, marked: Option<usize>, place: impl Fn([f64; 2]) -> Pos2) {
    let farthest = record.fading();
    let places: Vec<(Pos2, f32)> = record
        .trajectory
        .iter()
        .map(|step| (place(step.position), step.opacity(farthest) as f32))
        .collect();
    for (colour, width) in [(AROUND.gamma_multiply(0.55), 3.6), (LINE, 1.5)] {
        for pair in places.windows(2) {
            let opacity = pair[0].1.min(pair[1].1);
            painter.line_segment(
                [pair[0].0, pair[1].0],
                Stroke::new(width, colour.gamma_multiply(opacity)),
            );
        }
    }
    for &(at, opacity) in &places {
        let around = Stroke::new(0.8, AROUND.gamma_multiply(0.6 * opacity));
        painter.circle(at, 2.1, LINE.gamma_multiply(opacity), around);
    }
    if let Some(&(at, _)) = marked.and_then(|step| places.get(step)) {
        painter.circle_stroke(at, 7.0, Stroke::new(4.0, AROUND.gamma_multiply(0.6)));
        painter.circle_stroke(at, 7.0, Stroke::new(2.0, LINE));
    }
}

/// Pins with names; a name goes where it covers neither another pin nor another name.
pub fn pins(painter: &Painter, inside: Rect, pins: &[(String, Pos2)]) {
    let mut taken: Vec<Rect> = pins
        .iter()
        .map(|(_, at)| Rect::from_center_size(*at, egui::Vec2::splat(12.0)))
        .collect();
    for (_, at) in pins {
        painter.circle(*at, 5.0, AROUND, Stroke::new(2.0, LINE));
    }
    for (index, (name, at)) in pins.iter().enumerate() {
        let text = painter.layout_no_wrap(name.clone(), FontId::proportional(12.5), Color32::from_gray(20));
        let size = text.size() + egui::Vec2::splat(2.0 * ROOM);
        let around = [
            (Align2::LEFT_CENTER, egui::vec2(10.0, 0.0)),
            (Align2::RIGHT_CENTER, egui::vec2(-10.0, 0.0)),
            (Align2::CENTER_BOTTOM, egui::vec2(0.0, -10.0)),
            (Align2::CENTER_TOP, egui::vec2(0.0, 10.0)),
            (Align2::LEFT_BOTTOM, egui::vec2(16.0, -22.0)),
            (Align2::RIGHT_TOP, egui::vec2(-16.0, 22.0)),
            (Align2::LEFT_TOP, egui::vec2(16.0, 22.0)),
            (Align2::RIGHT_BOTTOM, egui::vec2(-16.0, -22.0)),
        ]
        .map(|(align, offset)| (align.anchor_size(*at + offset, size), offset));
        let worst = |rect: &Rect| -> f32 {
            let others = taken.iter().enumerate().filter(|(other, _)| *other != index);
            let covered: f32 = others
                .map(|(_, other)| rect.intersect(*other))
                .filter(|both| both.is_positive())
                .map(|both| both.area())
                .sum();
            covered + if inside.contains_rect(*rect) { 0.0 } else { 1e4 }
        };
        let Some((rect, offset)) = around.into_iter().min_by(|a, b| worst(&a.0).total_cmp(&worst(&b.0))) else {
            continue;
        };
        if offset.length() > 20.0 {
            painter.line_segment([*at, rect.clamp(*at)], Stroke::new(1.0, LINE));
        }
        painter.rect_filled(rect, 3.0, Color32::from_white_alpha(225));
        painter.galley(rect.min + egui::Vec2::splat(ROOM), text, Color32::from_gray(20));
        taken.push(rect);
    }
}
