//! The plots of the smoothing: the function with what the noise makes of it, and histograms of where trials are.

use egui::{Align2, CursorIcon, RichText, Stroke, Ui, UiBuilder, Vec2b};
use egui_plot::{
    AxisHints, Bar, BarChart, HoverPosition, Line, MarkerShape, Plot, PlotBounds, PlotPoint, PlotPoints, Points,
    Polygon, Text, VLine,
};

use super::trials::{BARS, Trials};
use super::{CLOSE, GAP, NEAR, REACH, Smoothing};
use crate::app::axis::{fixed_plot, round_marks};
use crate::app::source::name;
use crate::app::theme::{self, Palette};
use crate::dynamics::spiky::{self, MINIMUM};
use crate::experiment::outcome::significant;
use crate::figure::chart::number;

/// Lowest and highest value of the function's plot.
const VALUES: (f64, f64) = (-1.7, 12.8);
/// Bottom and top of the bar that shows how wide the noise is.
const NOISE: (f64, f64) = (-1.25, -0.6);
/// Room for the marks beside a plot: the same for all, so that positions lie below each other.
const MARKS: f32 = 42.0;
/// Positions of the stages' histograms reach so far.
const STAGES_REACH: f64 = 2.0;
/// Counts that a histogram's axis reaches at least.
const LEAST: f64 = 24.0;

/// What all plots here share.
fn plot<'a>(key: &str, palette: &Palette, across: &str, up: &str) -> Plot<'a> {
    fixed_plot(key)
        .custom_x_axes(vec![
            AxisHints::new_x()
                .label(across)
                .formatter(|mark, _| number(mark.value))
                .min_thickness(32.0),
        ])
        .custom_y_axes(vec![
            AxisHints::new_y()
                .label(up)
                .formatter(|mark, _| number(mark.value))
                .min_thickness(MARKS),
        ])
        .show_axes(Vec2b::TRUE)
        .grid_color(palette.grid)
        .x_grid_spacer(|input| round_marks(input.bounds, 8.0))
        .y_grid_spacer(|input| round_marks(input.bounds, 5.0))
        .set_margin_fraction(egui::Vec2::ZERO)
}

/// The function, and what it is smoothed to; dragging to the left and right makes the noise narrower and wider.
pub fn function(ui: &mut Ui, smoothing: &mut Smoothing) {
    let palette = theme::palette(ui.ctx());
    let (Some(curve), Some(trials)) = (&smoothing.curve, &smoothing.trials) else {
        return;
    };
    let (step, width) = (smoothing.clock.step(), smoothing.width);
    let shows_trials = smoothing.shows_trials;
    let good = palette.directions[0];
    let response = plot("smoothed function", &palette, "x", "loss")
        .label_formatter(|hover| {
            let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
            let values = [spiky::value(position.x), curve.smoothed.value(position.x)].map(|y| significant(y, 3));
            Some(format!(
                "x = {:.2}\nf {}\nsmoothed {}",
                position.x, values[0], values[1]
            ))
        })
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            plot.set_plot_bounds(PlotBounds::from_min_max([-REACH, VALUES.0], [REACH, VALUES.1]));
            if curve.basin > 0.0 {
                let edge = curve.basin.min(REACH);
                plot.polygon(
                    Polygon::new("", corners((-edge, edge), VALUES))
                        .fill_color(good.gamma_multiply(0.14))
                        .stroke(Stroke::new(1.0, good.gamma_multiply(0.5)))
                        .allow_hover(false),
                );
            }
            let thin = PlotPoints::from(curve.function.clone());
            plot.line(Line::new("f", thin).color(palette.faint).width(1.2));
            let thick = PlotPoints::from(curve.points.clone());
            plot.line(Line::new("smoothed", thick).color(palette.train).width(3.4));
            if shows_trials {
                let dots: PlotPoints = trials.at(step).map(|x| [x, spiky::value(x)]).collect();
                plot.points(
                    Points::new("", dots)
                        .radius(3.6)
                        .color(palette.more[0])
                        .allow_hover(false),
                );
            }
            let both = curve.bad.iter().flat_map(|&x| [-x, x]);
            let bad: Vec<[f64; 2]> = both.map(|x| [x, curve.smoothed.value(x)]).collect();
            let best = (curve.basin > 0.0).then(|| [MINIMUM, curve.smoothed.value(MINIMUM)]);
            for (points, colour) in [(bad, palette.test), (best.into_iter().collect(), good)] {
                plot.points(
                    Points::new("", points)
                        .shape(MarkerShape::Diamond)
                        .radius(8.0)
                        .color(colour)
                        .allow_hover(false),
                );
            }
            plot.polygon(
                Polygon::new("", corners((-width, width), NOISE))
                    .fill_color(palette.train.gamma_multiply(0.45))
                    .stroke(Stroke::new(1.6, palette.train))
                    .allow_hover(false),
            );
            let beside = PlotPoint::new(width + 0.08, 0.5 * (NOISE.0 + NOISE.1));
            let words = RichText::new(format!("noise ±{width:.3}")).size(13.5).strong();
            let text = Text::new("", beside, words).color(palette.train);
            plot.text(text.anchor(Align2::LEFT_CENTER).allow_hover(false));
        });
    let plot = &response.response;
    name(plot, "Smoothed function");
    if plot.drag_started() {
        smoothing.held = Some(width);
    }
    if let (Some(held), Some(by)) = (smoothing.held, plot.total_drag_delta()) {
        smoothing.set_width(held + f64::from(by.x) * response.transform.dvalue_dpos()[0]);
    }
    if plot.drag_stopped() {
        smoothing.held = None;
    }
    if plot.hovered() || plot.dragged() {
        ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
    }
}

