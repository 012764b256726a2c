//! The stage's surfaces: a plane of the loss, or its slice through the whole of training, as map and relief, with the
//! curves through a point below.

pub mod bar;
pub mod look;
pub mod map;
mod marginals;
mod moves;
pub mod overlay;
pub mod relief;
pub mod space;

use std::sync::Arc;

use egui::{ComboBox, Rect, RichText, Ui, Vec2};

use self::look::{Layout, Shown, colourings, shared_scale};
use self::map::Map;
pub use self::relief::Relief;
use super::command::Command;
use super::look::Picture;
use super::source::name;
use super::state::State;
use super::theme;
use crate::engine::{SurfaceChoice, SurfaceView};
use crate::figure::{ColourMap, Colouring};
use crate::landscape::{Frame, Heights, Projected};
use crate::render::relief::HEIGHTS;

/// Height of the curves below.
const CURVES: f32 = 128.0;
/// Narrowest picture of two side by side.
const NARROWEST: f32 = 200.0;

/// What is drawn: the smooth surfaces and their colours.
type Drawn = Vec<(Arc<Heights>, Colouring)>;

/// The surfaces that a look shows.
pub fn drawn(state: &mut State, view: &SurfaceView) -> Drawn {
    let shown = state.look.surface.shown;
    let scale = shared_scale(view, shown, state.scale);
    let heights: Vec<Arc<Heights>> = shown
        .quantities()
        .into_iter()
        .filter_map(|quantity| state.heights.of(view, quantity, scale))
        .collect();
    let colours = colourings(&state.look.surface, &heights);
    heights.into_iter().zip(colours).collect()
}

/// The panel, where a surface is on the stage.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    toolbar(ui, state, commands);
    let view = state.surface.clone().filter(|view| is_of(view, state));
    let Some(view) = view else {
        waiting(ui, state, commands);
        return;
    };
    let drawn = drawn(state, &view);
    if drawn.is_empty() || view.record.grid.measured() == 0 {
        waiting(ui, state, commands);
        return;
    }
    if drawn
        .iter()
        .all(|(heights, _)| heights.nodes.iter().all(|node| node[1] != 2.0))
    {
        ui.vertical_centered(|ui| {
            ui.add_space(ui.available_height() * 0.35);
            ui.label(RichText::new("no loss of this surface is finite").color(palette.warning));
            ui.label("choose a smaller range, or another direction");
        });
        return;
    }
    let all = ui.available_rect_before_wrap();
    let plane = state.look.picture == Picture::Plane;
    let curves = if plane || state.slice.is_some() {
        CURVES.min(0.32 * all.height())
    } else {
        0.0
    };
    let pictures = Rect::from_min_max(all.min, egui::pos2(all.right(), all.bottom() - curves - 6.0));
    let below = Rect::from_min_max(egui::pos2(all.left(), all.bottom() - curves), all.max);
    show_pictures(ui, state, &view, &drawn, pictures, commands);
    if plane {
        marginals::show(ui, state, &view, below);
    } else {
        super::stage::row(ui, state, below);
    }
    ui.advance_cursor_after_rect(all);
}

