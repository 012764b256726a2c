//! Middle: the eigenvalues as they are found, each with its error, as a picture and as a list that leads to the stage.

use egui::{Align2, Button, Checkbox, Grid, Label, RichText, ScrollArea, Ui, Vec2, Vec2b};
use egui_plot::{AxisHints, GridMark, HLine, HoverPosition, Line, PlotBounds, PlotPoint, Points, Text};

use crate::app::axis::{fixed_plot, round_marks};
use crate::app::command::Command;
use crate::app::reading;
use crate::app::source::name;
use crate::app::state::State;
use crate::app::theme;
use crate::curvature::lanczos::RitzValue;
use crate::engine::CurvatureView;
use crate::experiment::outcome::significant;
use crate::figure::chart::number;

/// Share of the height that the picture has, and its limits in points.
const PICTURE: (f32, f32, f32) = (0.42, 170.0, 460.0);
/// Most eigenvalues that have a mark on the axis.
const MOST_MARKS: usize = 20;
/// Half the width of a whisker's ends, where eigenvalues are 1 apart.
const CAP: f64 = 0.16;

/// An eigenvalue on the page.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// Its symbol, such as λ₁, and its index alone.
    symbol: String,
    index: String,
    /// Where it stands in the picture.
    place: f64,
    value: RitzValue,
    /// Number of its eigenvector.
    eigenvector: usize,
}

/// The panel.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    let view = state.curvature_view().filter(|view| !view.largest.is_empty());
    let Some(view) = view else {
        waiting(ui, state);
        return;
    };
    ui.add(Label::new(RichText::new(format!("Spectrum of the Hessian at {}", view.origin)).heading()).wrap());
    ui.label(RichText::new(made(&view)).small().color(palette.faint));
    ui.add_space(4.0);
    let rows = rows(&view);
    let (share, least, most) = PICTURE;
    let room = ui.available_size();
    picture(ui, &rows, Vec2::new(room.x, (share * room.y).clamp(least, most)));
    ui.add_space(6.0);
    ScrollArea::vertical()
        .id_salt("eigenvalues")
        .auto_shrink([false, false])
        .show(ui, |ui| {
            ui.horizontal_top(|ui| {
                ui.vertical(|ui| list(ui, state, &view, &rows, commands));
                ui.add_space(22.0);
                ui.vertical(|ui| summary(ui, &view));
            });
        });
}

/// What stands where no eigenvalue is known.
fn waiting(ui: &mut Ui, state: &State) {
    let palette = theme::palette(ui.ctx());
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.35);
        let failed = state.curvature_view().is_some_and(|view| view.problem.is_some());
        let text = match (state.is_finding_curvature(), failed) {
            (_, true) => "there is no spectrum at this point; what to do is said on the left",
            (true, false) => {
                ui.spinner();
                "the first product with the Hessian …"
            }
            (false, false) => "nothing is being found: press Start",
        };
        ui.label(RichText::new(text).color(palette.faint));
    });
}

/// How the eigenvalues are made.
fn made(view: &CurvatureView) -> String {
    let [images, all] = view.images;
    let known = match (&view.eigenvectors, view.converged) {
        (Some(_), true) => "converged",
        (Some(_), false) => "not converged",
        (None, _) => "estimates with their errors, refined with every product",
    };
    format!(
        "{} parameters · {images} of {all} training images · bn {} · {} products · {known}",
        view.dimension, view.request.policy, view.steps
    )
}

