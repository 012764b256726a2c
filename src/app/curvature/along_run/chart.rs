//! One of the plots over the epochs: they stand below each other and share the axis across and the pointer.

use egui::{Color32, Id, TextStyle, Ui, Vec2, Vec2b};
use egui_plot::{
    AxisHints, Corner, HoverPosition, Legend, Line, LineStyle, MarkerShape, PlotBounds, PlotPoints, PlotUi, Points,
    VLine,
};

use super::series::{Series, Value};
use crate::app::axis::{fixed_plot, grid, round_marks};
use crate::app::source::name;
use crate::app::theme::{self, Palette};
use crate::figure::chart::number;
use crate::landscape::{Height, Scale};

/// Room beside the first and the last epoch, as a share of the epochs between.
const BESIDE: f64 = 0.015;
/// Room above and below what is drawn, as a share of its height.
const ROOM: f64 = 0.07;
/// Room for the numbers beside the axis: the same for all plots, so that their epochs stand below each other.
const NUMBERS: f32 = 68.0;
/// Most epochs that have a dot each.
const MOST_DOTS: usize = 200;
/// A number may be off by this share of it before that shows.
const MATTERS: f64 = 0.01;

/// The axis that the plots share.
#[derive(Clone, Copy)]
pub struct Across {
    /// The last epoch there is to be.
    pub last: usize,
    /// Where one stands.
    pub now: f64,
}

/// What SGD's stability allows, as a line.
pub struct Bound {
    pub name: &'static str,
    pub points: Vec<[f64; 2]>,
    pub colour: Color32,
    pub style: LineStyle,
}

/// What is drawn.
pub struct Chart<'a> {
    /// Its accessible name.
    pub name: &'static str,
    /// What its numbers are, beside the axis and in the legend.
    pub axis: &'static str,
    pub legend: &'static str,
    pub colour: Color32,
    pub series: Series<'a>,
    pub bounds: Vec<Bound>,
    pub height: f32,
    /// Whether it is the lowest, below which the epochs are written.
    pub is_lowest: bool,
}

impl Chart<'_> {
    /// The lowest and the highest that is drawn.
    fn range(&self) -> (f64, f64) {
        let bounds = self.bounds.iter().flat_map(|bound| &bound.points);
        let values = self.series.values();
        let heights = values.flat_map(|value| [-1.0, 1.0].map(|sign| value.value + sign * shown_error(value)));
        let all = heights.chain(bounds.map(|point| point[1]));
        let none = (f64::INFINITY, f64::NEG_INFINITY);
        match all.fold(none, |(low, high), y| (low.min(y), high.max(y))) {
            (low, high) if low <= high => (low, high),
            _ => (0.0, 1.0),
        }
    }

    /// The axis upwards, and its ends on it. Linear, it holds 0.
    fn upwards(&self) -> (Height, [f64; 2]) {
        let (low, high) = self.range();
        let height = Scale::Automatic.height(low, high);
        let (low, high) = match height.logarithmic {
            true => (height.of(low), height.of(high)),
            false => (low.min(0.0), high.max(0.0)),
        };
        let room = if high > low { ROOM * (high - low) } else { 0.5 };
        let stands_on_zero = !height.logarithmic && low == 0.0;
        let below = if stands_on_zero { 0.0 } else { room };
        (height, [low - below, high + room])
    }
}

/// What a number may be off by, where that is enough to be seen.
fn shown_error(Value { value, error, .. }: Value) -> f64 {
    if error > MATTERS * value.abs() { error } else { 0.0 }
}

/// The plot. Gives the epoch that the hand is on while it is pressed or clicks; what is `told` of an epoch stands where
/// the pointer rests.
pub fn show(ui: &mut Ui, chart: &Chart, across: Across, told: impl Fn(usize) -> String) -> Option<usize> {
    let palette = theme::palette(ui.ctx());
    let (height, [bottom, top]) = chart.upwards();
    let last = across.last.max(1);
    let beside = BESIDE * last as f64;
    let ends = [-beside, last as f64 + beside];
    let epoch = move |x: f64| x.round().clamp(0.0, last as f64) as usize;
    let mut plot = fixed_plot(chart.name)
        .width(ui.available_width())
        .height(chart.height)
        .custom_x_axes(vec![
            AxisHints::new_x()
                .label("epoch")
                .formatter(|mark, _| number(mark.value))
                .min_thickness(36.0),
        ])
        .custom_y_axes(vec![
            AxisHints::new_y()
                .label(chart.axis)
                .formatter(move |mark, _| number(height.value(mark.value)))
                .min_thickness(NUMBERS),
        ])
        .x_grid_spacer(|input| round_marks(input.bounds, 8.0))
        .y_grid_spacer(move |input| grid(height, &input, 4.0))
        .grid_color(palette.grid)
        .label_formatter(move |hover| {
            let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
            Some(told(epoch(position.x)))
        })
        // The pointer's epoch is marked in all of them.
        .show_crosshair(true)
        .show_y(false)
        .link_cursor(Id::unique("epochs along the run"), Vec2b::new(true, false))
        .cursor_color(palette.reference)
        .show_axes(Vec2b::new(chart.is_lowest, true))
        .set_margin_fraction(Vec2::ZERO);
    if !chart.bounds.is_empty() {
        let legend = Legend::default().text_style(TextStyle::Small);
        let legend = legend.position(Corner::RightTop).follow_insertion_order(true);
        plot = plot.legend(legend.background_alpha(0.6));
    }
    let response = plot.show(ui, |plot| {
        plot.set_auto_bounds(Vec2b::FALSE);
        plot.set_plot_bounds(PlotBounds::from_min_max([ends[0], bottom], [ends[1], top]));
        let now = VLine::new("", across.now).color(palette.handle).width(1.4);
        plot.vline(now.allow_hover(false));
        curve(plot, chart, &palette, height, top);
        for bound in &chart.bounds {
            let points: PlotPoints = bound.points.iter().map(|&[x, y]| [x, height.of(y)]).collect();
            let line = Line::new(bound.name, points).color(bound.colour).width(1.6);
            plot.line(line.style(bound.style).allow_hover(false));
        }
    });
    name(&response.response, chart.name);
    let plot = &response.response;
    let pointer = plot.interact_pointer_pos();
    let pointer = pointer.filter(|_| plot.dragged() || plot.clicked())?;
    Some(epoch(response.transform.value_from_position(pointer).x))
}