fn show_pictures(
    ui: &mut Ui,
    state: &mut State,
    view: &SurfaceView,
    drawn: &Drawn,
    rect: Rect,
    commands: &mut Vec<Command>,
) {
    let layout = state.look.surface.layout;
    let (maps, reliefs) = match layout {
        Layout::Map => (true, false),
        Layout::Relief => (false, true),
        Layout::Both => (true, true),
    };
    let room = rect.width() - bar::WIDTH;
    let count = drawn.len() * (usize::from(maps) + usize::from(reliefs));
    // Four pictures in a row would be stamps: two rows then.
    let rows = if maps && reliefs && room / (count as f32) < NARROWEST {
        2
    } else {
        1
    };
    let across = count.div_ceil(rows);
    let size = Vec2::new(room / across as f32, rect.height() / rows as f32);
    let place = |index: usize| {
        let (column, row) = (index % across, index / across);
        Rect::from_min_size(rect.min + egui::vec2(column as f32 * size.x, row as f32 * size.y), size)
    };
    let mut index = 0;
    for kind in [maps, reliefs]
        .into_iter()
        .enumerate()
        .filter(|(_, wanted)| *wanted)
        .map(|(kind, _)| kind)
    {
        for (number, (heights, colouring)) in drawn.iter().enumerate() {
            let place = place(index).shrink(2.0);
            let (heights, colouring) = (heights.clone(), colouring.clone());
            if drawn.len() > 1 {
                let title = heights.quantity.name();
                let colour = ui.visuals().text_color();
                let at = place.center_top();
                ui.painter().text(
                    at,
                    egui::Align2::CENTER_TOP,
                    title,
                    egui::FontId::proportional(12.5),
                    colour,
                );
            }
            let place = if drawn.len() > 1 {
                Rect::from_min_max(place.min + egui::vec2(0.0, 14.0), place.max)
            } else {
                place
            };
            if kind == 0 {
                let map = Map {
                    number,
                    view,
                    heights,
                    colouring,
                };
                map::show(ui, state, &map, place, commands);
            } else {
                let relief = Relief {
                    number: 2 + number,
                    view,
                    heights,
                    colouring,
                };
                relief::show(ui, state, &relief, place);
            }
            index += 1;
        }
    }
    let own = drawn
        .iter()
        .map(|(heights, _)| heights.range)
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        .unwrap_or((0.0, 1.0));
    let bar = Rect::from_min_max(
        egui::pos2(rect.right() - bar::WIDTH, rect.top()),
        egui::pos2(rect.right(), rect.bottom() - 30.0),
    );
    bar::show(ui, &mut state.look.surface, &drawn[0].1, own, bar);
}

/// Whether a view is of the surface that is looked at.
fn is_of(view: &SurfaceView, state: &State) -> bool {
    match view.request.choice {
        SurfaceChoice::Plane(plane) => state.look.picture == Picture::Plane && plane == state.look.plane(),
        SurfaceChoice::Through(_) => state.look.picture == Picture::Through,
    }
}

fn waiting(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    if state.stopped || state.run.is_none() {
        super::stage::empty(ui, state, commands);
        return;
    }
    let palette = theme::palette(ui.ctx());
    let moving = state.is_training() && state.look.anchor == crate::engine::Anchor::Current;
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.35);
        if moving && state.look.picture == Picture::Plane {
            ui.label(RichText::new("The weights are moving").heading());
            ui.label(
                RichText::new(
                    "Pause training (Space), or stand at an epoch on the timeline, to see the plane around it.",
                )
                .color(palette.faint),
            );
            return;
        }
        ui.spinner();
        if let Some(done) = state.reading {
            ui.label(RichText::new("finding the trajectory's principal components …").color(palette.faint));
            ui.add(
                egui::ProgressBar::new(done as f32)
                    .desired_width(220.0)
                    .desired_height(6.0),
            );
            ui.label(RichText::new("Escape stops it").small().color(palette.faint));
            return;
        }
        let text = match state.look.picture {
            Picture::Through => "evaluating the slice of every epoch …",
            _ => "evaluating the plane …",
        };
        ui.label(RichText::new(text).color(palette.faint));
    });
}

