//! The race on its surface: from above and as a relief, with every dynamics as a moving point and its way behind it.

use egui::{Align2, Color32, FontId, Label, Painter, Pos2, Rect, RichText, Role, Sense, Stroke, Ui, Vec2, WidgetInfo};

use super::controls::colours;
use super::made::Made;
use super::{GAP, Race};
use crate::app::source::name;
use crate::app::surface::look::Layout;
use crate::app::surface::map::{BELOW, LEFT, axes};
use crate::app::surface::overlay::{self, AROUND};
use crate::app::surface::relief::{ink, names, place, turn};
use crate::app::surface::space::{MapSpace, paint};
use crate::app::theme;
use crate::dynamics::noise::Noise;
use crate::dynamics::race::COMPARED;
use crate::render::{Camera, Scene, Segment, View};

/// Numbers of the two pictures among the window's; those of the stage are below.
const NUMBERS: [usize; 2] = [8, 9];
/// Steps of a way that are drawn strongly, the last ones.
const RECENT: usize = 40;
/// Widths in points of a way from the start and of its last steps.
const WIDTHS: [f32; 2] = [1.2, 2.6];
/// Opacity of a way from the start.
const FAINT: f32 = 0.55;
/// What is around the last steps of a way, wider by so many points.
const SEAM: f32 = 2.0;
/// How much nearer to the eye a way is taken to be than the surface that it lies on, and what is around it.
const LIFTS: [f32; 2] = [0.0035, 0.003];
/// Radius of a point.
const RADIUS: f32 = 5.5;

/// From where one looks at first: across the line between the minima, from high enough to see into both.
pub fn home() -> Camera {
    Camera {
        azimuth: 1.75 * std::f32::consts::PI,
        elevation: 0.85,
        ..Camera::default()
    }
}

/// The pictures that are asked for, side by side in the room there is.
pub fn show(ui: &mut Ui, race: &mut Race, made: &Made, drawn: &[usize]) {
    let room = ui.max_rect();
    let step = race.clock.step();
    // Of a square surface the map needs no more width than this.
    let square = room.height() - BELOW + LEFT;
    match race.layout {
        Layout::Map => {
            let size = Vec2::new(square.min(room.width()), room.height());
            map(ui, made, step, drawn, Rect::from_center_size(room.center(), size));
        }
        Layout::Relief => relief(ui, &mut race.camera, made, step, drawn, room),
        Layout::Both => {
            let edge = room.left() + square.min(0.5 * room.width());
            let (left, right) = room.split_left_right_at_x(edge);
            map(ui, made, step, drawn, left);
            let right = right.with_min_x(right.left() + GAP);
            relief(ui, &mut race.camera, made, step, drawn, right);
        }
    }
}

/// What is around lines and points, so that they are seen on any colour.
fn around(ui: &Ui) -> Color32 {
    match ui.visuals().dark_mode {
        true => AROUND,
        false => Color32::WHITE,
    }
}

