//! Centre: the curves along the line, the marked point that walks along them, and the direction pad.

use egui::{Align2, Color32, RichText, Ui, Vec2b};
use egui_plot::{
    AxisHints, Corner, Legend, Line, LineStyle, MarkerShape, PlotBounds, PlotPoint, PlotPoints, Points, Text, VLine,
};

use super::axis::{fixed_plot, grid, round_marks};
use super::command::Command;
use super::look::Picture;
use super::state::State;
use super::theme::{self, Palette};
use super::{measures, pad, surface};
use crate::data::Part;
use crate::engine::{SliceView, View};
use crate::figure::chart::number;
use crate::figure::pictures;
use crate::landscape::curve::loss_range;
use crate::landscape::{Curve, Height, Scale};
use crate::objective::BatchNormPolicy;

/// The panel.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    header(ui, state, commands);
    ui.add_space(4.0);
    let height = ui.available_height();
    ui.horizontal_top(|ui| {
        // A surface needs the room; its controls are above the reading on the right.
        if state.shows_surface() {
            ui.vertical(|ui| surface::show(ui, state, commands));
            return;
        }
        let width = ui.available_width() - pad::WIDTH - 14.0;
        ui.allocate_ui(egui::vec2(width, height), |ui| match state.slice.clone() {
            Some(slice) => curves(ui, state, &slice),
            None => empty(ui, state, commands),
        });
        ui.allocate_ui(egui::vec2(pad::WIDTH, height), |ui| {
            ui.vertical(|ui| pad::show(ui, state, commands));
        });
    });
}

fn header(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let ready = state.run.as_ref().is_some_and(|run| run.swa && run.sgd);
    let way = match state.names() {
        [first, ""] => format!("{first} → …"),
        names => names.join(" → "),
    };
    ui.horizontal(|ui| {
        for (picture, text, hint) in [
            (
                Picture::Direction,
                "Direction",
                "the loss along the pad's direction: L(w + l·u) (1)",
            ),
            (
                Picture::Comparison,
                "Compare",
                "the pad's two directions over each other, batch norm and the rest, say (2)",
            ),
            (
                Picture::Interpolation,
                way.as_str(),
                "L(w + t·(w′ − w)) from one solution to the other, once both are there (3)",
            ),
            (
                Picture::Plane,
                "Plane",
                "the loss over the plane of two directions: L(w + a·u₁ + b·u₂), with the trajectory in it (4)",
            ),
            (
                Picture::Through,
                "Training",
                "the slice of every epoch: L(w_t + l·u), how the valley forms (5)",
            ),
        ] {
            let enabled = state.run.as_ref().is_some_and(|run| match picture {
                Picture::Interpolation => ready,
                Picture::Through => !run.checkpoint,
                _ => true,
            });
            let missing = match picture {
                Picture::Interpolation => "once two solutions are there",
                Picture::Through => "a checkpoint has no trajectory: open a run folder",
                _ => "train or open a run first",
            };
            let response = ui
                .add_enabled(enabled, egui::Button::selectable(state.look.picture == picture, text))
                .on_hover_text(hint)
                .on_disabled_hover_text(format!("{hint}: {missing}"));
            if response.clicked() {
                commands.push(Command::Show(picture));
            }
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.spacing_mut().interact_size.x = 0.0;
            let axis = match state.scale {
                Scale::Automatic => "Loss: auto",
                Scale::Linear => "Loss: linear",
                Scale::Logarithmic => "Loss: log",
            };
            if ui
                .button(axis)
                .on_hover_text("vertical axis: automatic, linear or logarithmic")
                .clicked()
            {
                state.scale = match state.scale {
                    Scale::Automatic => Scale::Linear,
                    Scale::Linear => Scale::Logarithmic,
                    Scale::Logarithmic => Scale::Automatic,
                };
            }
            let policy = egui::ComboBox::from_id_salt("policy")
                .selected_text(format!("bn {}", state.look.policy))
                .width(104.0)
                .show_ui(ui, |ui| {
                    for policy in BatchNormPolicy::ALL {
                        ui.selectable_value(&mut state.look.policy, policy, policy.name())
                            .on_hover_text(policy.explanation());
                    }
                })
                .response
                .on_hover_text(state.look.policy.explanation());
            super::source::name(&policy, "Batch-norm policy");
            if let Some(slice) = &state.slice {
                level(ui, slice);
            }
        });
    });
}

