//! One figure of an experiment: its curves or its surface, with values under the pointer, and the way to the stage.

use egui::{
    Align, Align2, Color32, FontId, Label, Layout, Rect, RichText, Sense, Stroke, StrokeKind, Ui, UiBuilder, Vec2,
    Vec2b,
};
use egui_plot::{
    AxisHints, Corner, HoverPosition, Legend, Line, LineStyle, MarkerShape, PlotBounds, PlotImage, PlotPoint,
    PlotPoints, Points, Text, VLine,
};

use super::pictures::{Curves, Drawing, Surface};
use crate::app::axis::{fixed_plot, grid, round_marks};
use crate::app::command::Command;
use crate::app::source::name;
use crate::app::state::State;
use crate::app::surface::bar::{self, gradient, shortened};
use crate::app::surface::overlay::{AROUND, LINE};
use crate::app::theme::{self, Palette};
use crate::experiment::outcome::{Figure, significant};
use crate::experiment::recipe::Recipe;
use crate::figure::chart::number;

/// Width of a colour bar's colours.
const COLOURS: f32 = 14.0;
/// Digits of a value under the pointer.
const DIGITS: usize = 4;
/// Curves whose values are told under the pointer.
const MOST_TOLD: usize = 8;

/// A figure under its title, over so many points; with `detail`, how it was made below it.
pub fn show(
    ui: &mut Ui,
    state: &mut State,
    (recipe, figure): (&Recipe, &Figure),
    (size, detail): (Vec2, bool),
    commands: &mut Vec<Command>,
) {
    let layout = Layout::top_down(Align::Min);
    ui.allocate_ui_with_layout(egui::vec2(size.x, 0.0), layout, |ui| {
        ui.set_width(size.x);
        let enlarged = state.experiments.enlarged.as_deref() == Some(figure.name.as_str());
        let mut toggled = header(ui, state, figure, enlarged, commands);
        let place = Rect::from_min_size(ui.cursor().min, size);
        // Far down the page nothing is drawn before it comes into sight.
        if !ui.is_rect_visible(place) {
            ui.allocate_space(size);
            return;
        }
        let drawing = state.experiments.pictures.drawing(ui.ctx(), &recipe.name, figure);
        // Large and small, the axes need other room.
        let key = format!("{}/{}/{enlarged}", recipe.name, figure.name);
        let response = match &*drawing {
            Drawing::Curves(drawn) => Some(curves(ui, &key, drawn, size)),
            Drawing::Surface(drawn) => Some(surface(ui, &key, drawn, size)),
            Drawing::Nothing => {
                let palette = theme::palette(ui.ctx());
                ui.label(RichText::new("nothing of this figure is finite").color(palette.warning));
                None
            }
        };
        if let Some(response) = response {
            name(&response, &format!("Figure: {}", figure.title));
            toggled |= response.clicked();
        }
        if detail && !drawing.footnote().is_empty() {
            let palette = theme::palette(ui.ctx());
            let footnote = RichText::new(drawing.footnote()).small().color(palette.faint);
            ui.add(Label::new(footnote).wrap());
        }
        if toggled {
            state.experiments.enlarged = (!enlarged).then(|| figure.name.clone());
        }
    });
}

/// Title and buttons. True where the figure is to be enlarged, or put back.
fn header(ui: &mut Ui, state: &State, figure: &Figure, enlarged: bool, commands: &mut Vec<Command>) -> bool {
    let mut toggled = false;
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().button_padding = egui::vec2(8.0, 3.0);
            let (text, hint) = match enlarged {
                true => ("Back", "back to the page (Escape, or a click on the figure)"),
                false => ("Enlarge", "give this figure the whole page (or click on it)"),
            };
            toggled = ui.button(text).on_hover_text(hint).clicked();
            if let Some(place) = &figure.place {
                let button = egui::Button::new("Explore on the stage");
                let hint = "opens the run that this curve is of, stands where it was measured, and looks the same way: \
                            turn it, walk along it, scrub through training. A run that trains in this window is \
                            stopped, and can be continued";
                let waits = state.pending.unwrap_or_default();
                if ui
                    .add_enabled(state.pending.is_none(), button)
                    .on_hover_text(hint)
                    .on_disabled_hover_text(waits)
                    .clicked()
                {
                    commands.push(Command::Visit(place.clone()));
                }
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(Label::new(RichText::new(&figure.title).strong()).truncate());
            });
        });
    });
    toggled
}

