//! The direction pad: a disc whose axes are two directions. Its handle turns u = cos φ·u₁ + sin φ·u₂, and the map
//! behind it is the loss in their plane.

use eframe::egui_wgpu;
use egui::{Align2, ComboBox, DragValue, FontId, Pos2, Rect, RichText, Sense, Stroke, Ui, Vec2, WidgetInfo};

use super::command::{self, Command};
use super::curvature::Curvature;
use super::look::Picture;
use super::state::State;
use super::{search, surface, theme};
use crate::engine::{Anchor, CompassView};
use crate::landscape::{Basis, DirectionKind, Normalisation};
use crate::render::{PolarMap, PolarMapPipeline};

/// Width of the pad's column.
pub const WIDTH: f32 = 212.0;
const RADIUS: f32 = 84.0;
/// Holding Shift turns in steps of this many degrees.
const SNAP_DEGREES: f64 = 15.0;

/// The column: pad, its two directions, reach, and the point one stands at.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let plane = state.look.picture == Picture::Plane;
    if plane {
        theme::caption(ui, "PLANE");
    } else {
        theme::caption(ui, "DIRECTION PAD");
        disc(ui, state);
    }
    let sgd = state.run.as_ref().is_some_and(|run| run.sgd);
    let turns = state.run.is_some() && state.look.picture != Picture::Interpolation;
    ui.add_enabled_ui(turns, |ui| {
        let (mut first, mut second) = (state.look.first, state.look.second);
        let offered = Offered {
            way: sgd.then(|| state.names().join(" → ")),
            files: &state.direction_files,
            curvature: &state.curvature,
        };
        let read = basis_row(ui, "u₁", "First direction", &mut first, &offered);
        if basis_row(ui, "u₂", "Second direction", &mut second, &offered) || read {
            commands.push(Command::ChooseDirection);
        }
        if (first, second) != (state.look.first, state.look.second) {
            state.look.settle();
            (state.look.first, state.look.second) = (first, second);
            state.look.surface.reset_place();
        }
        normalisation(ui, state);
        ui.horizontal(|ui| {
            let label = ui.label("Range ±");
            ui.add(
                DragValue::new(&mut state.look.reach)
                    .range(0.01..=1000.0)
                    .speed(0.02)
                    .max_decimals(2),
            )
            .labelled_by(label.id)
            .on_hover_text("slices and planes reach from −range to range, in units of ‖u‖");
            if state.look.surface.ranges.is_some()
                && plane
                && ui.small_button("×").on_hover_text("back to ± range").clicked()
            {
                state.look.surface.reset_place();
            }
            search::button(ui, state, commands);
        });
    });
    if plane || state.look.picture == Picture::Through {
        surface::controls(ui, state, commands);
    }
    ui.add_space(6.0);
    stand(ui, state, commands);
}

fn normalisation(ui: &mut Ui, state: &mut State) {
    let before = state.look.normalisation;
    let mut chosen = before;
    let combo = ComboBox::from_id_salt("normalisation")
        .width(120.0)
        .selected_text(format!("length: {before}"))
        .show_ui(ui, |ui| {
            for normalisation in Normalisation::ALL {
                ui.selectable_value(&mut chosen, normalisation, normalisation.name())
                    .on_hover_text(normalisation.explanation());
            }
        })
        .response
        .on_hover_text(before.explanation());
    super::source::name(&combo, "Normalisation");
    if chosen != before {
        state.look.settle();
        state.look.normalisation = chosen;
        state.look.surface.reset_place();
    }
}

/// Which solution w is, and the way back to it.
fn stand(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let Some(run) = &state.run else { return };
    theme::caption(ui, "STANDING AT");
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let latest = if state.is_training() { "Live" } else { "Latest" };
        let [first, second] = state.names();
        let hints = match run.checkpoint {
            false => [
                "the average of the weights, once averaging is done",
                "the end of SGD started from the average",
            ],
            true => ["the first entry of the checkpoint", "the other entry of the checkpoint"],
        };
        for (anchor, text, shown, enabled, hint) in [
            (
                Anchor::Current,
                latest,
                !run.checkpoint,
                true,
                "the weights being trained, or the newest snapshot",
            ),
            (Anchor::Swa, first, true, run.swa, hints[0]),
            (Anchor::Sgd, second, !second.is_empty(), run.sgd, hints[1]),
        ] {
            if !shown {
                continue;
            }
            let here = state.look.anchor == anchor && state.look.picture != Picture::Interpolation;
            if ui
                .add_enabled(enabled, egui::Button::selectable(here, text))
                .on_hover_text(hint)
                .on_disabled_hover_text(hint)
                .clicked()
            {
                commands.push(Command::Stand(anchor));
            }
        }
    });
    let walked = !state.look.walk.is_empty() || state.look.position != 0.0;
    if walked && state.look.picture == Picture::Direction {
        ui.horizontal(|ui| {
            if ui
                .add_enabled(state.look.position != 0.0, egui::Button::new("Recentre"))
                .on_hover_text("w ← w + l·u: take the marked position as the new point (Enter, or double click)")
                .clicked()
            {
                commands.push(Command::Recentre);
            }
            if ui
                .button("Back")
                .on_hover_text("undo the walk: back to the solution itself")
                .clicked()
            {
                commands.push(Command::Stand(state.look.anchor));
            }
        });
    }
}