/// The slice on the stage, in less room: the row of an epoch below the surface through training.
pub fn row(ui: &mut Ui, state: &mut State, rect: egui::Rect) {
    if let Some(slice) = state
        .slice
        .clone()
        .filter(|slice| matches!(slice.request.view, View::Direction(_)))
    {
        ui.scope_builder(egui::UiBuilder::new().max_rect(rect), |ui| curves(ui, state, &slice));
    }
}

/// What stands where nothing can be drawn yet.
pub fn empty(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.32);
        if state.stopped {
            ui.label(RichText::new("evaluation is stopped").color(palette.faint));
            if ui.button("Evaluate again").clicked() {
                commands.push(Command::EvaluateAgain);
            }
            return;
        }
        if let Some(text) = state.waiting_for() {
            ui.spinner();
            ui.label(RichText::new(text).color(palette.faint));
            if let Some(done) = state.reading {
                ui.add(
                    egui::ProgressBar::new(done as f32)
                        .desired_width(220.0)
                        .desired_height(6.0),
                );
                ui.label(RichText::new("Escape stops it").small().color(palette.faint));
            }
            return;
        }
        if let Some(form) = &state.checkpoint {
            let network = match form.model.as_str() {
                "" => "Which network is it?",
                model => model,
            };
            ui.label(RichText::new(network).heading());
            ui.add_space(4.0);
            ui.label(
                RichText::new("Say on the left which data to measure this checkpoint on, and open it.")
                    .color(palette.faint),
            );
            return;
        }
        ui.label(RichText::new("No valley in sight yet").heading());
        ui.add_space(4.0);
        ui.label(
            RichText::new("Train the built-in example, or drop a checkpoint or a run folder on this window.")
                .color(palette.faint),
        );
        ui.add_space(8.0);
        if ui
            .button("Train the example")
            .on_hover_text("Space does the same")
            .clicked()
        {
            commands.push(Command::Train);
        }
    });
}