fn curves(ui: &mut Ui, key: &str, drawn: &Curves, size: Vec2) -> egui::Response {
    let palette = theme::palette(ui.ctx());
    let chart = &drawn.chart;
    let height = chart.scale.height(drawn.up.0, drawn.up.1);
    let (bottom, top) = (height.of(drawn.up.0), height.of(drawn.up.1));
    let room = if top > bottom { 0.07 * (top - bottom) } else { 0.5 };
    let (left, right) = match drawn.across {
        (left, right) if left < right => (left, right),
        (left, _) => (left - 0.5, left + 0.5),
    };
    let response = fixed_plot(key)
        .width(size.x)
        .height(size.y)
        // A drag is the page's: it scrolls where a finger does it.
        .sense(Sense::click())
        .custom_x_axes(vec![
            AxisHints::new_x()
                .label(chart.x_label.as_str())
                .formatter(|mark, _| number(mark.value))
                .min_thickness(40.0),
        ])
        .custom_y_axes(vec![
            AxisHints::new_y()
                .label(chart.y_label.as_str())
                .formatter(move |mark, _| number(height.value(mark.value)))
                .min_thickness(56.0),
        ])
        .x_grid_spacer(|input| round_marks(input.bounds, 6.0))
        .y_grid_spacer(move |input| grid(height, &input, 5.0))
        .grid_color(palette.grid)
        .label_formatter(|hover| {
            let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
            let mut text = format!("at {}", number(position.x));
            for series in chart.series.iter().take(MOST_TOLD) {
                if let Some(value) = value_at(&series.points, position.x) {
                    text += &format!("\n{} {}", series.label, significant(value, DIGITS));
                }
            }
            Some(text)
        })
        .legend(legend())
        .show_axes(Vec2b::TRUE)
        .set_margin_fraction(Vec2::ZERO)
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            let bounds = PlotBounds::from_min_max([left, bottom - room], [right, top + room]);
            plot.set_plot_bounds(bounds);
            for mark in chart
                .marks
                .iter()
                .filter(|mark| (left..=right).contains(&mark.position))
            {
                let line = VLine::new("", mark.position).color(palette.reference).width(1.0);
                plot.vline(line.style(LineStyle::dashed_dense()));
                let text = RichText::new(format!(" {}", mark.label)).size(13.0).strong();
                let at = PlotPoint::new(mark.position, top + 0.5 * room);
                let text = Text::new("", at, text).color(palette.reference);
                plot.text(text.anchor(Align2::LEFT_CENTER));
            }
            for series in &chart.series {
                let colour = palette.curve(series.colour);
                let label = series.label.as_str();
                let on_plot = |point: &(f64, f64)| [point.0, height.of(point.1)];
                for stretch in series.points.split(|point| !is_finite(point)) {
                    if let [only] = stretch {
                        let points = Points::new(label, vec![on_plot(only)]);
                        plot.points(points.radius(2.6).color(colour).allow_hover(false));
                        continue;
                    }
                    let points: PlotPoints = stretch.iter().map(on_plot).collect();
                    // The plot would fill upright steps, which it takes for points too dense to be told apart.
                    let mut line = Line::new(label, points).color(colour).width(2.2).allow_band(false);
                    if series.dashed {
                        line = line.style(LineStyle::dashed_loose());
                    }
                    plot.line(line);
                }
                let lost = series
                    .points
                    .iter()
                    .filter(|point| point.0.is_finite() && !is_finite(point));
                let lost: Vec<[f64; 2]> = lost.map(|point| [point.0, top]).collect();
                if !lost.is_empty() {
                    let crosses = Points::new(label, lost).shape(MarkerShape::Cross);
                    plot.points(crosses.radius(5.0).color(colour).allow_hover(false));
                }
                let finite = series.points.iter().filter(|point| is_finite(point));
                let lowest = finite.min_by(|a, b| a.1.total_cmp(&b.1));
                if let (true, Some(lowest)) = (series.mark_minimum, lowest) {
                    let mark = Points::new("", vec![on_plot(lowest)]).shape(MarkerShape::Diamond);
                    plot.points(mark.radius(5.0).color(colour).allow_hover(false));
                }
            }
        });
    response.response
}

