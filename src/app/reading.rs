//! Right: the numbers at the marked point, the two minima, what the paper reads off the slice, and what is still being
//! refined.

use egui::{Grid, ProgressBar, RichText, Ui};

use super::command::Command;
use super::source::{duration, name};
use super::state::State;
use super::{measures, theme};
use crate::data::Part;
use crate::engine::{SliceView, SurfaceView, View};
use crate::landscape::Quantity;
use crate::objective::DeviceChoice;

/// The panel.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    ui.spacing_mut().interact_size.y = 17.0;
    let palette = theme::palette(ui.ctx());
    let Some(slice) = state.slice.clone() else {
        theme::caption(ui, "READING");
        ui.label(RichText::new("losses, minima and distances appear here with the first curve").color(palette.faint));
        ui.add_space(8.0);
        device(ui, state, commands);
        return;
    };
    point(ui, state, &slice);
    ui.add_space(4.0);
    ui.separator();
    if let Some(view) = state.surface.as_ref().filter(|_| state.shows_surface()) {
        surface(ui, state, view);
        ui.add_space(4.0);
        ui.separator();
    }
    minima(ui, &slice);
    measures::show(ui, state, &slice);
    ui.add_space(4.0);
    ui.separator();
    made(ui, state, &slice, commands);
    device(ui, state, commands);
}

/// A number in a grid of two columns, with its name before it.
pub fn row(ui: &mut Ui, label: &str, value: impl Into<RichText>, hint: &str) {
    let faint = theme::palette(ui.ctx()).faint;
    ui.label(RichText::new(label).color(faint)).on_hover_text(hint);
    ui.label(value.into()).on_hover_text(hint);
    ui.end_row();
}

fn point(ui: &mut Ui, state: &State, slice: &SliceView) {
    let palette = theme::palette(ui.ctx());
    theme::caption(ui, "AT THE MARK");
    // In a plane, the first of the two curves through the point.
    let (position, text, label, hint) = match slice.request.view {
        View::Marginals(marginals) => (
            marginals.position(0),
            format!("{:+.3}, {:+.3}", marginals.mark[0], marginals.mark[1]),
            "Position",
            "w + a·e₁ + b·e₂; drag the point on the map",
        ),
        View::Interpolation => (
            state.look.position,
            format!("{:+.3}", state.look.position),
            "Position t",
            "w + t·(w′ − w), from the one solution to the other",
        ),
        _ => (
            state.look.position,
            format!("{:+.3}", state.look.position),
            "Position l",
            "w + l·u; drag along the curve",
        ),
    };
    let value = slice.lines.first().and_then(|line| line.record.curve.at(position));
    Grid::new("point").num_columns(2).spacing([14.0, 4.0]).show(ui, |ui| {
        row(ui, label, text, hint);
        // No more digits than the number of images deserves.
        let rough = slice.level.is_rough();
        let number = |v: Option<f64>| match v {
            None => "–".to_owned(),
            Some(v) if rough && v.abs() >= 1.0 => format!("≈ {v:.1}"),
            Some(v) if rough => format!("≈ {v:.*}", if v.abs() >= 0.1 { 2 } else { 3 }),
            Some(v) => format!("{v:.4}"),
        };
        let percent = |v: Option<f64>| match v {
            None => "–".to_owned(),
            Some(v) if rough => format!("≈ {:.0} %", 100.0 * v),
            Some(v) => format!("{:.1} %", 100.0 * v),
        };
        for (part, colour) in Part::BOTH.into_iter().zip([palette.train, palette.test]) {
            let quality = value.map(|v| v.part(part));
            let name = if part == Part::Train { "Train" } else { "Test" };
            row(
                ui,
                &format!("{name} loss"),
                RichText::new(number(quality.map(|q| q.loss)))
                    .color(colour)
                    .size(16.0)
                    .strong(),
                "mean loss over the images; between measured points, linear",
            );
            row(
                ui,
                &format!("{name} accuracy"),
                percent(quality.map(|q| q.accuracy)),
                "share classified correctly",
            );
        }
        let (label, hint) = match state.is_checkpoint() {
            false => ("From the start", "‖w + l·u − w₀‖: distance from the initial weights"),
            true => (
                "Distance",
                "‖w + l·u − w₀‖: distance from the checkpoint's first solution w₀",
            ),
        };
        row(ui, label, format!("{:.3}", slice.distance.at(position)), hint);
    });
}

/// Lowest points of the surface, and how much of it is measured.
fn surface(ui: &mut Ui, state: &State, view: &SurfaceView) {
    let palette = theme::palette(ui.ctx());
    theme::caption(ui, "SURFACE");
    let grid = &view.record.grid;
    Grid::new("surface").num_columns(2).spacing([14.0, 4.0]).show(ui, |ui| {
        for (quantity, text) in [(Quantity::TrainLoss, "train"), (Quantity::TestLoss, "test")] {
            if let Some(([a, b], loss)) = grid.minimum(quantity) {
                let value = format!("{loss:.3} at {a:+.2}, {b:+.2}");
                row(ui, text, value, "lowest measured loss of the surface and its positions");
            }
        }
        let images = format!("{} + {}", view.images[0], view.images[1]);
        row(ui, "images", images, "training and test images used at every point");
        let points = format!("{} of {}", grid.measured(), grid.values.len());
        row(
            ui,
            "points",
            points,
            "points evaluated; the others are interpolated between them",
        );
    });
    if state.stopped && view.refining.is_some() {
        ui.label(RichText::new("refinement is stopped").color(palette.faint));
        return;
    }
    let text = match view.refining {
        Some(refining) => {
            let [columns, rows] = refining.nodes;
            let (measured, asked) = refining.measured;
            let [train, test] = refining.images;
            format!("refining: {columns} × {rows} points, {train} + {test} images, {measured} of {asked} so far")
        }
        None if view.full => "complete: every image".to_owned(),
        None => "coarse while the weights move; pause to refine".to_owned(),
    };
    ui.add(egui::Label::new(RichText::new(text).small().color(palette.faint)).wrap());
}

