//! The sharpness-non-uniformity diagram of Wu, Ma and E (2018, Fig. 3): the region where SGD may stay, and a minimum in
//! it. The region's two bounds are dragged, which changes learning rate and batch size.

use egui::{Align2, Color32, CursorIcon, Pos2, RichText, Stroke, Ui, Vec2, Vec2b};
use egui_plot::{
    AxisHints, HLine, HoverPosition, Line, LineStyle, PlotBounds, PlotPoint, PlotPoints, PlotResponse, PlotTransform,
    PlotUi, Points, Polygon, Text, VLine,
};

use super::stability::Bounds;
use crate::app::axis::{fixed_plot, round_marks};
use crate::app::source::name;
use crate::app::theme::{self, Palette};
use crate::curvature::Sgd;
use crate::engine::CurvatureView;
use crate::experiment::outcome::significant;
use crate::figure::chart::number;

/// Height of the diagram.
const HEIGHT: f32 = 304.0;
/// How near a bound counts as on it, in points.
const NEAR: f32 = 14.0;
/// Room beyond what the diagram holds.
const ROOM: f64 = 1.25;
/// Digits of a learning rate that is set by hand.
const DIGITS: usize = 3;

/// One of the two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// On a, upright.
    Sharpness,
    /// On s, level.
    NonUniformity,
}

/// A minimum on the diagram, its numbers with their errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minimum {
    /// a, or what it is at least.
    pub sharpness: (f64, f64),
    /// Whether its search has converged: a is not below what is found before, but may be above.
    pub converged: bool,
    /// s, where it is known.
    pub non_uniformity: Option<(f64, f64)>,
}

impl Minimum {
    /// What is known of a point; nothing before its first eigenvalue.
    pub fn of(view: &CurvatureView) -> Option<Self> {
        let largest = view.largest.first()?;
        let known = view.non_uniformity;
        Some(Self {
            sharpness: (largest.value, largest.residual),
            converged: view.converged,
            non_uniformity: known.map(|known| (known.value, known.standard_error.unwrap_or(0.0))),
        })
    }
}

/// Largest sharpness and non-uniformity that a diagram has to show.
fn frame(sgd: Sgd, minimum: Minimum) -> [f64; 2] {
    let (value, error) = minimum.sharpness;
    let right = sgd.sharpness_bound().max(value + error);
    // Gradient descent has no bound; half of all images have one.
    let half = Sgd::new(sgd.learning_rate(), sgd.samples() / 2, sgd.samples());
    let bounds = [Some(sgd), half.ok()].into_iter().flatten();
    let bound = bounds.map(Sgd::non_uniformity_bound).find(|bound| bound.is_finite());
    let (value, error) = minimum.non_uniformity.unwrap_or_default();
    let top = bound.unwrap_or(right).max(value + error);
    [ROOM * right, ROOM * top]
}

/// Where the bounds are drawn: one that is beyond the diagram, at its end.
fn drawn(sgd: Sgd, [right, top]: [f64; 2]) -> [f64; 2] {
    [sgd.sharpness_bound().min(right), sgd.non_uniformity_bound().min(top)]
}

/// The diagram, with the minimum in a colour.
pub fn show(ui: &mut Ui, bounds: &mut Bounds, sgd: Sgd, minimum: Minimum, colour: Color32) {
    let palette = theme::palette(ui.ctx());
    // Under the hand the axes stay, or a bound would run away from it.
    if bounds.held.is_none() {
        bounds.frame = frame(sgd, minimum);
    }
    let (held, ends) = (bounds.held, bounds.frame);
    let edges = drawn(sgd, ends);
    let response = fixed_plot("stability diagram")
        .width(ui.available_width())
        .height(HEIGHT)
        .custom_x_axes(vec![
            AxisHints::new_x()
                .label("sharpness a")
                .formatter(|mark, _| number(mark.value))
                .min_thickness(40.0),
        ])
        .custom_y_axes(vec![
            AxisHints::new_y()
                .label("non-uniformity s")
                .formatter(|mark, _| number(mark.value))
                .min_thickness(52.0),
        ])
        .x_grid_spacer(|input| round_marks(input.bounds, 5.0))
        .y_grid_spacer(|input| round_marks(input.bounds, 5.0))
        .grid_color(palette.grid)
        .label_formatter(|hover| {
            let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
            let (a, s) = (significant(position.x, 3), significant(position.y, 3));
            Some(format!("a = {a}, s = {s}"))
        })
        .show_axes(Vec2b::TRUE)
        .set_margin_fraction(Vec2::ZERO)
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            plot.set_plot_bounds(PlotBounds::from_min_max([0.0; 2], ends));
            region(plot, &palette, edges, ends, held);
            mark(plot, &palette, colour, minimum);
        });
    name(&response.response, "Stability diagram");
    drag(ui, bounds, sgd, &response, edges);
}