/// The eigenvalues from the largest to the smallest, with a gap for those between.
fn rows(view: &CurvatureView) -> Vec<Row> {
    let largest = view.largest.iter().enumerate().map(|(index, &value)| Row {
        symbol: format!("λ{}", subscript(index + 1)),
        index: (index + 1).to_string(),
        place: index as f64 + 1.0,
        value,
        eigenvector: index,
    });
    // Where they stand does not change while more become known.
    let room = |asked: usize, left: usize, known: usize| asked.min(left).max(known);
    let above = room(view.request.largest, view.dimension, view.largest.len());
    let left = view.dimension.saturating_sub(above);
    let below = room(view.request.smallest, left, view.smallest.len());
    let smallest = view.smallest.iter().enumerate().rev().map(|(index, &value)| {
        let from_end = match index {
            0 => "d".to_owned(),
            _ => format!("d−{index}"),
        };
        Row {
            symbol: format!("λ_{from_end}"),
            index: from_end,
            place: (above + 1 + below - index) as f64,
            value,
            eigenvector: view.largest.len() + index,
        }
    });
    largest.chain(smallest).collect()
}

/// A number in small digits below the line.
fn subscript(number: usize) -> String {
    let digit = |digit: char| digit.to_digit(10).and_then(|value| char::from_u32('₀' as u32 + value));
    number.to_string().chars().filter_map(digit).collect()
}

/// The lowest and the highest that is drawn, with 0 between them.
fn range(rows: &[Row]) -> (f64, f64) {
    let ends = rows.iter().map(|row| {
        let RitzValue { value, residual } = row.value;
        (value - residual, value + residual)
    });
    let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), (below, above)| {
        (low.min(below), high.max(above))
    });
    match high - low > 0.0 {
        true => (low, high),
        false => (-1.0, 1.0),
    }
}

/// Each eigenvalue as a stem with its error as a whisker.
fn picture(ui: &mut Ui, rows: &[Row], size: Vec2) {
    let palette = theme::palette(ui.ctx());
    let (low, high) = range(rows);
    let room = 0.1 * (high - low);
    let right = rows.iter().map(|row| row.place).fold(1.0, f64::max) + 0.7;
    let near = |x: f64| rows.iter().find(|row| (row.place - x).abs() < 0.5);
    let response = fixed_plot("spectrum")
        .width(size.x)
        .height(size.y)
        .sense(egui::Sense::hover())
        .custom_x_axes(vec![
            AxisHints::new_x()
                .label("i, from the largest eigenvalue to the smallest")
                .formatter(move |mark, _| near(mark.value).map_or(String::new(), |row| row.index.clone()))
                .min_thickness(40.0),
        ])
        .custom_y_axes(vec![
            AxisHints::new_y()
                .label("eigenvalue λ of ∇²L")
                .formatter(|mark, _| number(mark.value))
                .min_thickness(56.0),
        ])
        .x_grid_spacer(move |input| {
            let marked = rows.iter().step_by(rows.len().div_ceil(MOST_MARKS).max(1));
            let step_size = input.bounds.1 - input.bounds.0;
            let mark = |row: &Row| GridMark {
                value: row.place,
                step_size,
            };
            marked.map(mark).collect()
        })
        .y_grid_spacer(|input| round_marks(input.bounds, 6.0))
        .grid_color(palette.grid)
        .label_formatter(move |hover| {
            let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
            near(position.x).map(told)
        })
        .show_axes(Vec2b::TRUE)
        .show_grid(Vec2b::new(false, true))
        .set_margin_fraction(Vec2::ZERO)
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            plot.set_plot_bounds(PlotBounds::from_min_max([0.3, low - room], [right, high + room]));
            plot.hline(HLine::new("", 0.0).color(palette.reference).width(1.0));
            for row in rows {
                let RitzValue { value, residual } = row.value;
                let colour = if value < 0.0 { palette.test } else { palette.train };
                let place = row.place;
                let stem = Line::new("", vec![[place, 0.0], [place, value]]);
                plot.line(stem.color(colour.gamma_multiply(0.55)).width(6.0).allow_hover(false));
                let (below, above) = (value - residual, value + residual);
                for [from, to] in [
                    [[place, below], [place, above]],
                    [[place - CAP, below], [place + CAP, below]],
                    [[place - CAP, above], [place + CAP, above]],
                ] {
                    let whisker = Line::new("", vec![from, to]).color(palette.handle);
                    plot.line(whisker.width(1.4).allow_hover(false));
                }
                let head = Points::new("", vec![[place, value]]).radius(4.5).color(colour);
                plot.points(head.allow_hover(false));
            }
            // What is between the ends is left out.
            let ends = rows.windows(2).find(|pair| pair[1].place - pair[0].place > 1.5);
            if let Some([before, after]) = ends {
                let at = PlotPoint::new(0.5 * (before.place + after.place), 0.0);
                let dots = Text::new("", at, RichText::new("…").size(18.0)).color(palette.faint);
                plot.text(dots.anchor(Align2::CENTER_BOTTOM));
            }
        });
    name(&response.response, "Spectrum");
}

