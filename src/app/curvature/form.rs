//! Left: the point, how its curvature is found, and how far that is.

use egui::{Button, ComboBox, DragValue, Grid, Label, ProgressBar, RichText, Slider, Ui};

use super::settings::{Curvature, Point};
use crate::app::command::Command;
use crate::app::source::{duration, name};
use crate::app::state::State;
use crate::app::theme;
use crate::engine::{CurvatureRequest, CurvatureStage, CurvatureView};
use crate::objective::BatchNormPolicy;

/// Width of the panel.
pub const WIDTH: f32 = 256.0;

/// What is found, as a formula.
const DEFINITION: &str = "H = ∇²L(w): the Hessian of the mean train loss at w. Its extreme eigenvalues come from \
                          products H·v, one after another (Lanczos): an eigenvalue of H lies within every whisker, \
                          which shrinks while you look.";

/// The panel.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    theme::caption(ui, "POINT w");
    points(ui, state);
    ui.add_space(6.0);
    theme::caption(ui, "HOW IT IS FOUND");
    settings(ui, state);
    ui.add_space(6.0);
    action(ui, state, commands);
    ui.add_space(8.0);
    faint(ui, DEFINITION);
}

/// A line of lesser weight.
pub fn faint(ui: &mut Ui, text: &str) {
    let colour = theme::palette(ui.ctx()).faint;
    ui.add(Label::new(RichText::new(text).small().color(colour)).wrap());
}

fn points(ui: &mut Ui, state: &mut State) {
    let here = state.curvature_point();
    let [first, second] = state.names().map(str::to_owned);
    let checkpoint = state.is_checkpoint();
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for point in Point::ALL {
            let (text, shown, hint) = match point {
                Point::Swa => (
                    first.as_str(),
                    true,
                    "the average of the weights, once averaging is done",
                ),
                Point::Sgd => (
                    second.as_str(),
                    !second.is_empty(),
                    "the end of SGD started from the average",
                ),
                Point::Epoch => ("Epoch", !checkpoint, "a snapshot of the run"),
                Point::Marked => (
                    "Marked point",
                    true,
                    "where one stands on the stage: w + l·u at the mark; weights that are being trained are taken as \
                     they are at the start",
                ),
            };
            let hint = match (checkpoint, point) {
                (true, Point::Swa) => "the first entry of the checkpoint",
                (true, Point::Sgd) => "the other entry of the checkpoint",
                _ => hint,
            };
            if !shown {
                continue;
            }
            let button = Button::selectable(here == Some(point), text);
            let missing = match point {
                Point::Marked => "between two solutions one stands at neither: choose another picture on the stage",
                _ => hint,
            };
            let response = ui.add_enabled(state.has_point(point), button);
            if response.on_hover_text(hint).on_disabled_hover_text(missing).clicked() {
                state.curvature.point = point;
            }
        }
    });
    if here == Some(Point::Epoch) {
        let last = state.last_epoch();
        let mut epoch = state.curvature.epoch.min(last);
        ui.spacing_mut().slider_width = ui.available_width() - 8.0;
        let slider = ui
            .add_enabled(last > 0, Slider::new(&mut epoch, 0..=last.max(1)).show_value(false))
            .on_hover_text("the snapshot w_t whose curvature is found (← →)");
        name(&slider, "Epoch of the point");
        if slider.changed() {
            state.curvature.epoch = epoch;
        }
        faint(ui, &format!("w after epoch {epoch} of {last}"));
    }
    // There from the start, so that nothing below moves under the hand once it is known.
    let origin = state.curvature_view().map(|view| view.origin.clone());
    let origin = origin
        .filter(|origin| !origin.is_empty())
        .unwrap_or_else(|| "…".to_owned());
    ui.add(Label::new(format!("at {origin}")).wrap());
}

fn settings(ui: &mut Ui, state: &mut State) {
    let asked = &mut state.curvature;
    Grid::new("curvature settings")
        .num_columns(2)
        .spacing([10.0, 5.0])
        .show(ui, |ui| {
            policy_and_images(ui, asked);
            let most = CurvatureRequest::MOST_VALUES;
            number(
                ui,
                ["Largest", "Number of largest eigenvalues"],
                DragValue::new(&mut asked.largest).range(1..=most).speed(0.1),
                "so many of the largest eigenvalues",
            );
            number(
                ui,
                ["Smallest", "Number of smallest eigenvalues"],
                DragValue::new(&mut asked.smallest).range(0..=most).speed(0.1),
                "so many of the smallest eigenvalues, by sign: below 0 the loss curves down",
            );
            seed(ui, asked);
        });
}

/// Rows of a grid: the policy, and the images that the loss is the mean over.
pub fn policy_and_images(ui: &mut Ui, asked: &mut Curvature) {
    ui.label("Batch norm");
    let policy = ComboBox::from_id_salt("curvature policy")
        .width(110.0)
        .selected_text(asked.policy.name())
        .show_ui(ui, |ui| {
            for policy in BatchNormPolicy::ALL {
                ui.selectable_value(&mut asked.policy, policy, policy.name())
                    .on_hover_text(policy.explanation());
            }
        })
        .response
        .on_hover_text(asked.policy.explanation());
    name(&policy, "Batch-norm policy");
    ui.end_row();
    ui.label("Images");
    ui.horizontal(|ui| {
        let images = DragValue::new(&mut asked.images).range(1..=100_000_000).speed(2.0);
        let response = ui
            .add_enabled(!asked.all_images, images.update_while_editing(false))
            .on_hover_text("training images that the loss is the mean over, from the start of the split");
        name(&response, "Images of the Hessian");
        let all = ui
            .checkbox(&mut asked.all_images, "all")
            .on_hover_text("the loss of the whole training split: exact, and slower for a large one");
        name(&all, "All images");
    });
    ui.end_row();
}