fn curves(ui: &mut Ui, state: &mut State, slice: &SliceView) {
    let palette = theme::palette(ui.ctx());
    let shown: Vec<&Curve> = slice.lines.iter().map(|line| &line.record.curve).collect();
    let Some((low, high)) = loss_range(shown.iter().copied()) else {
        ui.vertical_centered(|ui| {
            ui.add_space(ui.available_height() * 0.35);
            ui.label(RichText::new("no loss along this line is finite").color(palette.warning));
            ui.label("go back to an earlier epoch, or to another direction");
        });
        return;
    };
    let height = state.scale.height(low, high);
    // What is drawn is what was evaluated, even where the look has moved on already.
    let axis = slice
        .lines
        .first()
        .map_or("loss", |line| pictures::loss_axis(std::slice::from_ref(&line.record)));
    let interpolation = slice.request.view == View::Interpolation;
    let range = slice.request.range;
    let (bottom, top) = (height.of(low), height.of(high));
    let room = ((top - bottom) * 0.07).max(1e-3);
    let names = state.names().map(str::to_owned);
    let x_label = if interpolation {
        pictures::interpolation_axis(&names)
    } else {
        "position l of w + l·u".to_owned()
    };
    let interactive = !matches!(slice.request.view, View::Comparison(..));
    let position = state.look.position;
    // The row below a surface is too low for more than its curves.
    let canvas = (!state.shows_surface()).then_some(measures::Canvas {
        palette,
        height,
        losses: (low, high),
    });
    let lines = slice.lines.as_slice();
    let response = fixed_plot("slice")
        .custom_x_axes(vec![
            AxisHints::new_x()
                .label(x_label)
                .formatter(|mark, _| number(mark.value))
                .min_thickness(40.0),
        ])
        .custom_y_axes(vec![
            AxisHints::new_y()
                .label(axis)
                .formatter(move |mark, _| number(height.value(mark.value)))
                .min_thickness(56.0),
        ])
        .y_grid_spacer(move |input| grid(height, &input, 6.0))
        .label_formatter(move |hover| {
            let (egui_plot::HoverPosition::NearDataPoint { position, .. }
            | egui_plot::HoverPosition::Elsewhere { position }) = hover;
            let axis = if interpolation { "t" } else { "l" };
            let mut text = format!("{axis} = {:.2}", position.x);
            for line in lines {
                let value = line.record.curve.at(position.x)?;
                let label = if lines.len() > 1 { &line.record.label } else { "" };
                text += &format!("\n{label} train {:.4}, test {:.4}", value.train.loss, value.test.loss);
            }
            Some(text)
        })
        .legend(
            Legend::default()
                .position(Corner::LeftTop)
                .follow_insertion_order(true)
                .background_alpha(0.6),
        )
        .show_axes(Vec2b::TRUE)
        .grid_color(palette.grid)
        .x_grid_spacer(move |input| round_marks(input.bounds, 6.0))
        .set_margin_fraction(egui::Vec2::ZERO)
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            plot.set_plot_bounds(PlotBounds::from_min_max(
                [range.0, bottom - room],
                [range.1, top + room],
            ));
            if let Some(canvas) = &canvas {
                measures::backdrop(plot, canvas, &state.measures, slice);
            }
            if interpolation {
                for (x, label) in [0.0, 1.0].into_iter().zip(&names) {
                    plot.vline(
                        VLine::new("", x)
                            .color(palette.reference)
                            .width(1.0)
                            .style(LineStyle::dashed_dense()),
                    );
                    plot.text(
                        Text::new(
                            "",
                            PlotPoint::new(x, top + 0.55 * room),
                            RichText::new(format!(" {label}")).size(13.0).strong(),
                        )
                        .color(palette.reference)
                        .anchor(Align2::LEFT_CENTER),
                    );
                }
            } else {
                plot.vline(
                    VLine::new("", 0.0)
                        .color(palette.reference)
                        .width(0.8)
                        .style(LineStyle::dotted_dense()),
                );
            }
            let several = slice.lines.len() > 1;
            for (index, line) in slice.lines.iter().enumerate() {
                for part in Part::BOTH {
                    let mut look = CurveLook::of(&palette, index, part, several, &line.record.label);
                    if slice.level.is_rough() {
                        look.colour = look.colour.gamma_multiply(0.6);
                    }
                    draw_curve(plot, &line.record.curve, part, &look, height, top);
                    // Finer values on their way show as dots, so that nothing jumps unseen.
                    let dots: Vec<[f64; 2]> = line
                        .incoming
                        .losses(part)
                        .filter(|(_, loss)| loss.is_finite())
                        .map(|(x, loss)| [x, height.of(loss)])
                        .collect();
                    plot.points(
                        Points::new("", PlotPoints::from(dots))
                            .radius(2.0)
                            .color(look.colour.gamma_multiply(0.8))
                            .allow_hover(false),
                    );
                }
            }
            if let Some(canvas) = &canvas {
                measures::overlay(plot, canvas, &state.measures, slice);
            }
            if interactive {
                plot.vline(
                    VLine::new("", position)
                        .color(palette.handle.gamma_multiply(0.7))
                        .width(1.2),
                );
                if let Some(value) = slice.lines.first().and_then(|line| line.record.curve.at(position)) {
                    for (part, colour) in Part::BOTH.into_iter().zip([palette.train, palette.test]) {
                        let loss = value.part(part).loss;
                        if loss.is_finite() {
                            let at = vec![[position, height.of(loss)]];
                            plot.points(
                                Points::new("", at.clone())
                                    .radius(7.0)
                                    .color(palette.handle)
                                    .allow_hover(false),
                            );
                            plot.points(Points::new("", at).radius(5.0).color(colour).allow_hover(false));
                        }
                    }
                }
            }
        });
    super::source::name(&response.response, "Loss curve");
    walk(state, &response, range, interactive);
}