/// An eigenvalue in words.
fn told(row: &Row) -> String {
    let RitzValue { value, residual } = row.value;
    format!(
        "{} = {}, within {}",
        row.symbol,
        significant(value, 4),
        significant(residual, 2)
    )
}

/// The eigenvalues as a list: each leads to the slice along its vector, two to their plane.
fn list(ui: &mut Ui, state: &mut State, view: &CurvatureView, rows: &[Row], commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    let ready = view.eigenvectors.is_some();
    let later = "once the eigenvectors are found";
    Grid::new("eigenvalue list")
        .num_columns(5)
        .spacing([14.0, 3.0])
        .striped(true)
        .show(ui, |ui| {
            let heads = [
                ("", "tick two for their plane"),
                ("", "index from the largest; λ_d is the smallest"),
                (
                    "eigenvalue",
                    "⟨u, Hu⟩ of its vector u: the second derivative of the loss along u",
                ),
                (
                    "residual",
                    "‖Hu − λu‖, estimated without a product until the eigenvectors are found: an eigenvalue of H lies \
                     within it",
                ),
                ("", ""),
            ];
            for (head, hint) in heads {
                let label = ui.label(RichText::new(head).small().color(palette.faint));
                if !hint.is_empty() {
                    label.on_hover_text(hint);
                }
            }
            ui.end_row();
            for row in rows {
                let ticked = &mut state.curvature.ticked;
                let mut is_ticked = ticked.contains(&row.eigenvector);
                let tick = ui
                    .add_enabled(ready, Checkbox::without_text(&mut is_ticked))
                    .on_hover_text("tick two for their plane")
                    .on_disabled_hover_text(later);
                name(&tick, &format!("Tick {}", row.symbol));
                if tick.changed() {
                    ticked.retain(|&index| index != row.eigenvector);
                    if is_ticked {
                        ticked.push(row.eigenvector);
                    }
                    // Two span a plane: the one ticked first makes room for a third.
                    if ticked.len() > 2 {
                        ticked.remove(0);
                    }
                }
                ui.label(RichText::new(&row.symbol).strong()).on_hover_text(told(row));
                ui.label(significant(row.value.value, 5));
                let residual = significant(row.value.residual, 2);
                ui.label(RichText::new(residual).color(palette.faint));
                let look = ui
                    .add_enabled(ready, Button::new("Look along").small())
                    .on_hover_text("the slice along its eigenvector, on the stage: the pad's first direction")
                    .on_disabled_hover_text(later);
                name(&look, &format!("Look along {}", row.symbol));
                if look.clicked() {
                    commands.push(Command::LookAlongEigenvector(row.eigenvector));
                }
                ui.end_row();
            }
        });
    ui.add_space(4.0);
    let ticked = state.curvature.ticked.clone();
    let plane = ui
        .add_enabled(ready && ticked.len() == 2, Button::new("Plane of the two ticked"))
        .on_hover_text("the loss in the plane of these two eigenvectors through the point, on the stage")
        .on_disabled_hover_text(if ready { "tick two eigenvalues" } else { later });
    if plane.clicked()
        && let [first, second] = ticked[..]
    {
        commands.push(Command::EigenvectorPlane([first, second]));
    }
}