/// Row of a grid: the seed.
pub fn seed(ui: &mut Ui, asked: &mut Curvature) {
    number(
        ui,
        ["Seed", "Seed of the spectrum"],
        DragValue::new(&mut asked.seed).speed(0.1),
        "of the start vector, of the trace's probes and of the images drawn",
    );
}

fn number(ui: &mut Ui, [text, accessible]: [&str; 2], value: DragValue, hint: &str) {
    ui.label(text).on_hover_text(hint);
    let response = ui.add(value.update_while_editing(false)).on_hover_text(hint);
    name(&response, accessible);
    ui.end_row();
}

/// The button that starts and stops, and how far it is.
fn action(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let hint = "find it at this point; it starts by itself when the page is opened or the point is changed";
    let names = ["Start the curvature", "Stop the curvature"];
    start_and_stop(ui, state.is_finding_curvature(), names, hint, commands);
    let Some(view) = state.curvature_view() else { return };
    if let Some(problem) = &view.problem {
        let warning = theme::palette(ui.ctx()).warning;
        ui.add(Label::new(RichText::new(problem).color(warning)).wrap());
        return;
    }
    if !view.finished {
        let bar = ProgressBar::new(view.share as f32).desired_height(6.0);
        let bar = ui.add(bar.desired_width(ui.available_width() - 8.0));
        name(&bar, "Progress of the product");
    }
    faint(ui, &progress(&view, state.slice.is_some() && state.is_evaluating()));
}

/// The buttons that start and stop what the tab is about, by their accessible names.
pub fn start_and_stop(ui: &mut Ui, finding: bool, names: [&str; 2], hint: &str, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        let start = ui
            .add_enabled(!finding, Button::new("Start"))
            .on_hover_text(hint)
            .on_disabled_hover_text("it is being found");
        name(&start, names[0]);
        if start.clicked() {
            commands.push(Command::StartCurvature);
        }
        let stop = ui
            .add_enabled(finding, Button::new("Stop"))
            .on_hover_text("what is found stays, and it goes on there next time (Escape)")
            .on_disabled_hover_text("nothing is being found");
        name(&stop, names[1]);
        if stop.clicked() {
            commands.push(Command::StopCurvature);
        }
    });
}

/// How far it is, in words.
fn progress(view: &CurvatureView, stage_first: bool) -> String {
    let steps = view.steps;
    let text = match view.stage {
        CurvatureStage::Done if view.converged => format!("found with {steps} products"),
        CurvatureStage::Done => format!("not converged after {steps} products: the whiskers say how far off it may be"),
        _ if view.finished => format!("stopped after {steps} products"),
        _ if steps == 0 && stage_first => "the slice on the stage is evaluated first …".to_owned(),
        CurvatureStage::Statistics => "batch-norm statistics at the point …".to_owned(),
        CurvatureStage::Spectrum => format!("product {} with H …", steps + 1),
        CurvatureStage::Eigenvectors => "eigenvectors and their residuals …".to_owned(),
        CurvatureStage::Trace => {
            let samples = view.trace.map_or(0, |trace| trace.samples);
            format!("trace: {samples} samples so far …")
        }
        CurvatureStage::NonUniformity { subset, subsets, steps } => {
            format!(
                "non-uniformity: set {} of {subsets}, product {} …",
                subset + 1,
                steps + 1
            )
        }
    };
    let left = view.seconds_left.map(|left| format!(" {} left", duration(left)));
    text + &left.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Anchor;

    #[test]
    fn what_is_said_of_the_progress_is_what_is_being_done() {
        let request = CurvatureRequest {
            session: 1,
            anchor: Anchor::Swa,
            walk: Vec::new(),
            policy: BatchNormPolicy::Running,
            images: 10,
            largest: 1,
            smallest: 0,
            seed: 1,
            uniformity: None,
        };
        let mut view = CurvatureView::failed(request, String::new());
        (view.finished, view.stage) = (false, CurvatureStage::Spectrum);
        assert_eq!(progress(&view, false), "product 1 with H …");
        assert!(progress(&view, true).contains("stage is evaluated first"));
        view.steps = 6;
        assert_eq!(progress(&view, true), "product 7 with H …");
        view.finished = true;
        assert_eq!(progress(&view, false), "stopped after 6 products");
        view.stage = CurvatureStage::Done;
        assert!(progress(&view, false).starts_with("not converged after 6 products"));
        view.converged = true;
        assert_eq!(progress(&view, false), "found with 6 products");
        (view.finished, view.stage, view.seconds_left) = (false, CurvatureStage::Eigenvectors, Some(12.2));
        assert_eq!(progress(&view, false), "eigenvectors and their residuals … 12 s left");
        view.seconds_left = None;
        view.stage = CurvatureStage::NonUniformity {
            subset: 1,
            subsets: 4,
            steps: 0,
        };
        assert_eq!(progress(&view, false), "non-uniformity: set 2 of 4, product 1 …");
    }
}
