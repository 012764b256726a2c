//! The shift gap: how far the test curve must be moved along the line to lie over the train curve, and what is left.

use egui::{Button, DragValue, Grid, RichText, Slider, Ui, Vec2b};
use egui_plot::{HLine, HoverPosition, Line, LineStyle, PlotBounds, PlotPoints, PlotUi, Points, VLine};

use super::{Canvas, Measures, Shifts, faint, half};
use crate::app::axis::{fixed_plot, round_marks};
use crate::app::reading::row;
use crate::app::source::name;
use crate::app::theme;
use crate::engine::SliceView;
use crate::experiment::outcome::significant;
use crate::figure::chart::number;
use crate::landscape::Shift;
use crate::landscape::shift::LEAST_SHARE;

/// Height of the plot of ξ_δ/ξ_0.
const HEIGHT: f32 = 90.0;
/// Largest ratio drawn: on a steep side it grows without end, and what counts lies below 1.
const HIGHEST: f64 = 1.8;

const FORMULA: &str = "ξ_δ = max |L′(l + δ) − L_train(l)|, where L′ = L_test − min L_test + min L_train \
                       (Asymmetric Valleys, Definition 3)";

/// The section of the reading.
pub fn section(ui: &mut Ui, measures: &mut Measures, slice: &SliceView, drawable: bool) {
    theme::section(ui, "SHIFT GAP", false, |ui| {
        if slice.level.is_rough() {
            return faint(ui, "refining …");
        }
        if measures.lines().iter().all(|line| line.shifts.is_none()) {
            return faint(
                ui,
                "the two losses are not finite together anywhere; choose a smaller range",
            );
        }
        let chosen = [
            controls(ui, measures, slice, drawable),
            curve(ui, measures, slice),
            numbers(ui, measures, slice),
        ];
        if let Some(delta) = chosen.into_iter().flatten().next() {
            measures.delta = delta;
            measures.overlay = true;
        }
    });
}

/// δ as a number and as a slider; the δ that was chosen, if one was.
fn controls(ui: &mut Ui, measures: &mut Measures, slice: &SliceView, drawable: bool) -> Option<f64> {
    let half = half(slice.request.range);
    let mut delta = measures.delta_on(slice.request.range);
    let mut chosen = None;
    ui.horizontal(|ui| {
        ui.label("δ").on_hover_text(FORMULA);
        let field = ui
            .add(
                DragValue::new(&mut delta)
                    .range(-half..=half)
                    .speed(half / 300.0)
                    .max_decimals(3),
            )
            .on_hover_text("how far the test curve is moved, in units of the position");
        name(&field, "Shift δ");
        if field.changed() {
            chosen = Some(delta);
        }
        if let [line] = measures.lines()
            && let Some(shifts) = &line.shifts
        {
            chosen = best(ui, shifts, "Best shift").or(chosen);
        }
        if drawable {
            let overlay = ui
                .checkbox(&mut measures.overlay, "overlay")
                .on_hover_text("lay the test curve, with the train curve's minimum and moved by δ, over the slice");
            name(&overlay, "Overlay");
        }
    });
    let slider = ui
        .scope(|ui| {
            ui.spacing_mut().slider_width = ui.available_width();
            ui.add(Slider::new(&mut delta, -half..=half).show_value(false))
        })
        .inner
        .on_hover_text("how far the test curve is moved");
    name(&slider, "Shift slider");
    if slider.changed() {
        chosen = Some(delta);
    }
    chosen
}

/// The button for the best δ; that δ, if it was pressed.
fn best(ui: &mut Ui, shifts: &Shifts, label: &str) -> Option<f64> {
    let least = 100.0 * LEAST_SHARE;
    let button = ui
        .add_enabled(shifts.best.is_some(), Button::new("Best").small())
        .on_hover_text(format!(
            "the δ of the smallest ξ_δ among those that leave {least:.0} % of the range comparable"
        ))
        .on_disabled_hover_text(format!("no δ leaves {least:.0} % of the range comparable"));
    name(&button, label);
    shifts.best.filter(|_| button.clicked()).map(|best| best.delta)
}