/// The numbers with what they may be off by, and a cross at the top where an epoch has none.
fn curve(plot: &mut PlotUi, chart: &Chart, palette: &Palette, height: Height, top: f64) {
    let colour = chart.colour;
    for value in chart.series.values() {
        let (x, error) = (value.epoch as f64, shown_error(value));
        if error > 0.0 {
            let ends = [value.value - error, value.value + error].map(|y| [x, height.of(y)]);
            let whisker = Line::new("", ends.to_vec()).color(palette.handle);
            plot.line(whisker.width(1.2).allow_hover(false));
        }
    }
    let place = |value: &Value| [value.epoch as f64, height.of(value.value)];
    for stretch in &chart.series.stretches {
        let points: PlotPoints = stretch.iter().map(place).collect();
        let line = Line::new(chart.legend, points).color(colour).width(2.0);
        plot.line(line.allow_hover(false));
    }
    let dots: Vec<[f64; 2]> = chart.series.values().map(|value| place(&value)).collect();
    // So many run into each other; one alone has no line.
    if dots.len() <= MOST_DOTS {
        let dots = Points::new(chart.legend, dots).color(colour);
        plot.points(dots.radius(3.0).allow_hover(false));
    }
    let lost = chart.series.lost.iter();
    let lost: Vec<[f64; 2]> = lost.map(|(epoch, _)| [*epoch as f64, top]).collect();
    if !lost.is_empty() {
        let crosses = Points::new("", lost).shape(MarkerShape::Cross).color(colour);
        plot.points(crosses.radius(5.0).allow_hover(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[(f64, f64)], bound: &[f64]) -> Chart<'static> {
        let value = |(epoch, &(value, error)): (usize, &(f64, f64))| Value { epoch, value, error };
        Chart {
            name: "",
            axis: "",
            legend: "",
            colour: Color32::WHITE,
            series: Series {
                stretches: vec![values.iter().enumerate().map(value).collect()],
                lost: Vec::new(),
            },
            bounds: vec![Bound {
                name: "",
                points: bound.iter().map(|&y| [0.0, y]).collect(),
                colour: Color32::WHITE,
                style: LineStyle::Solid,
            }],
            height: 100.0,
            is_lowest: true,
        }
    }

    #[test]
    fn the_axis_holds_the_numbers_their_errors_and_the_bounds() {
        assert_eq!(chart(&[(4.0, 2.0), (5.0, 0.5)], &[4.5, 3.0]).range(), (2.0, 6.0));
        // An error that could not be seen is not drawn.
        assert_eq!(chart(&[(400.0, 2.0)], &[]).range(), (400.0, 400.0));
        assert_eq!(chart(&[], &[]).range(), (0.0, 1.0));
        let (height, [bottom, top]) = chart(&[(4.0, 0.0)], &[10.0]).upwards();
        assert!(
            !height.logarithmic && bottom == 0.0 && (top - 10.7).abs() < 1e-9,
            "{top}"
        );
        // A bound far above is drawn by its logarithm.
        let (height, [bottom, top]) = chart(&[(4.0, 0.0)], &[4000.0]).upwards();
        let room = ROOM * 1000.0_f64.ln();
        assert!(height.logarithmic);
        assert!((bottom - (4.0_f64.ln() - room)).abs() < 1e-9 && (top - (4000.0_f64.ln() + room)).abs() < 1e-9);
        // An error that reaches 0 has no logarithm.
        let (height, [bottom, _]) = chart(&[(4.0, 5.0)], &[4000.0]).upwards();
        assert!(!height.logarithmic && bottom < -1.0, "{bottom}");
        // A sharpness below 0 has none.
        let (height, [bottom, _]) = chart(&[(-1.0, 0.0)], &[4000.0]).upwards();
        assert!(!height.logarithmic && bottom < -1.0);
        let (_, [bottom, top]) = chart(&[(0.0, 0.0)], &[]).upwards();
        assert_eq!((bottom, top), (0.0, 0.5));
    }
}
