//! Bottom: the training curves, and the timeline that scrubs and plays through the trajectory.

use egui::{RichText, Ui, Vec2b};
use egui_plot::{Corner, Legend, Line, LineStyle, MarkerShape, PlotBounds, PlotPoints, Points, VLine};

use super::axis::{fixed_plot, grid, round_marks};
use super::command::Command;
use super::look::Picture;
use super::source::name;
use super::state::State;
use super::theme;
use crate::engine::Anchor;
use crate::figure::chart::number;
use crate::landscape::Scale;
use crate::training::EpochMetrics;

/// The panel.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    ui.horizontal(|ui| {
        theme::caption(ui, "TRAJECTORY");
        let Some(run) = &state.run else {
            ui.label(
                RichText::new("the training curves appear here")
                    .small()
                    .color(palette.faint),
            );
            return;
        };
        if run.checkpoint {
            ui.label(
                RichText::new("a checkpoint has no trajectory; train, or open a run folder, to scrub through one")
                    .small()
                    .color(palette.faint),
            );
            return;
        }
        let text = match (&state.training, state.playing) {
            (Some(training), _) if training.paused => "Go on training",
            (Some(_), _) => "Pause training",
            (None, true) => "Hold",
            (None, false) => "Play",
        };
        if ui
            .button(text)
            .on_hover_text("play through the snapshots, or pause training (Space)")
            .clicked()
        {
            commands.push(Command::PlayOrPause);
        }
        let last = state.last_epoch();
        let mut epoch = state.epoch().round() as usize;
        ui.spacing_mut().slider_width = (ui.available_width() - 210.0).max(120.0);
        let slider = ui
            .add_enabled(
                last > 0,
                egui::Slider::new(&mut epoch, 0..=last.max(1)).show_value(false),
            )
            .on_hover_text("scrub through the snapshots w_t (← →); the slice follows");
        name(&slider, "Epoch");
        if slider.changed() {
            commands.push(Command::GoToEpoch(epoch));
        }
        let total = run.record.options.total_epochs();
        let place = match state.look.anchor {
            _ if state.look.picture == Picture::Interpolation => {
                let [first, second] = state.names();
                format!("from {first} (t = 0) to {second} (t = 1)")
            }
            _ if state.look.picture == Picture::Plane && state.look.surface.step.is_some() => {
                format!("w after epoch {epoch}, as seen in the plane")
            }
            Anchor::Current if state.is_training() => format!("live, epoch {:.1} of {total}", state.epoch()),
            Anchor::Swa => format!("SWA, {last} of {total} epochs"),
            Anchor::Sgd => format!("SGD from SWA, epoch {last}"),
            _ => format!("w after epoch {epoch} of {total}"),
        };
        ui.label(place);
    });
    if state.is_checkpoint() {
        return;
    }
    ui.add_space(2.0);
    curves(ui, state, commands);
}

fn curves(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    let metrics: &[EpochMetrics] = state.run.as_ref().map_or(&[], |run| &run.metrics);
    let rows = |value: fn(&EpochMetrics) -> f64| -> Vec<[f64; 2]> {
        metrics.iter().map(|row| [row.epoch as f64, value(row)]).collect()
    };
    // Where training was watched the curve has points within epochs; before that, a row an epoch.
    let watched_from = state.train_points.first().map_or(f64::INFINITY, |point| point[0]);
    let mut train = rows(|row| row.train_loss);
    train.retain(|point| point[0] < watched_from);
    train.extend(&state.train_points);
    let test = rows(|row| row.test_loss);
    let total = state
        .run
        .as_ref()
        .map_or(1, |run| run.record.options.total_epochs().max(1)) as f64;
    let finite = train.iter().chain(&test).map(|p| p[1]).filter(|y| y.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, 0.0_f64), |(low, high), y| (low.min(y), high.max(y)));
    let height = Scale::Automatic.height(low, high);
    // On a linear axis losses start at 0.
    let (bottom, top) = match (high > 0.0, height.of(low) == low) {
        (false, _) => (0.0, 1.0),
        (true, true) => (0.0, 1.06 * high),
        (true, false) => {
            let room = 0.06 * (height.of(high) - height.of(low));
            (height.of(low) - room, height.of(high) + room)
        }
    };
    let now = state.epoch();
    let response = fixed_plot("training")
        .show_axes(Vec2b::TRUE)
        .x_axis_formatter(|mark, _| number(mark.value))
        .y_axis_formatter(move |mark, _| number(height.value(mark.value)))
        .y_axis_min_width(40.0)
        .grid_color(palette.grid)
        .x_grid_spacer(|input| round_marks(input.bounds, 8.0))
        .y_grid_spacer(move |input| grid(height, &input, 4.0))
        .label_formatter(move |hover| {
            let (egui_plot::HoverPosition::NearDataPoint { position, .. }
            | egui_plot::HoverPosition::Elsewhere { position }) = hover;
            let row = metrics.get((position.x.round() as usize).checked_sub(1)?)?;
            Some(format!(
                "epoch {}\ntrain {:.4} (augmented, as the weights moved)\ntest {:.4} (bn running)",
                row.epoch, row.train_loss, row.test_loss
            ))
        })
        .legend(
            Legend::default()
                .position(Corner::RightTop)
                .follow_insertion_order(true)
                .background_alpha(0.5),
        )
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            plot.set_plot_bounds(PlotBounds::from_min_max([0.0, bottom], [total, top]));
            if let Some(run) = &state.run {
                let options = &run.record.options;
                if options.averages() {
                    for epoch in [options.swa_start, options.epochs] {
                        plot.vline(
                            VLine::new("", epoch as f64)
                                .color(palette.reference.gamma_multiply(0.7))
                                .width(1.0)
                                .style(LineStyle::dashed_dense()),
                        );
                    }
                    for (epoch, text) in [(options.swa_start, " averaging"), (options.epochs, " SGD from SWA")] {
                        plot.text(
                            egui_plot::Text::new(
                                "",
                                egui_plot::PlotPoint::new(epoch as f64, bottom + 0.93 * (top - bottom)),
                                RichText::new(text).size(11.0),
                            )
                            .color(palette.faint)
                            .anchor(egui::Align2::LEFT_CENTER),
                        );
                    }
                }
            }
            for (name, points, colour) in [("train", &train, palette.train), ("test", &test, palette.test)] {
                for stretch in points.split(|point| !point[1].is_finite()) {
                    let points: PlotPoints = stretch.iter().map(|&[x, y]| [x, height.of(y)]).collect();
                    plot.line(Line::new(name, points).color(colour).width(1.8));
                }
                let lost: Vec<[f64; 2]> = points
                    .iter()
                    .filter(|point| !point[1].is_finite())
                    .map(|point| [point[0], top])
                    .collect();
                plot.points(
                    Points::new("", lost)
                        .shape(MarkerShape::Cross)
                        .radius(5.0)
                        .color(colour),
                );
            }
            if state.run.is_some() {
                plot.vline(VLine::new("", now).color(palette.handle).width(1.4));
            }
        });
    name(&response.response, "Training curves");
    let plot = &response.response;
    if (plot.dragged() || plot.clicked())
        && state.run.is_some()
        && let Some(pointer) = plot.interact_pointer_pos()
    {
        let epoch = response.transform.value_from_position(pointer).x.round().max(0.0) as usize;
        commands.push(Command::GoToEpoch(epoch));
    }
}