/// The shaded region and its two bounds.
fn region(plot: &mut PlotUi, palette: &Palette, [a, s]: [f64; 2], ends: [f64; 2], held: Option<Bound>) {
    let corners = vec![[0.0, 0.0], [a, 0.0], [a, s], [0.0, s]];
    let stable = palette.answers[0].gamma_multiply(0.16);
    let shaded = Polygon::new("", corners).fill_color(stable);
    plot.polygon(shaded.stroke(Stroke::new(0.0, stable)).allow_hover(false));
    let look = |bound: Bound| match held == Some(bound) {
        true => (palette.handle, 2.6),
        false => (palette.answers[0], 2.0),
    };
    let (colour, width) = look(Bound::Sharpness);
    plot.vline(VLine::new("", a).color(colour).width(width).allow_hover(false));
    let (colour, width) = look(Bound::NonUniformity);
    plot.hline(HLine::new("", s).color(colour).width(width).allow_hover(false));
    let text = |words: &str, at: [f64; 2]| {
        let words = RichText::new(words).size(12.5).strong();
        Text::new("", PlotPoint::new(at[0], at[1]), words).color(palette.faint)
    };
    // Each beside its line, on the side that has room.
    let beside = if a > 0.75 * ends[0] {
        Align2::RIGHT_TOP
    } else {
        Align2::LEFT_TOP
    };
    plot.text(text(" a = 2/η ", [a, 0.995 * ends[1]]).anchor(beside));
    let beside = if s > 0.85 * ends[1] {
        Align2::LEFT_TOP
    } else {
        Align2::LEFT_BOTTOM
    };
    plot.text(text(" largest s for B ", [0.0, s]).anchor(beside));
}

/// The minimum: a point with its errors, or a line at its sharpness where its non-uniformity is not known.
fn mark(plot: &mut PlotUi, palette: &Palette, colour: Color32, minimum: Minimum) {
    let (a, a_error) = minimum.sharpness;
    let Some((s, s_error)) = minimum.non_uniformity else {
        let line = VLine::new("", a).color(colour).width(2.0);
        plot.vline(line.style(LineStyle::dashed_loose()).allow_hover(false));
        return;
    };
    for ends in [
        [[a - a_error, s], [a + a_error, s]],
        [[a, s - s_error], [a, s + s_error]],
    ] {
        let points: PlotPoints = ends.into_iter().collect();
        let whisker = Line::new("", points).color(palette.handle).width(1.6);
        plot.line(whisker.allow_hover(false));
    }
    for (radius, colour) in [(7.0, palette.handle), (5.2, colour)] {
        let dot = Points::new("", vec![[a, s]]).radius(radius).color(colour);
        plot.points(dot.allow_hover(false));
    }
}

/// The bound at a place on screen.
fn bound_at(transform: &PlotTransform, at: Pos2, [a, s]: [f64; 2]) -> Option<Bound> {
    let distances = [
        (Bound::Sharpness, (transform.position_from_point_x(a) - at.x).abs()),
        (Bound::NonUniformity, (transform.position_from_point_y(s) - at.y).abs()),
    ];
    let near = distances.into_iter().filter(|(_, distance)| *distance <= NEAR);
    near.min_by(|one, other| one.1.total_cmp(&other.1))
        .map(|(bound, _)| bound)
}