/// Of whatever has a name.
fn legend() -> Legend {
    Legend::default()
        .text_style(egui::TextStyle::Small)
        .position(Corner::LeftTop)
        .follow_insertion_order(true)
        .background_alpha(0.7)
}

fn is_finite((x, y): &(f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}

/// A curve's value, linear between its points; nothing outside them, where it is not
/// finite, or where they do not ascend. Dots and bars that stand apart behind them are none of its points.
fn value_at(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let points = points.split(|point| point.0.is_nan()).next()?;
    // A way to and fro has no value at a position.
    if !points.is_sorted_by(|first, second| first.0 <= second.0) {
        return None;
    }
    let above = points.partition_point(|point| point.0 < x);
    let &(x1, y1) = points.get(above)?;
    let value = match above.checked_sub(1).and_then(|below| points.get(below)) {
        Some(&(x0, y0)) if x1 > x => y0 + (x - x0) / (x1 - x0) * (y1 - y0),
        _ if x1 == x => y1,
        _ => return None,
    };
    value.is_finite().then_some(value)
}

fn surface(ui: &mut Ui, key: &str, drawn: &Surface, size: Vec2) -> egui::Response {
    let palette = theme::palette(ui.ctx());
    let (all, _) = ui.allocate_exact_size(size, Sense::hover());
    let edge = all.right() - bar::WIDTH;
    let inner = Rect::from_min_max(all.min, egui::pos2(edge, all.bottom()));
    let mut child = ui.new_child(UiBuilder::new().max_rect(inner));
    let response = map(&mut child, key, drawn, inner.size(), &palette);
    let beside = Rect::from_min_max(
        egui::pos2(edge + 6.0, all.top() + 22.0),
        egui::pos2(edge + 6.0 + COLOURS, all.bottom() - 44.0),
    );
    if beside.height() > 40.0 {
        colours(ui, drawn, beside, &palette);
    }
    response
}

fn map(ui: &mut Ui, key: &str, drawn: &Surface, size: Vec2, palette: &Palette) -> egui::Response {
    let heights = &drawn.heights;
    let [(left, right), (bottom, top)] = [heights.first, heights.second].map(|(start, end)| match start == end {
        true => (start - 0.5, start + 0.5),
        false => (start, end),
    });
    let response = fixed_plot(key)
        .width(size.x)
        .height(size.y)
        .sense(Sense::click())
        .show_grid(Vec2b::FALSE)
        .custom_x_axes(vec![
            AxisHints::new_x()
                .label(drawn.axes[0].as_str())
                .formatter(|mark, _| number(mark.value))
                .min_thickness(40.0),
        ])
        .custom_y_axes(vec![
            AxisHints::new_y()
                .label(drawn.axes[1].as_str())
                .formatter(|mark, _| number(mark.value))
                .min_thickness(56.0),
        ])
        .x_grid_spacer(|input| round_marks(input.bounds, 6.0))
        .y_grid_spacer(|input| round_marks(input.bounds, 5.0))
        .grid_color(palette.grid)
        .label_formatter(|hover| {
            let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
            let value = match heights.value([position.x, position.y]) {
                Some(value) if value.is_finite() => significant(value, DIGITS),
                Some(_) => "not finite".to_owned(),
                None => "not known".to_owned(),
            };
            let at = format!("{}, {}", number(position.x), number(position.y));
            Some(format!("at {at}\n{} {value}", heights.quantity.name()))
        })
        .legend(legend())
        .show_axes(Vec2b::TRUE)
        .set_margin_fraction(Vec2::ZERO)
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            plot.set_plot_bounds(PlotBounds::from_min_max([left, bottom], [right, top]));
            let middle = PlotPoint::new(0.5 * (left + right), 0.5 * (bottom + top));
            let extent = egui::vec2((right - left) as f32, (top - bottom) as f32);
            plot.image(PlotImage::new("", drawn.texture.id(), middle, extent).allow_hover(false));
            for way in &drawn.ways {
                let line = |name: &str, colour: Color32, width: f32| {
                    let line = Line::new(name, PlotPoints::from(way.points.clone())).color(colour);
                    line.width(width).allow_hover(false)
                };
                plot.line(line("", AROUND.gamma_multiply(0.55), 3.6));
                plot.line(line(&way.label, way.colour, 1.5));
            }
            for (name, at) in &drawn.places {
                let at = *at;
                for (colour, radius) in [(LINE, 6.0), (AROUND, 4.0)] {
                    let dot = Points::new("", vec![at]).color(colour).radius(radius);
                    plot.points(dot.allow_hover(false));
                }
                let text = RichText::new(format!("  {name}")).size(13.0).strong();
                let text = Text::new("", PlotPoint::new(at[0], at[1]), text).color(LINE);
                plot.text(text.anchor(Align2::LEFT_CENTER));
            }
        });
    response.response
}