fn minima(ui: &mut Ui, slice: &SliceView) {
    let palette = theme::palette(ui.ctx());
    theme::caption(ui, "MINIMA ALONG THE LINE");
    let several = slice.lines.len() > 1;
    for line in &slice.lines {
        let curve = &line.record.curve;
        if several {
            ui.label(RichText::new(&line.record.label).strong());
        }
        Grid::new(("minima", &line.record.label))
            .num_columns(2)
            .spacing([14.0, 4.0])
            .show(ui, |ui| {
                for (part, colour) in Part::BOTH.into_iter().zip([palette.train, palette.test]) {
                    let text = match curve.minimum(part) {
                        None => "–".to_owned(),
                        Some(_) if slice.level.is_rough() => "refining …".to_owned(),
                        Some(m) if m.at_edge => format!("{:.4} at the edge", m.loss),
                        Some(m) => format!("{:.4} at {:+.2}", m.loss, m.position),
                    };
                    let colour = if several { ui.visuals().text_color() } else { colour };
                    row(
                        ui,
                        part.name(),
                        RichText::new(text).color(colour),
                        "lowest measured loss and its position",
                    );
                }
                row(
                    ui,
                    "Shift",
                    curve
                        .shift()
                        .filter(|_| !slice.level.is_rough())
                        .map_or("–".to_owned(), |s| format!("{s:+.2}")),
                    "position of the test minimum minus that of the train minimum",
                );
            });
    }
    if let Some(cosine) = slice.basis_cosine {
        let degrees = cosine.clamp(-1.0, 1.0).acos().to_degrees();
        Grid::new("angle").num_columns(2).spacing([14.0, 4.0]).show(ui, |ui| {
            row(
                ui,
                "∠(u₁, u₂)",
                format!("{degrees:.1}°"),
                "angle between the pad's two directions",
            );
        });
    }
    if slice.request.view == View::Interpolation {
        let length = slice.distance.length_square.sqrt();
        Grid::new("length").num_columns(2).spacing([14.0, 4.0]).show(ui, |ui| {
            row(
                ui,
                "Length",
                format!("{length:.3}"),
                "‖w′ − w‖: distance between the two solutions",
            );
        });
    }
}

fn made(ui: &mut Ui, state: &State, slice: &SliceView, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    theme::caption(ui, "HOW IT IS MADE");
    if let Some(line) = slice.lines.first() {
        let names: Vec<&str> = slice.lines.iter().map(|l| l.record.label.as_str()).collect();
        ui.add(
            egui::Label::new(format!(
                "from {} along {}",
                line.record.provenance.origin,
                names.join(" and ")
            ))
            .wrap(),
        );
    }
    ui.label(RichText::new(format!("batch norm: {}", slice.request.policy)).color(palette.faint))
        .on_hover_text(slice.request.policy.explanation());
    match slice.refining {
        Some(_) if state.stopped && !state.shows_surface() => {
            ui.label(RichText::new("refinement is stopped").color(palette.faint));
            if ui
                .button("Evaluate again")
                .on_hover_text("refine this slice to the end")
                .clicked()
            {
                commands.push(Command::EvaluateAgain);
            }
        }
        Some(refining) => {
            let level = refining.level;
            let what = if level.full {
                "all images".to_owned()
            } else {
                format!("{} + {} images", level.train_images, level.test_images)
            };
            let text = format!("refining: {} points, {what}", level.points);
            ui.label(RichText::new(text).color(palette.faint));
            ui.add(ProgressBar::new(refining.done as f32).desired_height(6.0));
            let left = format!("{} left to the last pass", duration(refining.seconds_left));
            ui.label(RichText::new(left).small().color(palette.faint));
        }
        None if slice.level.full => {
            ui.label(RichText::new("complete: every image at every point").color(palette.faint));
        }
        None => {
            let text = if state.is_training() {
                "coarse while the weights move; pause to refine"
            } else {
                "coarse"
            };
            ui.add(egui::Label::new(RichText::new(text).color(palette.faint)).wrap());
        }
    }
}

fn device(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let idle = state.training.is_none() && state.pending.is_none();
    let hint = "what computes: auto takes a real GPU if there is one, otherwise the CPU (--device)";
    ui.add_enabled_ui(idle, |ui| {
        ui.spacing_mut().interact_size.y = 22.0;
        let combo = egui::ComboBox::from_id_salt("device")
            .width(ui.available_width() - 8.0)
            .truncate()
            .selected_text(format!("device: {}", state.device))
            .show_ui(ui, |ui| {
                for (choice, text) in [
                    (DeviceChoice::Auto, "auto"),
                    (DeviceChoice::Cpu, "cpu: its vectors"),
                    (DeviceChoice::Flex, "flex: Burn on the CPU, slower"),
                    (DeviceChoice::Wgpu, "wgpu: the GPU"),
                ] {
                    if ui.button(text).clicked() {
                        commands.push(Command::Device(choice));
                        ui.close();
                    }
                }
            })
            .response
            .on_hover_text(hint)
            .on_disabled_hover_text("the device can be changed when nothing trains");
        name(&combo, "Device");
    });
}
