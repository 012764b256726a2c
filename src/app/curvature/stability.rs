//! Right: whether SGD stays at the point, by its sharpness and its non-uniformity (Wu, Ma and E, 2018): the diagram,
//! the hyper-parameters, and what the bounds say.

use egui::{Button, Color32, DragValue, Grid, Label, RichText, Ui};

use super::diagram::{self, Bound, Minimum};
use super::form::faint;
use crate::app::reading;
use crate::app::source::name;
use crate::app::state::State;
use crate::app::theme::{self, Palette};
use crate::curvature::Sgd;
use crate::engine::{CurvatureStage, CurvatureView, RunSummary};
use crate::experiment::outcome::significant;
use crate::figure::chart::number;
use crate::objective::BatchNormPolicy;
use crate::training::{TrainingOptions, schedule};

/// Width of the panel.
pub const WIDTH: f32 = 396.0;
/// Images that the non-uniformity is estimated from: fewest, and unless told otherwise.
pub(super) const IMAGES: [usize; 2] = [8, 128];

/// What the diagram says.
const THEORY: &str = "Wu, Ma and E (2018), Theorem 1: SGD with learning rate η and batches of B of n images stays at a \
                      global minimum if\nλ_max{(I − ηH)² + η²(n − B)/(B(n − 1))·Σ} ≤ 1 (8), for which\na ≤ 2/η and \
                      s ≤ (1/η)√(B(n − 1)/(n − B)) are necessary (9).\na = λ_max(H) is the sharpness and \
                      s = λ_max(Σ)^½ the non-uniformity (Definition 3), with Σ the mean of H_i² over the images less \
                      H².\nDrag the upright line to change η, the level one to change B";

/// How a run was trained in the end.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trained {
    learning_rate: f64,
    batch_size: usize,
    momentum: f64,
}

/// SGD's hyper-parameters, and the diagram of what they allow.
pub struct Bounds {
    /// η.
    pub learning_rate: f64,
    /// B.
    pub batch_size: usize,
    /// Largest sharpness and non-uniformity on the diagram as it was drawn last.
    pub frame: [f64; 2],
    /// Images that the non-uniformity is estimated from.
    images: usize,
    trained: Option<Trained>,
    /// The bound under the hand.
    pub(super) held: Option<Bound>,
}

impl Default for Bounds {
    fn default() -> Self {
        let options = TrainingOptions::default();
        Self {
            learning_rate: options.learning_rate,
            batch_size: options.batch_size,
            frame: [1.0; 2],
            images: IMAGES[1],
            trained: None,
            held: None,
        }
    }
}

impl Bounds {
    /// Those of a run's last epoch. How a checkpoint was trained is not known.
    pub fn of(run: &RunSummary) -> Self {
        if run.checkpoint {
            return Self::default();
        }
        let options = &run.record.options;
        let trained = Trained {
            learning_rate: schedule::learning_rate(options, options.total_epochs().max(1)),
            batch_size: options.batch_size,
            momentum: options.momentum,
        };
        Self {
            learning_rate: trained.learning_rate,
            batch_size: trained.batch_size,
            trained: Some(trained),
            ..Self::default()
        }
    }

    /// SGD on so many images; nothing where there are fewer than two.
    fn sgd(&self, samples: usize) -> Option<Sgd> {
        let batch_size = self.batch_size.clamp(1, samples.max(1));
        Sgd::new(self.learning_rate, batch_size, samples).ok()
    }
}

/// Where a minimum lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    TooSharp,
    NotKnownYet,
    TooNonUniform,
    Undecided,
    NotTooSharp,
    Within,
}

impl Verdict {
    fn of(sgd: Sgd, minimum: Minimum) -> Self {
        let bound = sgd.non_uniformity_bound();
        match minimum.non_uniformity {
            _ if minimum.sharpness.0 > sgd.sharpness_bound() => Self::TooSharp,
            _ if !minimum.converged => Self::NotKnownYet,
            Some((value, error)) if (value - bound).abs() < error => Self::Undecided,
            Some((value, _)) if value > bound => Self::TooNonUniform,
            Some(_) => Self::Within,
            None => Self::NotTooSharp,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::TooSharp => "a > 2/η: not even gradient descent with this η stays here",
            Self::NotKnownYet => "not known yet: before the search has converged, a may be larger than it shows",
            Self::Undecided => "undecided: s is nearer to its bound than its standard error; take more images",
            Self::TooNonUniform => "s is beyond its bound: (8) fails for this B, though gradient descent would stay",
            Self::NotTooSharp => "a ≤ 2/η; estimate s to see whether it is within the other bound",
            Self::Within => "within both bounds of (9): SGD may stay here",
        }
    }