fn map(ui: &Ui, made: &Made, step: usize, drawn: &[usize], rect: Rect) {
    let palette = theme::palette(ui.ctx());
    let inner = Rect::from_min_max(rect.min + egui::vec2(LEFT, 6.0), rect.max - egui::vec2(8.0, BELOW));
    let response = ui.interact(inner, ui.scope_id().with("map of the race"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "Map of the race"));
    name(&response, "Map of the race");
    let space = MapSpace::whole(inner, &made.heights, made.record.lengths);
    let corners = space.corners(&made.heights);
    paint(
        ui,
        inner,
        NUMBERS[0],
        Scene {
            heights: made.heights.clone(),
            colouring: made.colouring.clone(),
            dots: 0.0,
            pixels_per_point: ui.ctx().pixels_per_point(),
            view: View::Map { corners },
        },
    );
    axes(ui, rect, &space, &made.record.axes, &palette);
    let painter = ui.painter_at(inner);
    let (colours, seam) = (colours(&palette), around(ui));
    for &index in drawn {
        let way = &made.runs[index].trajectory[..=step];
        let way: Vec<Pos2> = way.iter().map(|&w| space.place(w)).collect();
        let recent = way[way.len().saturating_sub(RECENT)..].to_vec();
        painter.line(way, Stroke::new(WIDTHS[0], colours[index].gamma_multiply(FAINT)));
        painter.line(
            recent.clone(),
            Stroke::new(WIDTHS[1] + SEAM, seam.gamma_multiply(FAINT)),
        );
        painter.line(recent, Stroke::new(WIDTHS[1], colours[index]));
    }
    let pins: Vec<(String, Pos2)> = made
        .record
        .solutions
        .iter()
        .map(|minimum| (minimum.name.clone(), space.place(minimum.position)))
        .collect();
    overlay::pins(&painter, inner, &pins);
    let points = drawn.iter().map(|&index| {
        let at = space.place(made.runs[index].trajectory[step]);
        (index, at)
    });
    self::points(ui, &painter, inner, &points.collect::<Vec<_>>());
    if let Some(pointer) = response.hover_pos() {
        let [a, b] = space.position(pointer);
        if let Some(loss) = made.heights.value([a, b]) {
            response.on_hover_text_at_pointer(format!("w = ({a:+.2}, {b:+.2})\nL(w) = {loss:.3}"));
        }
    }
}

fn relief(ui: &mut Ui, camera: &mut Camera, made: &Made, step: usize, drawn: &[usize], rect: Rect) {
    let palette = theme::palette(ui.ctx());
    let response = ui.interact(rect, ui.scope_id().with("relief of the race"), Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "Relief of the race"));
    name(&response, "Relief of the race");
    turn(ui, &response, camera, home());
    let scale = ui.ctx().pixels_per_point();
    let relief = made.relief(*camera, ink(&palette), !ui.visuals().dark_mode, scale);
    let mut scene = relief.scene();
    if let View::Relief { segments, .. } = &mut scene.view {
        let (colours, seam) = (colours(&palette), around(ui));
        for &index in drawn {
            segments.extend(way(made, index, step, [colours[index], seam], scale));
        }
    }
    paint(ui, rect, NUMBERS[1], scene);
    let painter = ui.painter_at(rect);
    names(&painter, rect, &relief, palette.faint);
    let points = drawn.iter().filter_map(|&index| {
        let at = place(camera, rect, made.place(index, step)?)?;
        Some((index, at))
    });
    self::points(ui, &painter, rect, &points.collect::<Vec<_>>());
    let help = Rect::from_min_size(rect.right_top() + egui::vec2(-22.0, 4.0), Vec2::splat(18.0));
    ui.put(help, Label::new(RichText::new("?").color(palette.faint)))
        .on_hover_text(
            "drag to turn, Shift or the right button to move, the wheel to come nearer, a double click for the view \
             from the start",
        );
}

/// The way of dynamics number `index` up to a step, on the relief.
fn way(
    made: &Made,
    index: usize,
    step: usize,
    [colour, seam]: [Color32; 2],
    pixels_per_point: f32,
) -> impl Iterator<Item = Segment> {
    let line = move |from: usize, to: usize, width: f32, shade: [f32; 4], lift: f32| {
        made.pieces(index, from, to).map(move |ends| Segment {
            ends,
            colours: [shade; 2],
            width: width * pixels_per_point,
            lift,
        })
    };
    let recent = step.saturating_sub(RECENT);
    let [thin, wide] = WIDTHS;
    let [front, behind] = LIFTS;
    line(0, recent, thin, shade(colour, FAINT), front)
        .chain(line(recent, step, wide + SEAM, shade(seam, FAINT), behind))
        .chain(line(recent, step, wide, shade(colour, 1.0), front))
}

/// A colour with an opacity, as the relief takes it.
fn shade(colour: Color32, opacity: f32) -> [f32; 4] {
    let [red, green, blue] = [colour.r(), colour.g(), colour.b()].map(|channel| f32::from(channel) / 255.0);
    [red, green, blue, opacity]
}