/// What a row may offer beside random directions.
struct Offered<'a> {
    /// Name of the way between the two solutions, where there are two.
    way: Option<String>,
    /// Names of the files that directions were read from.
    files: &'a [String],
    /// The eigenvectors that were found.
    curvature: &'a Curvature,
}

/// True when a direction is to be read from a file.
fn basis_row(ui: &mut Ui, symbol: &str, name: &str, basis: &mut Basis, offered: &Offered) -> bool {
    let mut read = false;
    ui.horizontal(|ui| {
        ui.label(RichText::new(symbol).strong());
        let way = offered.way.as_deref().unwrap_or("SWA → SGD");
        let sum = format!("{way} + random");
        let to_epoch = match *basis {
            Basis::SwaToEpoch(epoch) => format!("SWA → epoch {epoch}"),
            _ => String::new(),
        };
        let file = |index: usize| offered.files.get(index).map_or("file", String::as_str);
        let text = match *basis {
            Basis::Random(kind, _) => kind.name(),
            Basis::SwaToSgd => way,
            Basis::SwaToSgdAndRandom(_) => &sum,
            Basis::File(index) => file(index),
            Basis::SwaToEpoch(_) => &to_epoch,
            Basis::Principal { component: 0, .. } => "trajectory PC 1",
            Basis::Principal { .. } => "trajectory PC 2",
            Basis::Eigenvector { set, index } => {
                let known = offered.curvature.eigenvector_name(set, index);
                known.unwrap_or("eigenvector")
            }
        };
        let seed = match basis {
            Basis::Random(_, seed) | Basis::SwaToSgdAndRandom(seed) => *seed,
            Basis::SwaToSgd
            | Basis::File(_)
            | Basis::SwaToEpoch(_)
            | Basis::Principal { .. }
            | Basis::Eigenvector { .. } => 1,
        };
        let combo = ComboBox::from_id_salt(name)
            .width(96.0)
            // All entries at once: what is below a fold is not found.
            .height(400.0)
            .truncate()
            .selected_text(text)
            .show_ui(ui, |ui| {
                for kind in DirectionKind::ALL {
                    ui.selectable_value(basis, Basis::Random(kind, seed), kind.name())
                        .on_hover_text(kind.explanation());
                }
                ui.add_enabled_ui(offered.way.is_some(), |ui| {
                    ui.selectable_value(basis, Basis::SwaToSgd, way)
                        .on_hover_text("from the one solution to the other, scaled to unit length");
                    ui.selectable_value(basis, Basis::SwaToSgdAndRandom(seed), &sum)
                        .on_hover_text("u_inter + u_rand, both unit, then u ← u/‖u‖ (Asymmetric Valleys, Fig. 9)");
                });
                for index in 0..offered.files.len() {
                    ui.selectable_value(basis, Basis::File(index), file(index));
                }
                for (set, index, name) in offered.curvature.eigenvectors() {
                    ui.selectable_value(basis, Basis::Eigenvector { set, index }, name);
                }
                read = ui
                    .button("from a file…")
                    .on_hover_text(
                        "a tensor `direction` in state-dict parameter order, or one tensor a parameter name; a file \
                         dropped on the window is read, too",
                    )
                    .clicked();
            })
            .response
            .on_hover_text(text);
        super::source::name(&combo, name);
        if let Basis::Random(_, seed) | Basis::SwaToSgdAndRandom(seed) = basis {
            let response = ui
                .add(DragValue::new(seed).speed(0.1))
                .on_hover_text("seed: another draw of the direction");
            super::source::name(&response, &format!("Seed of {}", name.to_lowercase()));
        }
    });
    read
}