/// ξ_δ/ξ_0 against δ; the δ that was chosen in it, if one was.
fn curve(ui: &mut Ui, measures: &Measures, slice: &SliceView) -> Option<f64> {
    let palette = theme::palette(ui.ctx());
    let half = half(slice.request.range);
    let delta = measures.delta_on(slice.request.range);
    let several = slice.lines.len() > 1;
    let shown: Vec<(usize, &Shifts)> = measures
        .lines()
        .iter()
        .enumerate()
        .filter_map(|(index, line)| Some((index, line.shifts.as_ref()?)))
        .collect();
    let ratios = shown.iter().flat_map(|(_, shifts)| &shifts.ratios);
    let highest = ratios.filter_map(|(_, ratio)| *ratio).fold(1.0, f64::max);
    let top = 1.1 * highest.min(HIGHEST);
    let response = fixed_plot("shift gap")
        .height(HEIGHT)
        .show_axes(Vec2b::TRUE)
        .x_axis_formatter(|mark, _| number(mark.value))
        .y_axis_formatter(|mark, _| number(mark.value))
        .y_axis_min_width(26.0)
        .grid_color(palette.grid)
        .x_grid_spacer(|input| round_marks(input.bounds, 4.0))
        .y_grid_spacer(|input| round_marks(input.bounds, 2.0))
        .set_margin_fraction(egui::Vec2::ZERO)
        .label_formatter(|hover| {
            let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
            Some(format!("ξ_δ/ξ_0 against δ\nδ = {:+.2}", position.x))
        })
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            plot.set_plot_bounds(PlotBounds::from_min_max([-half, 0.0], [half, top]));
            plot.hline(
                HLine::new("", 1.0)
                    .color(palette.reference)
                    .width(0.8)
                    .style(LineStyle::dotted_dense()),
            );
            plot.vline(VLine::new("", delta).color(palette.handle).width(1.4));
            for (index, shifts) in shown {
                let colour = if several {
                    palette.directions[index % 2]
                } else {
                    palette.test
                };
                for stretch in shifts.ratios.split(|(_, ratio)| ratio.is_none()) {
                    let points = stretch.iter().filter_map(|&(delta, ratio)| Some([delta, ratio?]));
                    let points: PlotPoints = points.collect();
                    plot.line(Line::new("", points).color(colour).width(1.8).allow_hover(false));
                }
                if let Some(ratio) = shifts.here.and_then(|here| here.ratio) {
                    let at = vec![[delta, ratio]];
                    plot.points(Points::new("", at).radius(4.0).color(colour).allow_hover(false));
                }
            }
        });
    name(&response.response, "Shift gap curve");
    let plot = &response.response;
    if plot.hovered() {
        plot.ctx.set_cursor_icon(egui::CursorIcon::ResizeHorizontal);
    }
    let pointer = plot
        .interact_pointer_pos()
        .filter(|_| plot.dragged() || plot.clicked())?;
    let at = response.transform.value_from_position(pointer).x.clamp(-half, half);
    // As on the slice: thousandths, and close to the middle none at all.
    let at = (at * 1e3).round() / 1e3;
    Some(if at.abs() < 0.024 * half { 0.0 } else { at })
}

/// The numbers of every line; the best δ of one whose button was pressed.
fn numbers(ui: &mut Ui, measures: &Measures, slice: &SliceView) -> Option<f64> {
    let mut chosen = None;
    let several = slice.lines.len() > 1;
    for (line, measured) in slice.lines.iter().zip(measures.lines()) {
        let Some(shifts) = &measured.shifts else { continue };
        let label = &line.record.label;
        if several {
            ui.horizontal(|ui| {
                ui.label(RichText::new(label).strong());
                chosen = best(ui, shifts, &format!("Best shift of {label}")).or(chosen);
            });
        }
        rows(ui, shifts, label);
    }
    chosen
}

/// The numbers of one line.
fn rows(ui: &mut Ui, shifts: &Shifts, label: &str) {
    let written = |value: Option<f64>| value.map_or("–".to_owned(), |value| significant(value, 3));
    let compared = match shifts.here {
        Some(Shift { share, .. }) => format!("\ncompared over {:.0} % of the range", 100.0 * share),
        None => "\nmoved this far, the two have nothing in common".to_owned(),
    };
    Grid::new(("shift gap", label))
        .num_columns(2)
        .spacing([14.0, 4.0])
        .show(ui, |ui| {
            let gap = shifts.here.map(|here| here.gap);
            row(ui, "ξ_δ", written(gap), &format!("{FORMULA}{compared}"));
            let hint = "the gap without a shift: largest difference of the two losses once their minima are level";
            row(ui, "ξ_0", written(Some(shifts.gap.gap_at_zero)), hint);
            let ratio = shifts.here.and_then(|here| here.ratio);
            let hint = "what the shift leaves of the gap: 0 where the test curve is the train curve, raised and moved";
            row(ui, "ξ_δ/ξ_0", written(ratio), hint);
        });
}

/// Lays the shifted test curve over the slice.
pub fn draw(plot: &mut PlotUi, canvas: &Canvas, shifts: &Shifts, delta: f64) {
    let label = format!("test, raised and shifted by δ = {delta:+.2}");
    for stretch in shifts.gap.shifted(delta) {
        let points: PlotPoints = stretch
            .into_iter()
            .map(|(l, loss)| [l, canvas.height.of(loss)])
            .collect();
        plot.line(
            // One entry of the legend, whatever δ.
            Line::new(label.clone(), points)
                .id("shifted test curve")
                .color(canvas.palette.test)
                .width(2.0)
                .style(LineStyle::dashed_loose())
                .allow_hover(false),
        );
    }
}