/// The moving points, with names that cover neither each other nor leave the picture sideways.
fn points(ui: &Ui, painter: &Painter, inside: Rect, points: &[(usize, Pos2)]) {
    let (colours, seam) = (colours(&theme::palette(ui.ctx())), around(ui));
    let background = ui.visuals().extreme_bg_color.gamma_multiply(0.8);
    for &(index, at) in points {
        painter.circle(at, RADIUS, colours[index], Stroke::new(1.8, seam));
    }
    let mut taken: Vec<Rect> = Vec::new();
    for &(index, at) in points {
        let text = painter.layout_no_wrap(
            short(COMPARED[index]).to_owned(),
            FontId::proportional(13.0),
            colours[index],
        );
        let size = text.size() + Vec2::new(8.0, 2.0);
        let place = free(at, size, inside, &taken);
        if place.top() > at.y {
            let end = egui::pos2(at.x.clamp(place.left(), place.right()), place.top());
            painter.line_segment([at, end], Stroke::new(1.0, colours[index].gamma_multiply(FAINT)));
        }
        painter.rect_filled(place, 3.0, background);
        let corner = Align2::CENTER_CENTER.anchor_size(place.center(), text.size()).min;
        painter.galley(corner, text, colours[index]);
        taken.push(place);
    }
}

/// Where a name of a size goes beside a point: on its right, or on its left where there is no room, and so far down
/// that it covers none of those before it.
fn free(at: Pos2, size: Vec2, inside: Rect, taken: &[Rect]) -> Rect {
    let beside = RADIUS + 4.0;
    let left = match at.x + beside + size.x <= inside.right() {
        true => at.x + beside,
        false => at.x - beside - size.x,
    };
    let mut place = Rect::from_min_size(egui::pos2(left, at.y - 0.5 * size.y), size);
    while let Some(other) = taken.iter().find(|other| other.intersects(place)) {
        place = place.translate(egui::vec2(0.0, other.bottom() + 1.0 - place.top()));
    }
    place
}

/// The name of a dynamics beside its point.
fn short(noise: Noise) -> &'static str {
    let name = noise.name();
    name.strip_prefix("GLD ").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::dynamics::race::made::Rules;

    #[test]
    fn names_of_points_at_one_place_cover_neither_each_other_nor_leave_the_picture() {
        let inside = Rect::from_min_max(egui::pos2(0.0, 0.0), egui::pos2(200.0, 400.0));
        for x in [20.0, 195.0] {
            let mut taken: Vec<Rect> = Vec::new();
            for number in 0..6 {
                let at = egui::pos2(x, 100.0 + number as f32);
                let place = free(at, Vec2::new(40.0 + number as f32, 15.0), inside, &taken);
                assert!(inside.contains_rect(place), "{place:?}");
                assert!(taken.iter().all(|other| !other.intersects(place)), "{place:?}");
                taken.push(place);
            }
        }
    }

    #[test]
    fn a_way_on_the_relief_ends_at_the_step_and_is_strong_there() {
        let made = Made::make(Rules::default(), 1).unwrap();
        let colours = [Color32::from_rgb(255, 0, 0), Color32::WHITE];
        let index = COMPARED.len() - 1;
        assert_eq!(way(&made, index, 0, colours, 2.0).count(), 0);
        for step in [1, RECENT, 3 * RECENT] {
            let segments: Vec<Segment> = way(&made, index, step, colours, 2.0).collect();
            let last = segments.last().unwrap();
            assert_eq!(Some(last.ends[1]), made.place(index, step));
            assert_eq!((last.width, last.colours[0]), (2.0 * WIDTHS[1], [1.0, 0.0, 0.0, 1.0]));
            assert_eq!(Some(segments[0].ends[0]), made.place(index, 0));
            // From the start to the step, and the last steps once more.
            let [all, last] = [0, step.saturating_sub(RECENT)].map(|from| made.pieces(index, from, step).count());
            assert_eq!(segments.len(), all + last);
        }
    }
}