fn toolbar(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let stopped = state.stopped && state.surface.as_ref().is_some_and(|view| view.refining.is_some());
    let look = &mut state.look.surface;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        for (layout, text, hint) in [
            (Layout::Map, "Map", "the surface from above"),
            (Layout::Relief, "Relief", "the surface in three dimensions"),
            (Layout::Both, "Both", "side by side"),
        ] {
            let button = egui::Button::selectable(look.layout == layout, text);
            if ui.add(button).on_hover_text(hint).clicked() {
                look.layout = layout;
            }
        }
        let before = look.shown;
        let shown = ComboBox::from_id_salt("shown")
            .selected_text(look.shown.name())
            .width(132.0)
            .height(400.0)
            .show_ui(ui, |ui| {
                for shown in Shown::ALL {
                    ui.selectable_value(&mut look.shown, shown, shown.name());
                }
            })
            .response
            .on_hover_text("what is drawn; a difference is train − test");
        name(&shown, "Quantity");
        if look.shown != before {
            look.colours = None;
        }
        let text = look.map.map_or("colours", ColourMap::name);
        let map = ComboBox::from_id_salt("colours")
            .selected_text(text)
            .width(86.0)
            .show_ui(ui, |ui| {
                ui.selectable_value(&mut look.map, None, "usual");
                for map in ColourMap::ALL {
                    ui.selectable_value(&mut look.map, Some(map), map.name());
                }
            })
            .response
            .on_hover_text(
                "colour map; usual: viridis, and diverging for differences. All are safe for colour-blind readers",
            );
        name(&map, "Colour map");
        let dots = egui::Button::selectable(look.dots, "·:·");
        let dots = ui
            .add(dots)
            .on_hover_text("dots where the network was evaluated; between them the surface is interpolated");
        name(&dots, "Measured points");
        if dots.clicked() {
            look.dots = !look.dots;
        }
        let height = ui
            .add(
                egui::DragValue::new(&mut look.height)
                    .range(HEIGHTS)
                    .speed(0.01)
                    .max_decimals(2)
                    .prefix("height "),
            )
            .on_hover_text("height of the relief; 1 is half the longer side of its base");
        name(&height, "Height of the relief");
        if stopped {
            let again = ui.button("Evaluate again");
            if again.on_hover_text("refine this surface to the end").clicked() {
                commands.push(Command::EvaluateAgain);
            }
        }
        if look.window.is_some() && ui.button("Fit").on_hover_text("the whole surface on the map").clicked() {
            look.window = None;
        }
    });
    ui.add_space(2.0);
}

/// Rows of the pad's column that choose the plane.
pub fn controls(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    let Some(run) = &state.run else { return };
    let trajectory = !run.checkpoint && run.snapshots >= 3;
    let three = run.sgd && !run.checkpoint;
    if state.look.picture == Picture::Plane {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let text = "a run of three snapshots at least has principal components";
            if ui
                .add_enabled(trajectory, egui::Button::new("Trajectory"))
                .on_hover_text("the plane that the trajectory moves in most: its two leading principal components")
                .on_disabled_hover_text(text)
                .clicked()
            {
                commands.push(Command::TrajectoryPlane);
            }
            if ui
                .add_enabled(three, egui::Button::new("3 solutions"))
                .on_hover_text(
                    "the plane through SWA, SGD and the last iterate before averaging ended (Garipov et al.)",
                )
                .on_disabled_hover_text("once SWA and SGD are there")
                .clicked()
            {
                commands.push(Command::SolutionsPlane);
            }
        });
        let mut orthonormal = state.look.surface.frame == Frame::Orthonormal;
        let before = orthonormal;
        ui.checkbox(&mut orthonormal, "orthonormal axes")
            .on_hover_text("e₁ = u₁/‖u₁‖, e₂ = the part of u₂ across it, of unit length: the map shows true distances");
        if orthonormal != before {
            state.look.surface.frame = if orthonormal { Frame::Orthonormal } else { Frame::Given };
            state.look.surface.reset_place();
        }
    }
    let every = &mut state.look.surface.every_node;
    ui.checkbox(every, "evaluate every point").on_hover_text(
        "otherwise only where a loss is steep or curved, and the rest is interpolated: losses to 0.4 % of their range, \
         accuracies and differences may be further off",
    );
    if let Some(view) = &state.surface {
        let record = &view.record;
        if let Some(angle) = record.angle {
            ui.label(RichText::new(format!("∠(u₁, u₂) = {angle:.1}°")).color(palette.faint))
                .on_hover_text("angle between the two directions as given");
        }
        if let Some([first, second]) = record.explained {
            let text = format!("variance {:.1} % + {:.1} %", 100.0 * first, 100.0 * second);
            ui.label(RichText::new(text).color(palette.faint))
                .on_hover_text("share of the trajectory's variance along each axis; the rest lies off the plane");
        }
        let farthest = Projected::farthest(&record.trajectory);
        if farthest > 0.0 {
            let text = format!("trajectory up to {farthest:.1} off");
            ui.label(RichText::new(text).color(palette.faint))
                .on_hover_text("largest distance of a snapshot from this plane; fainter is farther");
        }
    }
}