/// What all eigenvalues together say.
fn summary(ui: &mut Ui, view: &CurvatureView) {
    theme::caption(ui, "ALL OF THEM");
    Grid::new("summary").num_columns(2).spacing([14.0, 4.0]).show(ui, |ui| {
        let trace = match view.trace {
            None => "after the eigenvectors".to_owned(),
            Some(trace) => {
                let error = trace
                    .standard_error
                    .map_or("…".to_owned(), |error| significant(error, 2));
                format!("{} ± {error}", significant(trace.mean, 4))
            }
        };
        let samples = view.trace.map_or(0, |trace| trace.samples);
        let hint = format!(
            "tr H, the sum of all λ: the mean of ⟨z, Hz⟩ over {samples} vectors z of random signs (Hutchinson), ± its \
             standard error"
        );
        reading::row(ui, "Trace", trace, &hint);
        let share = view.share_of_trace();
        reading::row(
            ui,
            "λ_max/trace",
            share.map_or("–".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
            "how much of the trace the sharpest direction alone has; above 100 % others are negative",
        );
        let condition = view.condition();
        reading::row(
            ui,
            "Condition",
            condition.map_or("–".to_owned(), |condition| significant(condition, 4)),
            "λ_max/λ_min; a dash where λ_min is not known to be above 0, so that H is not positive definite",
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Anchor, CurvatureRequest};
    use crate::objective::BatchNormPolicy;

    fn view(dimension: usize, largest: &[f64], smallest: &[f64]) -> CurvatureView {
        let pair = |&value: &f64| RitzValue { value, residual: 0.5 };
        let request = CurvatureRequest {
            session: 1,
            anchor: Anchor::Swa,
            walk: Vec::new(),
            policy: BatchNormPolicy::Running,
            images: 10,
            largest: 3,
            smallest: 2,
            seed: 1,
            uniformity: None,
        };
        CurvatureView {
            dimension,
            largest: largest.iter().map(pair).collect(),
            smallest: smallest.iter().map(pair).collect(),
            ..CurvatureView::failed(request, String::new())
        }
    }

    #[test]
    fn eigenvalues_stand_from_the_largest_to_the_smallest() {
        let described = |rows: &[Row]| -> Vec<(String, String, f64, f64, usize)> {
            let describe = |row: &Row| {
                let (symbol, index) = (row.symbol.clone(), row.index.clone());
                (symbol, index, row.place, row.value.value, row.eigenvector)
            };
            rows.iter().map(describe).collect()
        };
        let rows = rows(&view(20, &[9.0, 4.0, 1.0], &[-2.0, -1.0]));
        let expected = [
            ("λ₁", "1", 1.0, 9.0, 0),
            ("λ₂", "2", 2.0, 4.0, 1),
            ("λ₃", "3", 3.0, 1.0, 2),
            ("λ_d−1", "d−1", 5.0, -1.0, 4),
            ("λ_d", "d", 6.0, -2.0, 3),
        ];
        let expected = expected.map(|(symbol, index, place, value, eigenvector)| {
            (symbol.to_owned(), index.to_owned(), place, value, eigenvector)
        });
        assert_eq!(described(&rows), expected);
        assert_eq!(range(&rows), (-2.5, 9.5));
        assert_eq!(told(&rows[1]), "λ₂ = 4.000, within 0.50");
        // While fewer are known, those of the other end stand where they will.
        let early = super::rows(&view(20, &[5.0], &[5.0]));
        assert_eq!(early[1].place, 6.0);
        assert_eq!(range(&early), (0.0, 5.5));
        assert_eq!(range(&[]), (-1.0, 1.0));
    }

    #[test]
    fn small_digits_are_those_of_the_number() {
        assert_eq!(subscript(1), "₁");
        assert_eq!(subscript(2048), "₂₀₄₈");
    }
}