    fn colour(self, palette: &Palette) -> Color32 {
        match self {
            Self::Within => palette.answers[0],
            Self::NotKnownYet | Self::Undecided | Self::NotTooSharp => palette.answers[1],
            Self::TooSharp | Self::TooNonUniform => palette.answers[2],
        }
    }
}

/// The panel.
pub fn show(ui: &mut Ui, state: &mut State) {
    theme::caption(ui, "DOES SGD STAY HERE?");
    let known = state
        .curvature_view()
        .and_then(|view| Some((Minimum::of(&view)?, view)));
    let Some((minimum, view)) = known else {
        return faint(ui, "the diagram appears with the first eigenvalue");
    };
    let samples = view.images[1];
    let Some(sgd) = state.curvature.bounds.sgd(samples) else {
        return faint(
            ui,
            "batches of fewer than two training images do not differ: there is no noise to withstand",
        );
    };
    let colour = Verdict::of(sgd, minimum).colour(&theme::palette(ui.ctx()));
    diagram::show(ui, &mut state.curvature.bounds, sgd, minimum, colour);
    // Over the diagram it would be in the way of the hand.
    ui.label(RichText::new("shaded: a ≤ 2/η and s ≤ (1/η)√(B(n − 1)/(n − B)) (9)").small())
        .on_hover_text(THEORY);
    hyper_parameters(ui, &mut state.curvature.bounds, samples);
    ui.add_space(4.0);
    // What the hand just set.
    let sgd = state.curvature.bounds.sgd(samples).unwrap_or(sgd);
    read(ui, sgd, minimum);
    ui.add_space(6.0);
    estimate(ui, state, &view);
    ui.add_space(6.0);
    notes(ui, &state.curvature.bounds);
}

fn hyper_parameters(ui: &mut Ui, bounds: &mut Bounds, samples: usize) {
    ui.horizontal(|ui| {
        ui.label("η");
        let speed = (0.01 * bounds.learning_rate).max(1e-9);
        let rate = DragValue::new(&mut bounds.learning_rate)
            .range(1e-9..=1e6)
            .speed(speed)
            .custom_formatter(|value, _| format!("{}", (value * 1e9).round() / 1e9));
        let rate = ui.add(rate).on_hover_text("learning rate of plain SGD");
        name(&rate, "Learning rate of the bounds");
        ui.label("B");
        // Shown as it counts; a larger one comes back with more images.
        let mut batch_size = bounds.batch_size.clamp(1, samples);
        let batch = DragValue::new(&mut batch_size).range(1..=samples).speed(0.3);
        let hint = format!("images a batch, of n = {samples}; all of them are gradient descent");
        let batch = ui.add(batch).on_hover_text(hint);
        name(&batch, "Batch size of the bounds");
        if batch.changed() {
            bounds.batch_size = batch_size;
        }
        if let Some(trained) = bounds.trained {
            let own = (trained.learning_rate, trained.batch_size);
            let other = own != (bounds.learning_rate, bounds.batch_size);
            let back = ui
                .add_enabled(other, Button::new("The run's"))
                .on_hover_text("learning rate and batch size of this run's last epoch");
            if back.clicked() {
                (bounds.learning_rate, bounds.batch_size) = own;
            }
        }
    });
}

/// The numbers, and what they say.
fn read(ui: &mut Ui, sgd: Sgd, minimum: Minimum) {
    let palette = theme::palette(ui.ctx());
    let verdict = Verdict::of(sgd, minimum);
    // From all images at once s has no error.
    let with_error = |(value, error): (f64, f64)| match error > 0.0 {
        true => format!("{} ± {}", significant(value, 4), significant(error, 2)),
        false => significant(value, 4),
    };
    Grid::new("stability numbers")
        .num_columns(2)
        .spacing([14.0, 4.0])
        .show(ui, |ui| {
            reading::row(
                ui,
                "Sharpness a",
                RichText::new(with_error(minimum.sharpness)).strong(),
                "a = λ_max(H) (Definition 3), ± its residual",
            );
            reading::row(
                ui,
                "at most 2/η",
                significant(sgd.sharpness_bound(), 4),
                "2/η: the first bound of (9), that of gradient descent, too",
            );
            let value = minimum.non_uniformity.map_or("not known".to_owned(), with_error);
            reading::row(
                ui,
                "Non-uniformity s",
                RichText::new(value).strong(),
                "s = λ_max(Σ)^½ with Σ the mean of H_i² over the images less H² (Definition 3), ± its standard error",
            );
            let bound = match sgd.non_uniformity_bound() {
                bound if bound.is_finite() => significant(bound, 4),
                _ => "∞".to_owned(),
            };
            let hint = "(1/η)√(B(n − 1)/(n − B)): the second bound of (9), near √B/η for small batches";
            reading::row(ui, "at most", bound, hint);
        });
    let words = RichText::new(verdict.words()).color(verdict.colour(&palette));
    ui.add(Label::new(words).wrap()).on_hover_text(THEORY);
}