/// What the colours of a surface mean.
fn colours(ui: &Ui, drawn: &Surface, bar: Rect, palette: &Palette) {
    let painter = ui.painter();
    painter.add(gradient(drawn.colouring.map, bar));
    painter.rect_stroke(bar, 0.0, Stroke::new(1.0, palette.grid), StrokeKind::Outside);
    let height = drawn.colouring.height;
    let [low, high] = [drawn.colouring.range.0, drawn.colouring.range.1].map(|value| height.of(value));
    let marks = ((bar.height() / 44.0) as usize).clamp(1, 8);
    for mark in 0..=marks {
        let share = mark as f32 / marks as f32;
        let value = height.value(low + f64::from(share) * (high - low));
        painter.text(
            egui::pos2(bar.right() + 6.0, bar.bottom() - share * bar.height()),
            Align2::LEFT_CENTER,
            shortened(value),
            FontId::proportional(11.5),
            palette.faint,
        );
    }
    painter.text(
        egui::pos2(bar.left(), bar.top() - 8.0),
        Align2::LEFT_BOTTOM,
        drawn.heights.quantity.name(),
        FontId::proportional(11.5),
        palette.faint,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_under_the_pointer_are_linear_between_points_and_end_with_them() {
        let points = [(0.0, 1.0), (2.0, 5.0), (3.0, f64::NAN), (4.0, 2.0)];
        assert_eq!(value_at(&points, 0.0), Some(1.0));
        assert_eq!(value_at(&points, 0.5), Some(2.0));
        assert_eq!(value_at(&points, 2.0), Some(5.0));
        assert_eq!(value_at(&points, 2.5), None);
        assert_eq!(value_at(&points, 4.0), Some(2.0));
        for outside in [-0.1, 4.1] {
            assert_eq!(value_at(&points, outside), None);
        }
        assert_eq!(value_at(&[], 0.0), None);
        let with_bars = [(0.0, 1.0), (2.0, 5.0), (f64::NAN, f64::NAN), (0.0, 0.5), (0.0, 1.5)];
        assert_eq!(value_at(&with_bars, 1.0), Some(3.0));
    }
}
