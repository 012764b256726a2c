//! The two curves through the point of a plane: at once from the surface, and measured as soon as they are.

use egui::{Rect, Ui, UiBuilder, Vec2b};
use egui_plot::{Line, LineStyle, PlotBounds, PlotPoints, Points, VLine};

use crate::app::axis::{fixed_plot, grid, round_marks};
use crate::app::source::name;
use crate::app::state::State;
use crate::app::theme;
use crate::data::Part;
use crate::engine::{SliceView, SurfaceView, View};
use crate::figure::chart::number;
use crate::landscape::{Height, Heights, Quantity, Scale};

/// Points of a curve that is read off the surface.
const PIECES: usize = 120;
const PARTS: [(Part, Quantity); 2] = [(Part::Train, Quantity::TrainLoss), (Part::Test, Quantity::TestLoss)];

/// Both curves side by side in `rect`.
pub fn show(ui: &mut Ui, state: &mut State, view: &SurfaceView, rect: Rect) {
    let gap = 10.0;
    let width = (rect.width() - gap) / 2.0;
    for index in 0..2 {
        let min = rect.min + egui::vec2(index as f32 * (width + gap), 0.0);
        let place = Rect::from_min_size(min, egui::vec2(width, rect.height()));
        ui.scope_builder(UiBuilder::new().max_rect(place), |ui| curve(ui, state, view, index));
    }
}

fn curve(ui: &mut Ui, state: &mut State, view: &SurfaceView, index: usize) {
    let palette = theme::palette(ui.ctx());
    let Some(heights) = PARTS
        .map(|(_, quantity)| state.heights.of(view, quantity, state.scale))
        .into_iter()
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let marginals = state.look.marginals([heights[0].first, heights[0].second]);
    let (start, end) = marginals.range(index);
    let position = marginals.position(index);
    let (along, foot) = (marginals.along(index), marginals.foot(index));
    // What was measured counts only for this very curve.
    let measured = state.slice.clone().filter(|slice| is_of(slice, state));
    let read_off = heights
        .iter()
        .map(|heights| read_off(heights, along, foot, (start, end)));
    let read_off: Vec<Vec<[f64; 2]>> = read_off.collect();
    let own = measured.iter().filter_map(|slice| slice.lines.get(index));
    let own = own.flat_map(|line| PARTS.iter().flat_map(|(part, _)| line.record.curve.losses(*part)));
    let all = read_off.iter().flatten().map(|p| p[1]).chain(own.map(|(_, loss)| loss));
    let (low, high) = all
        .filter(|loss| loss.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), loss| {
            (low.min(loss), high.max(loss))
        });
    if low > high {
        return;
    }
    let height: Height = Scale::height(state.scale, low, high);
    let (bottom, top) = (height.of(low), height.of(high));
    let room = ((top - bottom) * 0.08).max(1e-3);
    let symbol = ["1", "2"][index];
    let response = fixed_plot(&format!("marginal {index}"))
        .custom_x_axes(vec![
            egui_plot::AxisHints::new_x()
                .label(format!("position along {symbol}"))
                .formatter(|mark, _| number(mark.value))
                .min_thickness(30.0),
        ])
        .custom_y_axes(vec![
            egui_plot::AxisHints::new_y()
                .formatter(move |mark, _| number(height.value(mark.value)))
                .min_thickness(38.0),
        ])
        .show_axes(Vec2b::TRUE)
        .grid_color(palette.grid)
        .x_grid_spacer(|input| round_marks(input.bounds, 5.0))
        .y_grid_spacer(move |input| grid(height, &input, 4.0))
        .set_margin_fraction(egui::Vec2::ZERO)
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            plot.set_plot_bounds(PlotBounds::from_min_max([start, bottom - room], [end, top + room]));
            for ((part, _), read_off) in PARTS.iter().zip(&read_off) {
                let colour = [palette.train, palette.test][usize::from(*part == Part::Test)];
                for stretch in read_off.split(|p| !p[1].is_finite()) {
                    let points: PlotPoints = stretch.iter().map(|&[x, y]| [x, height.of(y)]).collect();
                    let line = Line::new("", points).color(colour.gamma_multiply(0.65)).width(1.2);
                    plot.line(line.style(LineStyle::dashed_dense()));
                }
                let Some(line) = measured.as_ref().and_then(|slice| slice.lines.get(index)) else {
                    continue;
                };
                for stretch in line.record.curve.stretches(*part) {
                    let points: PlotPoints = stretch.iter().map(|&(x, y)| [x, height.of(y)]).collect();
                    plot.line(Line::new("", points).color(colour).width(2.2));
                }
                if let Some(value) = line.record.curve.at(position).map(|value| value.part(*part).loss)
                    && value.is_finite()
                {
                    let at = vec![[position, height.of(value)]];
                    plot.points(Points::new("", at).radius(4.5).color(colour));
                }
            }
            plot.vline(
                VLine::new("", position)
                    .color(palette.handle.gamma_multiply(0.7))
                    .width(1.2),
            );
        });
    name(&response.response, &format!("Curve along {symbol}"));
    // Dragging along a curve moves the point along it.
    let plot = &response.response;
    if (plot.dragged() || plot.clicked())
        && let Some(pointer) = plot.interact_pointer_pos()
    {
        let s = response.transform.value_from_position(pointer).x.clamp(start, end);
        let s = (s * 1e3).round() / 1e3;
        state.look.surface.mark = [foot[0] + s * along[0], foot[1] + s * along[1]];
        state.look.surface.step = None;
    }
}

/// Whether a slice is of the curves that are looked at.
fn is_of(slice: &SliceView, state: &State) -> bool {
    match slice.request.view {
        View::Marginals(measured) => {
            let looked_at = state.look.marginals(measured.ranges);
            measured == looked_at && slice.request.anchor == state.look.anchor && slice.request.walk == state.look.walk
        }
        _ => false,
    }
}

/// The surface along a line of the plane.
fn read_off(heights: &Heights, along: [f64; 2], foot: [f64; 2], (start, end): (f64, f64)) -> Vec<[f64; 2]> {
    (0..=PIECES)
        .map(|piece| {
            let s = start + (end - start) * piece as f64 / PIECES as f64;
            let value = heights.value([foot[0] + s * along[0], foot[1] + s * along[1]]);
            [s, value.unwrap_or(f64::NAN)]
        })
        .collect()
}