/// A drag on a bound moves it, and what it follows from.
fn drag(ui: &Ui, bounds: &mut Bounds, sgd: Sgd, response: &PlotResponse<()>, edges: [f64; 2]) {
    let (plot, transform) = (&response.response, &response.transform);
    if plot.drag_started() {
        let pressed = ui.input(|input| input.pointer.press_origin());
        bounds.held = pressed.and_then(|at| bound_at(transform, at, edges));
    }
    if !plot.dragged() {
        bounds.held = None;
    }
    let under = bounds
        .held
        .or_else(|| plot.hover_pos().and_then(|at| bound_at(transform, at, edges)));
    match under {
        Some(Bound::Sharpness) => plot.ctx.set_cursor_icon(CursorIcon::ResizeHorizontal),
        Some(Bound::NonUniformity) => plot.ctx.set_cursor_icon(CursorIcon::ResizeVertical),
        None => {}
    }
    let (Some(held), Some(pointer)) = (bounds.held, plot.interact_pointer_pos()) else {
        return;
    };
    let at = transform.value_from_position(pointer);
    // Off the axes there is no such bound: it stays where it was.
    match held {
        Bound::Sharpness => {
            if let Ok(moved) = sgd.with_sharpness_bound(at.x) {
                bounds.learning_rate = rounded(moved.learning_rate());
            }
        }
        Bound::NonUniformity => {
            if let Ok(moved) = sgd.with_non_uniformity_bound(at.y) {
                bounds.batch_size = moved.batch_size();
            }
        }
    }
}

/// A number with as many digits as a hand has: short enough to be written down.
fn rounded(value: f64) -> f64 {
    significant(value, DIGITS).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimum(a: f64, s: Option<f64>) -> Minimum {
        Minimum {
            sharpness: (a, 0.5),
            converged: true,
            non_uniformity: s.map(|s| (s, 1.0)),
        }
    }

    #[test]
    fn the_diagram_holds_both_bounds_and_the_minimum() {
        let sgd = Sgd::new(0.1, 4, 100).unwrap();
        let [right, top] = frame(sgd, minimum(5.0, Some(3.0)));
        assert_eq!(right, 1.25 * 20.0);
        assert_eq!(top, 1.25 * sgd.non_uniformity_bound());
        assert_eq!(frame(sgd, minimum(30.0, Some(40.0))), [1.25 * 30.5, 1.25 * 41.0]);
        assert_eq!(drawn(sgd, [right, top]), [20.0, sgd.non_uniformity_bound()]);
        // Gradient descent has no bound on the non-uniformity: it is drawn at the end.
        for samples in [2, 3, 100] {
            let descent = Sgd::new(0.1, samples, samples).unwrap();
            let ends = frame(descent, minimum(5.0, None));
            assert!(ends[1].is_finite() && ends[1] > 0.0, "{ends:?}");
            assert_eq!(drawn(descent, ends), [20.0, ends[1]]);
        }
    }

    #[test]
    fn a_hand_takes_the_bound_it_is_near() {
        let screen = egui::Rect::from_min_max(egui::pos2(0.0, 0.0), egui::pos2(100.0, 200.0));
        let bounds = PlotBounds::from_min_max([0.0; 2], [10.0, 10.0]);
        let transform = PlotTransform::new(screen, bounds, false);
        // The bounds are at x = 50 and y = 160 on screen.
        let at = |x: f32, y: f32| bound_at(&transform, egui::pos2(x, y), [5.0, 2.0]);
        assert_eq!(at(52.0, 20.0), Some(Bound::Sharpness));
        assert_eq!(at(5.0, 150.0), Some(Bound::NonUniformity));
        assert_eq!(at(60.0, 155.0), Some(Bound::NonUniformity));
        assert_eq!(at(20.0, 20.0), None);
    }

    #[test]
    fn learning_rates_by_hand_are_short() {
        for (value, short) in [
            (0.123_456, 0.123),
            (1.0 / 3000.0, 3.33e-4),
            (1234.5, 1234.0),
            (1e-7, 1e-7),
        ] {
            assert!((rounded(value) / short - 1.0).abs() < 1e-12, "{}", rounded(value));
        }
    }
}