/// The button that has the non-uniformity found.
fn estimate(ui: &mut Ui, state: &mut State, view: &CurvatureView) {
    let [fewest, _] = IMAGES;
    let images = view.images[0];
    let is_estimating = !view.finished && view.request.uniformity.is_some();
    let has_batch_norm = state.run.as_ref().is_some_and(|run| run.batch_norm_parameters > 0);
    let missing = match view.request.policy {
        BatchNormPolicy::Batch if has_batch_norm => {
            "under the policy batch an image has no loss of its own: choose running or recompute"
        }
        _ if images < 2 => "take more images for the Hessian: one alone has no covariance",
        _ => "it is being estimated",
    };
    let possible = images >= 2 && !(view.request.policy == BatchNormPolicy::Batch && has_batch_norm);
    ui.horizontal(|ui| {
        let hint = "the Hessians of single images, drawn from those on the left: the largest eigenvalue of their \
                    covariance, of all at once where all are asked for and memory holds, and otherwise in four sets, \
                    whose spread is the error. Small sets estimate too much on average";
        let button = ui
            .add_enabled(possible && !is_estimating, Button::new("Estimate s"))
            .on_hover_text(hint)
            .on_disabled_hover_text(missing);
        ui.label("from");
        let from = &mut state.curvature.bounds.images;
        let mut shown = (*from).clamp(fewest, images.max(fewest));
        let field = ui
            .add(DragValue::new(&mut shown).range(fewest..=images.max(fewest)).speed(0.5))
            .on_hover_text("images that s is estimated from: more take longer and say more");
        name(&field, "Images of the estimate");
        if field.changed() {
            *from = shown;
        }
        ui.label("images");
        if button.clicked() {
            state.estimate_non_uniformity(shown);
        }
    });
    if let CurvatureStage::NonUniformity { subset, subsets, steps } = view.stage {
        let text = format!("set {} of {subsets}, {steps} products with its covariance", subset + 1);
        faint(ui, &text);
    }
}

/// What the bounds are not about.
fn notes(ui: &mut Ui, bounds: &Bounds) {
    let Some(trained) = bounds.trained else {
        return faint(ui, "A checkpoint does not say how it was trained: set η and B.");
    };
    let (rate, batch) = (number(trained.learning_rate), trained.batch_size);
    faint(ui, &format!("The run's last epoch had η = {rate} and B = {batch}."));
    if trained.momentum > 0.0 {
        let text = format!(
            "It used momentum μ = {}, and the bounds are for plain SGD: gradient descent with momentum stays up to \
             a = 2(1 + μ)/η.",
            number(trained.momentum)
        );
        faint(ui, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimum(a: f64, s: Option<f64>) -> Minimum {
        Minimum {
            sharpness: (a, 0.5),
            converged: true,
            non_uniformity: s.map(|s| (s, 0.05)),
        }
    }

    #[test]
    fn the_verdict_is_that_of_the_bounds() {
        // 2/η = 20 and (1/η)·√(B(n − 1)/(n − B)) = 10·√(4·99/96) = 20.3.
        let sgd = Sgd::new(0.1, 4, 100).unwrap();
        assert_eq!(Verdict::of(sgd, minimum(19.0, None)), Verdict::NotTooSharp);
        assert_eq!(Verdict::of(sgd, minimum(19.0, Some(20.2))), Verdict::Within);
        assert_eq!(Verdict::of(sgd, minimum(19.0, Some(20.4))), Verdict::TooNonUniform);
        assert_eq!(Verdict::of(sgd, minimum(21.0, Some(20.2))), Verdict::TooSharp);
        // Nearer to the bound than its standard error.
        for s in [20.29, 20.33] {
            assert_eq!(Verdict::of(sgd, minimum(19.0, Some(s))), Verdict::Undecided);
        }
        // Before it has converged, a search shows only that a point is too sharp.
        let under_way = |a: f64, s: Option<f64>| Minimum {
            converged: false,
            ..minimum(a, s)
        };
        for s in [None, Some(1.0), Some(30.0)] {
            assert_eq!(Verdict::of(sgd, under_way(19.0, s)), Verdict::NotKnownYet);
            assert_eq!(Verdict::of(sgd, under_way(21.0, s)), Verdict::TooSharp);
        }
        let descent = Sgd::new(0.1, 100, 100).unwrap();
        assert_eq!(Verdict::of(descent, minimum(19.0, Some(1e6))), Verdict::Within);
    }
}