/// Corners of a rectangle.
fn corners((left, right): (f64, f64), (bottom, top): (f64, f64)) -> Vec<[f64; 2]> {
    vec![[left, bottom], [right, bottom], [right, top], [left, top]]
}

/// Where the trials with this width are.
pub fn histogram(ui: &mut Ui, smoothing: &Smoothing) {
    if let Some(trials) = &smoothing.trials {
        let step = smoothing.clock.step();
        let across = format!("x after step {step} (x* = 0)");
        bars(ui, trials, step, (REACH, NEAR), ["Histogram of the trials", &across]);
    }
}

/// Where the trials of each stage are, side by side.
pub fn stages(ui: &mut Ui, smoothing: &Smoothing) {
    let palette = theme::palette(ui.ctx());
    let step = smoothing.clock.step();
    let room = ui.max_rect();
    let count = smoothing.stages.len().max(1) as f32;
    let size = egui::vec2((room.width() - (count - 1.0) * GAP) / count, room.height());
    for (index, trials) in smoothing.stages.iter().enumerate() {
        let corner = room.min + egui::vec2(index as f32 * (size.x + GAP), 0.0);
        let place = egui::Rect::from_min_size(corner, size);
        let mut ui = ui.new_child(UiBuilder::new().id_salt(("stage", index)).max_rect(place));
        let stage = index + 1;
        let text = format!(
            "stage {stage}: noise ±{}, starts ±{} · {} up to {CLOSE} from x*",
            trials.half_width(),
            trials.start(),
            trials.within(step, CLOSE)
        );
        let label = RichText::new(text).small().color(palette.faint);
        ui.add(egui::Label::new(label).truncate());
        let label = format!("Histogram of stage {stage}");
        let across = format!("x after step {step}");
        bars(&mut ui, trials, step, (STAGES_REACH, CLOSE), [&label, &across]);
    }
}

/// A histogram from −reach to reach, with two lines so far from the minimum.
fn bars(ui: &mut Ui, trials: &Trials, step: usize, (reach, mark): (f64, f64), [label, across]: [&str; 2]) {
    let palette = theme::palette(ui.ctx());
    let (counts, beyond) = trials.histogram(step, reach);
    let most = counts.iter().copied().max().unwrap_or(0) as f64;
    let top = 1.12 * most.max(LEAST);
    let bar_width = 2.0 * reach / BARS as f64;
    let response = plot(label, &palette, across, "trials")
        .label_formatter(|hover| {
            let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
            let bar = ((position.x + reach) / bar_width).floor().max(0.0) as usize;
            let count = counts.get(bar)?;
            let left = bar as f64 * bar_width - reach;
            Some(format!("{left:.2} to {:.2}\n{count} trials", left + bar_width))
        })
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            plot.set_plot_bounds(PlotBounds::from_min_max([-reach, 0.0], [reach, top]));
            for position in [-mark, mark] {
                plot.vline(VLine::new("", position).color(palette.reference).width(1.0));
            }
            let colour = palette.more[0];
            let bars = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            let bars = bars.map(|(bar, &count)| {
                Bar::new((bar as f64 + 0.5) * bar_width - reach, count as f64)
                    .width(0.92 * bar_width)
                    .fill(colour)
            });
            plot.bar_chart(BarChart::new("", bars.collect()).color(colour).allow_hover(false));
            if beyond > 0 {
                let words = RichText::new(format!("{beyond} further out ")).size(12.5);
                let text = Text::new("", PlotPoint::new(reach, 0.9 * top), words).color(palette.faint);
                plot.text(text.anchor(Align2::RIGHT_CENTER).allow_hover(false));
            }
        });
    name(&response.response, label);
}