/// Dragging along the curve moves the marked position; a double click takes it as the new point.
fn walk(state: &mut State, response: &egui_plot::PlotResponse<()>, range: (f64, f64), interactive: bool) {
    let plot = &response.response;
    if !interactive {
        state.holding = false;
        return;
    }
    let pointer = plot.interact_pointer_pos();
    if let Some(pointer) = pointer.filter(|_| plot.dragged() || plot.clicked()) {
        // Thousandths: as fine as a hand, and short enough to be written down.
        let x = response
            .transform
            .value_from_position(pointer)
            .x
            .clamp(range.0, range.1);
        let x = (x * 1e3).round() / 1e3;
        // Close to the middle the marker snaps, so that one finds back to where one was.
        let snap = 0.012 * (range.1 - range.0);
        state.look.position = if x.abs() < snap { 0.0 } else { x };
    }
    state.holding = plot.dragged();
    if plot.double_clicked() {
        state.look.settle();
    }
    if plot.hovered() {
        plot.ctx.set_cursor_icon(egui::CursorIcon::ResizeHorizontal);
    }
}

struct CurveLook {
    name: String,
    colour: Color32,
    dashed: bool,
}

impl CurveLook {
    /// One line: train and test in two colours. Two lines over each other: a colour each, test dashed.
    fn of(palette: &Palette, index: usize, part: Part, several: bool, label: &str) -> Self {
        if several {
            Self {
                name: match part {
                    Part::Train => format!("{label}, train"),
                    Part::Test => format!("{label}, test (dashed)"),
                },
                colour: palette.directions[index % 2],
                dashed: part == Part::Test,
            }
        } else {
            Self {
                name: part.name().to_owned(),
                colour: [palette.train, palette.test][usize::from(part == Part::Test)],
                dashed: false,
            }
        }
    }
}

fn draw_curve(plot: &mut egui_plot::PlotUi, curve: &Curve, part: Part, look: &CurveLook, height: Height, top: f64) {
    for stretch in curve.stretches(part) {
        let points: PlotPoints = stretch.iter().map(|&(x, loss)| [x, height.of(loss)]).collect();
        let mut line = Line::new(look.name.clone(), points).color(look.colour).width(2.6);
        if look.dashed {
            line = line.style(LineStyle::dashed_loose());
        }
        plot.line(line);
    }
    let lost: Vec<[f64; 2]> = curve
        .losses(part)
        .filter(|(_, loss)| !loss.is_finite())
        .map(|(x, _)| [x, top])
        .collect();
    if !lost.is_empty() {
        plot.points(
            Points::new(format!("{}: not finite", look.name), lost)
                .shape(MarkerShape::Cross)
                .radius(6.0)
                .color(look.colour),
        );
    }
    if let Some(minimum) = curve.minimum(part).filter(|minimum| !minimum.at_edge) {
        plot.points(
            Points::new("", vec![[minimum.position, height.of(minimum.loss)]])
                .shape(MarkerShape::Diamond)
                .radius(5.5)
                .color(look.colour)
                .allow_hover(false),
        );
    }
}

/// What the curve is made of.
fn level(ui: &mut Ui, slice: &SliceView) {
    let level = slice.level;
    let text = match (slice.epoch, level.full) {
        (Some(epoch), _) => format!("live at epoch {epoch:.1}, {} images", level.train_images),
        (None, true) => "complete".to_owned(),
        (None, false) => format!("coarse: {} images", level.train_images),
    };
    let faint = theme::palette(ui.ctx()).faint;
    ui.label(RichText::new(text).small().color(faint))
        .on_hover_text(format!(
            "the curve has {} points, each on {} training and {} test images; dots are the next, finer pass",
            level.points, level.train_images, level.test_images
        ));
}
