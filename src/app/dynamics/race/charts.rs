//! Below the pictures: how many seeds end at the flat minimum, and the indicator of how fast a noise leaves a minimum.

use egui::{Align2, FontId, RichText, Role, Sense, Stroke, Ui, Vec2b, WidgetInfo};
use egui_plot::{AxisHints, HoverPosition, Line, PlotBounds, PlotPoints, VLine};

use super::Race;
use super::controls::{colours, definition};
use super::made::SEEDS;
use crate::app::axis::{fixed_plot, round_marks};
use crate::app::source::name;
use crate::app::theme;
use crate::dynamics::proportion::Proportion;
use crate::dynamics::race::{BORDER, COMPARED, STEPS};
use crate::figure::chart::number;

/// Height of a bar with the room around it, and of the bar itself.
const ROW: [f32; 2] = [25.0, 17.0];
/// Room for a dynamics' name, and for its numbers.
const NAME: f32 = 132.0;
const NUMBERS: f32 = 172.0;
/// Size of the words beside bars.
const TEXT: f32 = 13.5;

/// Bars of the shares, which grow as they are counted.
pub fn success(ui: &mut Ui, race: &Race, drawn: &[usize]) {
    ui.spacing_mut().item_spacing.y = 0.0;
    theme::caption(ui, &format!("ENDS AT THE FLAT MINIMUM, SEEDS 1 TO {SEEDS}"));
    ui.add_space(4.0);
    for &index in drawn {
        let share = race.success.as_ref().map(|success| success.share(index));
        bar(ui, index, share.unwrap_or_default());
    }
}

fn bar(ui: &mut Ui, index: usize, share: Proportion) {
    let palette = theme::palette(ui.ctx());
    let colour = colours(&palette)[index];
    let noise = COMPARED[index];
    let (rect, response) = ui.allocate_exact_size(egui::vec2(ui.available_width(), ROW[0]), Sense::hover());
    let told = match share.all {
        0 => "…".to_owned(),
        _ => share.to_string(),
    };
    let label = format!("{}: {told}", noise.name());
    response.widget_info(|| WidgetInfo::labeled(Role::Meter, true, &label));
    name(&response, &label);
    let painter = ui.painter_at(rect);
    let font = FontId::proportional(TEXT);
    let middle = rect.center().y;
    painter.text(
        egui::pos2(rect.left() + NAME, middle),
        Align2::RIGHT_CENTER,
        noise.name(),
        font.clone(),
        colour,
    );
    let track = egui::Rect::from_x_y_ranges(
        rect.left() + NAME + 10.0..=(rect.right() - NUMBERS).max(rect.left() + NAME + 40.0),
        middle - 0.5 * ROW[1]..=middle + 0.5 * ROW[1],
    );
    let x = |share: f64| track.left() + share as f32 * track.width();
    painter.rect_filled(track, 3.0, palette.grid.gamma_multiply(0.45));
    if share.all > 0 {
        painter.rect_filled(track.with_max_x(x(share.share())), 3.0, colour.gamma_multiply(0.85));
        // Wilson's interval: a line with two ends over the bar.
        let [low, high] = share.interval().map(x);
        let stroke = Stroke::new(1.6, palette.handle);
        painter.hline(low..=high, middle, stroke);
        for end in [low, high] {
            painter.vline(end, middle - 4.0..=middle + 4.0, stroke);
        }
    }
    painter.text(
        egui::pos2(track.right() + 10.0, middle),
        Align2::LEFT_CENTER,
        told,
        font,
        ui.visuals().text_color(),
    );
    response.on_hover_text(format!(
        "share of seeds whose run has w₁ < {BORDER} and w₂ < {BORDER} after {STEPS} steps, with Wilson's interval of \
         95 %.\n{}",
        definition(noise)
    ));
}

/// Tr(HΣ) along the runs, with a cursor at the step it is; dragging moves that.
pub fn indicator(ui: &mut Ui, race: &mut Race, drawn: &[usize]) {
    let palette = theme::palette(ui.ctx());
    let caption = RichText::new("Tr(HΣ): HOW FAST THE NOISE LEAVES A MINIMUM WHERE THE RUN IS")
        .small()
        .color(palette.faint)
        .strong();
    ui.label(caption).on_hover_text(
        "E[L(w_t) − L(w₀)] ≈ t/2 · Tr(HΣ) near a minimum w₀ (Eq. 13), with the Hessian H and the noise's covariance Σ. \
         Of all noise with the same Tr Σ, that along the first eigenvector of H has the largest, λ₁·Tr Σ (Section 3.2)",
    );
    let Some(made) = race.made.clone() else { return };
    let colours = colours(&palette);
    let lines: Vec<(usize, &[f64])> = drawn
        .iter()
        .map(|&index| (index, made.runs[index].indicator.as_slice()))
        .collect();
    let values = lines.iter().flat_map(|(_, values)| values.iter().copied());
    // Without noise it is 0 all along.
    let top = 1.08 * values.fold(1e-3, f64::max);
    let now = race.clock.step();
    let response = fixed_plot("indicator of the race")
        .custom_x_axes(vec![
            AxisHints::new_x()
                .label("step")
                .formatter(|mark, _| number(mark.value))
                .min_thickness(30.0),
        ])
        .custom_y_axes(vec![
            AxisHints::new_y()
                .formatter(|mark, _| number(mark.value))
                .min_thickness(38.0),
        ])
        .show_axes(Vec2b::TRUE)
        .grid_color(palette.grid)
        .x_grid_spacer(|input| round_marks(input.bounds, 6.0))
        .y_grid_spacer(|input| round_marks(input.bounds, 4.0))
        .set_margin_fraction(egui::Vec2::ZERO)
        .label_formatter(|hover| {
            let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
            let step = position.x.round().max(0.0) as usize;
            let mut text = format!("step {step}");
            for (index, values) in &lines {
                let value = values.get(step)?;
                text += &format!("\n{} {value:.3}", COMPARED[*index].name());
            }
            Some(text)
        })
        .show(ui, |plot| {
            plot.set_auto_bounds(Vec2b::FALSE);
            plot.set_plot_bounds(PlotBounds::from_min_max([0.0, 0.0], [STEPS as f64, top]));
            for (index, values) in &lines {
                let points: PlotPoints = values
                    .iter()
                    .enumerate()
                    .map(|(step, &value)| [step as f64, value])
                    .collect();
                let line = Line::new(COMPARED[*index].name(), points).color(colours[*index]);
                plot.line(line.width(1.8));
            }
            plot.vline(VLine::new("", now as f64).color(palette.handle).width(1.4));
        });
    name(&response.response, "Indicator");
    let plot = &response.response;
    if (plot.dragged() || plot.clicked())
        && let Some(pointer) = plot.interact_pointer_pos()
    {
        let step = response.transform.value_from_position(pointer).x.round().max(0.0);
        race.clock.go_to(step as usize);
    }
}