fn disc(ui: &mut Ui, state: &mut State) {
    let palette = theme::palette(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(Vec2::new(WIDTH, 2.0 * RADIUS + 40.0), Sense::click_and_drag());
    let centre = rect.center();
    let enabled = state.run.is_some();
    if enabled
        && (response.dragged() || response.clicked())
        && let Some(pointer) = response.interact_pointer_pos()
    {
        let offset = pointer - centre;
        if offset.length() > 4.0 {
            let mut angle = f64::from(-offset.y).atan2(f64::from(offset.x));
            if ui.input(|input| input.modifiers.shift) {
                let snap = SNAP_DEGREES.to_radians();
                angle = (angle / snap).round() * snap;
            }
            // Tenths of a degree: as fine as a hand, and short enough to be written down.
            command::turn_to(state, ((angle.to_degrees() * 10.0).round() / 10.0).to_radians());
        }
    }
    let degrees = state.look.angle.to_degrees();
    response.widget_info(|| WidgetInfo::slider(enabled, degrees, "Direction pad"));
    let lengths = match state.look.normalisation {
        Normalisation::Unit => "‖u‖ = 1".to_owned(),
        Normalisation::None => "u₁ and u₂ as drawn".to_owned(),
        other => format!("u₁ and u₂ normalised by {other}"),
    };
    let response = response.on_hover_cursor(egui::CursorIcon::Grab);
    let response = if response.dragged() {
        response
    } else {
        response.on_hover_text(format!(
            "u = cos φ · u₁ + sin φ · u₂, {lengths}, φ = {degrees:.0}°\n\
             u₁ (right): {}\nu₂ (up): {}\nBehind it: the train loss of w + r·u, dark is low. Shift snaps to 15°.",
            state.basis_name(state.look.first),
            state.basis_name(state.look.second)
        ))
    };
    let visuals = ui.style().interact(&response);
    let painter = ui.painter_at(rect);
    painter.circle_filled(centre, RADIUS, ui.visuals().faint_bg_color);
    if let Some(compass) = &state.compass {
        let square = Rect::from_center_size(centre, Vec2::splat(2.0 * RADIUS));
        painter.add(egui_wgpu::Callback::new_paint_callback(
            square,
            MapPainter(map_of(compass)),
        ));
    }
    painter.circle_stroke(
        centre,
        RADIUS,
        Stroke::new(1.5, visuals.bg_stroke.color.max_of(palette.reference)),
    );
    for (offset, align, text) in [
        (Vec2::new(RADIUS + 3.0, 0.0), Align2::LEFT_CENTER, "u₁"),
        (Vec2::new(0.0, -RADIUS - 3.0), Align2::CENTER_BOTTOM, "u₂"),
    ] {
        painter.line_segment(
            [centre - offset * 0.98, centre + offset * 0.96],
            Stroke::new(0.6, palette.reference),
        );
        painter.text(centre + offset, align, text, FontId::proportional(13.0), palette.faint);
    }
    if !enabled {
        return;
    }
    let unit = Vec2::new(state.look.angle.cos() as f32, -state.look.angle.sin() as f32);
    let tip = centre + unit * RADIUS;
    let outline = ui.visuals().extreme_bg_color;
    painter.line_segment(
        [centre - unit * RADIUS, tip],
        Stroke::new(4.5, outline.gamma_multiply(0.6)),
    );
    painter.line_segment(
        [centre - unit * RADIUS, centre],
        Stroke::new(1.6, palette.handle.gamma_multiply(0.6)),
    );
    painter.line_segment([centre, tip], Stroke::new(2.4, palette.handle));
    let walked = (state.look.position / state.look.reach) as f32;
    dot(
        &painter,
        centre + unit * RADIUS * walked.clamp(-1.0, 1.0),
        4.5,
        palette.handle,
        outline,
    );
    dot(
        &painter,
        tip,
        if response.hovered() || response.dragged() {
            10.0
        } else {
            8.5
        },
        palette.handle,
        outline,
    );
    painter.text(
        rect.left_top() + Vec2::new(2.0, 2.0),
        Align2::LEFT_TOP,
        format!("φ = {degrees:.0}°"),
        FontId::proportional(12.0),
        palette.faint,
    );
}

fn dot(painter: &egui::Painter, at: Pos2, radius: f32, colour: egui::Color32, outline: egui::Color32) {
    painter.circle(at, radius, colour, Stroke::new(2.0, outline));
}

fn map_of(compass: &CompassView) -> PolarMap {
    PolarMap {
        angles: compass.angles,
        radii: compass.radii,
        centre: compass.centre,
        losses: compass.losses.clone(),
        opacity: 1.0,
    }
}

trait MaxOf {
    fn max_of(self, other: Self) -> Self;
}

impl MaxOf for egui::Color32 {
    /// The more visible of two colours: a hovered widget has none of its own at rest.
    fn max_of(self, other: Self) -> Self {
        if self.a() == 0 { other } else { self }
    }
}

struct MapPainter(PolarMap);

impl egui_wgpu::CallbackTrait for MapPainter {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _screen: &egui_wgpu::ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut egui_wgpu::CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(pipeline) = resources.get_mut::<PolarMapPipeline>() {
            pipeline.prepare(device, queue, &self.0);
        }
        Vec::new()
    }

    fn paint(
        &self,
        _info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &egui_wgpu::CallbackResources,
    ) {
        if let Some(pipeline) = resources.get::<PolarMapPipeline>() {
            pipeline.draw(pass);
        }
    }
}
