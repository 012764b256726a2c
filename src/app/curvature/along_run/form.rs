//! Left: what is measured along the run, how far that is, and what its bounds are of.

use egui::{Checkbox, DragValue, Grid, Label, ProgressBar, RichText, Ui};

use crate::app::command::Command;
use crate::app::curvature::form::{faint, policy_and_images, seed, start_and_stop};
use crate::app::curvature::stability::IMAGES;
use crate::app::source::{duration, name};
use crate::app::state::State;
use crate::app::theme;
use crate::engine::{AlongRunView, CurvatureStage, EpochCurvature};
use crate::figure::chart::number;
use crate::objective::BatchNormPolicy;
use crate::training::TrainingOptions;

/// Most images that the non-uniformity is estimated from.
const MOST_IMAGES: usize = 100_000;

/// What is measured, as formulas.
const DEFINITION: &str = "Of the weights after every epoch: the sharpness a = λ_max(H), H = ∇²L(w) the Hessian of the \
                          mean train loss, and the non-uniformity s = λ_max(Σ)^½, Σ the mean of H_i² over the images \
                          less H² (Wu, Ma and E, 2018, Definition 3).";

/// What the bounds are.
const BOUNDS: &str = "With learning rate η and batches of B of n images SGD leaves a minimum with a > 2/η. Where \
                      s > (1/η)√(B(n − 1)/(n − B)) nothing says that it stays (9). η is that of the epoch.";

/// The panel.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    theme::caption(ui, "HOW IT IS FOUND");
    Grid::new("along run settings")
        .num_columns(2)
        .spacing([10.0, 5.0])
        .show(ui, |ui| {
            policy_and_images(ui, &mut state.curvature);
            seed(ui, &mut state.curvature);
        });
    ui.add_space(6.0);
    theme::caption(ui, "NON-UNIFORMITY");
    uniformity(ui, state);
    ui.add_space(6.0);
    let hint = "measure the epochs that are missing; it starts by itself when the tab is opened or something else is \
                chosen";
    let names = ["Start along the run", "Stop along the run"];
    start_and_stop(ui, state.is_measuring_along_run(), names, hint, commands);
    if let Some(view) = state.along_run_view() {
        let stage_first = state.slice.is_some() && state.is_evaluating();
        far(ui, &view, stage_first);
        left_out(ui, &view);
    }
    ui.add_space(8.0);
    faint(ui, DEFINITION);
    faint(ui, BOUNDS);
    let samples = state.along_run_view().map_or(0, |view| view.images[1]);
    if let Some(run) = &state.run {
        let own = run.batch_norm_parameters > 0 && state.curvature.policy != BatchNormPolicy::Batch;
        for note in notes(&run.record.options, samples, own) {
            faint(ui, &note);
        }
    }
}

/// Whether the non-uniformity is wanted, and from how many images.
fn uniformity(ui: &mut Ui, state: &mut State) {
    let missing = state.without_uniformity();
    let tab = &mut state.curvature.along_run;
    ui.horizontal(|ui| {
        let hint = "the Hessians of single images, drawn from those of the Hessian: the largest eigenvalue of their \
                    covariance, of all at once where all are asked for and memory holds, and otherwise in four sets, \
                    whose spread is the error. Small sets estimate too much on average. It follows when every epoch \
                    has its sharpness, and takes longer";
        let estimate = ui
            .add_enabled(missing.is_none(), Checkbox::new(&mut tab.uniformity, "Estimate s"))
            .on_hover_text(hint)
            .on_disabled_hover_text(missing.unwrap_or_default());
        name(&estimate, "Estimate s");
        ui.label("from");
        let images = DragValue::new(&mut tab.images).range(IMAGES[0]..=MOST_IMAGES);
        let field = ui
            .add_enabled(missing.is_none(), images.speed(0.5).update_while_editing(false))
            .on_hover_text("images that s is estimated from at every epoch: more take longer and say more");
        name(&field, "Images of the estimate");
        ui.label("images");
    });
}

/// How far it is.
fn far(ui: &mut Ui, view: &AlongRunView, stage_first: bool) {
    if let Some(problem) = &view.problem {
        let warning = theme::palette(ui.ctx()).warning;
        ui.add(Label::new(RichText::new(problem).color(warning)).wrap());
        return;
    }
    if !view.finished {
        let bar = ProgressBar::new(share(view)).desired_height(6.0);
        let bar = ui.add(bar.desired_width(ui.available_width() - 8.0));
        name(&bar, "Progress along the run");
    }
    ui.add(Label::new(count(view)).wrap());
    if let Some(doing) = doing(view, stage_first) {
        faint(ui, &doing);
    }
}

/// Epochs that have their sharpness or have none, and the same of the non-uniformity.
fn done(view: &AlongRunView) -> [usize; 2] {
    let settled = view
        .epochs
        .iter()
        .filter(|known| known.sharpness.is_err() || known.non_uniformity.is_some());
    [view.epochs.len(), settled.count()]
}

/// Share of the numbers that are there, 0..1.
fn share(view: &AlongRunView) -> f32 {
    let [sharpness, non_uniformity] = done(view);
    let all = view.request.snapshots.max(1) as f32;
    match view.request.uniformity {
        Some(_) => 0.5 * (sharpness + non_uniformity) as f32 / all,
        None => sharpness as f32 / all,
    }
}

/// How many epochs are measured, and how long the others take.
fn count(view: &AlongRunView) -> String {
    let [sharpness, non_uniformity] = done(view);
    let all = view.request.snapshots;
    let mut text = format!("{sharpness} of {all} epochs");
    if view.request.uniformity.is_some() {
        text += &format!(", s at {non_uniformity}");
    }
    let is_whole = sharpness >= all && (view.request.uniformity.is_none() || non_uniformity >= all);
    match view.seconds_left {
        Some(left) => text += &format!(" · {} left", duration(left)),
        None if view.finished && !is_whole => text += ", stopped",
        None => {}
    }
    text
}

/// What is being done, in words.
fn doing(view: &AlongRunView, stage_first: bool) -> Option<String> {
    let (epoch, stage) = view.at?;
    let what = match stage {
        None if stage_first && view.epochs.is_empty() => {
            return Some("the slice on the stage is evaluated first …".to_owned());
        }
        None => String::new(),
        Some(CurvatureStage::Statistics) => ": batch-norm statistics".to_owned(),
        Some(CurvatureStage::Eigenvectors) => ": the residual".to_owned(),
        Some(CurvatureStage::NonUniformity { subset, subsets, .. }) => {
            format!(": non-uniformity, set {} of {subsets}", subset + 1)
        }
        Some(CurvatureStage::Spectrum | CurvatureStage::Trace | CurvatureStage::Done) => ": products with H".to_owned(),
    };
    Some(format!("epoch {epoch}{what} …"))
}

/// Epochs that have no number, and those whose number may be another one.
fn left_out(ui: &mut Ui, view: &AlongRunView) {
    let warning = theme::palette(ui.ctx()).warning;
    for text in gaps(view) {
        ui.add(Label::new(RichText::new(text).small().color(warning)).wrap());
    }
}

/// The same in words.
fn gaps(view: &AlongRunView) -> Vec<String> {
    let epochs = |count: usize| match count {
        1 => "1 epoch has".to_owned(),
        _ => format!("{count} epochs have"),
    };
    let lost = |symbol: &str, reason: fn(&EpochCurvature) -> Option<&String>| {
        let known = view.epochs.iter();
        let without: Vec<_> = known.filter_map(|known| Some((known.epoch, reason(known)?))).collect();
        let (epoch, reason) = without.last()?;
        let count = epochs(without.len());
        Some(format!("{count} no {symbol}, such as epoch {epoch}: {reason}"))
    };
    let sharpness = lost("a", |known| known.sharpness.as_ref().err());
    let non_uniformity = lost("s", |known| known.non_uniformity.as_ref()?.as_ref().err());
    let found = view.epochs.iter().filter_map(|known| known.sharpness.as_ref().ok());
    let rough = found.filter(|found| !found.converged).count();
    let rough = (rough > 0).then(|| format!("{} not converged: a may be larger there", epochs(rough)));
    let found = view
        .epochs
        .iter()
        .filter_map(|known| known.non_uniformity.as_ref()?.as_ref().ok());
    let vague = match found.filter(|found| !found.converged).count() {
        0 => None,
        1 => Some("s not converged at 1 epoch: it may be another there".to_owned()),
        count => Some(format!("s not converged at {count} epochs: it may be another there")),
    };
    [sharpness, non_uniformity, rough, vague]
        .into_iter()
        .flatten()
        .collect()
}

/// What the bounds are not about. `is_constant` says whether batch norm takes statistics that SGD's batches do not.
fn notes(options: &TrainingOptions, samples: usize, is_constant: bool) -> Vec<String> {
    let momentum = (options.momentum > 0.0).then(|| {
        format!(
            "The run uses momentum μ = {}, and these bounds are of plain SGD: gradient descent with momentum stays up \
             to a = 2(1 + μ)/η, the second dashed line.",
            number(options.momentum)
        )
    });
    let all = (samples > 0 && options.batch_size >= samples)
        .then(|| "Its batches are all images, so that there is no noise and no bound on s.".to_owned());
    let decay = (options.weight_decay > 0.0).then(|| {
        format!(
            "Its weight decay adds {} to every eigenvalue, which is left out here.",
            options.weight_decay
        )
    });
    let statistics = is_constant.then(|| {
        "SGD's batches have batch-norm statistics of their own, which move with the weights: the sharpness that it meets \
         is that of bn batch. With constant ones a can lie far beyond 2/η."
            .to_owned()
    });
    [momentum, decay, all, statistics].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curvature::{NonUniformity, Sharpness};
    use crate::engine::AlongRunRequest;
    use crate::objective::BatchNormPolicy;

    /// Of five epochs those that are given, each with what it has.
    fn view(epochs: &[(usize, bool, bool)], uniformity: Option<usize>) -> AlongRunView {
        let request = AlongRunRequest {
            session: 1,
            policy: BatchNormPolicy::Running,
            images: 10,
            seed: 1,
            uniformity,
            snapshots: 5,
        };
        let sharpness = Sharpness {
            value: 2.0,
            residual: 0.01,
            converged: true,
        };
        let epoch = |&(epoch, has_a, has_s): &(usize, bool, bool)| EpochCurvature {
            epoch,
            sharpness: has_a.then_some(sharpness).ok_or("it has diverged".to_owned()),
            non_uniformity: NonUniformity::of(&[1.0, 2.0], true).filter(|_| has_s).map(Ok),
        };
        AlongRunView {
            epochs: epochs.iter().map(epoch).collect(),
            finished: false,
            problem: None,
            ..AlongRunView::failed(request, String::new())
        }
    }

    #[test]
    fn how_far_it_is_is_counted_in_epochs() {
        let mut view = view(&[(0, true, false), (4, true, false)], None);
        assert_eq!((count(&view).as_str(), share(&view)), ("2 of 5 epochs", 0.4));
        view.seconds_left = Some(12.2);
        assert_eq!(count(&view), "2 of 5 epochs · 12 s left");
        (view.finished, view.seconds_left) = (true, None);
        assert_eq!(count(&view), "2 of 5 epochs, stopped");
        let whole: Vec<_> = (0..5).map(|epoch| (epoch, epoch != 2, epoch == 0)).collect();
        let mut view = self::view(&whole, None);
        view.finished = true;
        assert_eq!(count(&view), "5 of 5 epochs");
        // An epoch without a is to have no s.
        let view = self::view(&whole, Some(8));
        assert_eq!((count(&view).as_str(), share(&view)), ("5 of 5 epochs, s at 2", 0.7));
    }

    #[test]
    fn what_is_being_done_is_told_with_its_epoch() {
        let mut view = view(&[], None);
        assert_eq!(doing(&view, true), None);
        let told = |view: &AlongRunView, stage_first: bool| doing(view, stage_first).unwrap();
        view.at = Some((3, None));
        assert!(told(&view, true).contains("stage is evaluated first"));
        assert_eq!(told(&view, false), "epoch 3 …");
        view.at = Some((3, Some(CurvatureStage::Spectrum)));
        assert_eq!(told(&view, true), "epoch 3: products with H …");
        let stage = CurvatureStage::NonUniformity {
            subset: 1,
            subsets: 4,
            steps: 7,
        };
        view.at = Some((3, Some(stage)));
        assert_eq!(told(&view, false), "epoch 3: non-uniformity, set 2 of 4 …");
    }

    #[test]
    fn gaps_are_counted_with_a_reason() {
        assert!(gaps(&view(&[(0, true, true)], Some(8))).is_empty());
        let mut view = view(&[(0, true, true), (1, false, false), (2, false, false)], Some(8));
        let told = ["2 epochs have no a, such as epoch 2: it has diverged"];
        assert_eq!(gaps(&view), told);
        view.epochs[0].non_uniformity = Some(Err("too few images".to_owned()));
        if let Ok(sharpness) = &mut view.epochs[0].sharpness {
            sharpness.converged = false;
        }
        let told = [
            told[0],
            "1 epoch has no s, such as epoch 0: too few images",
            "1 epoch has not converged: a may be larger there",
        ];
        assert_eq!(gaps(&view), told);
        for (epochs, words) in [(1, "s not converged at 1 epoch:"), (2, "s not converged at 2 epochs:")] {
            let rough = |epoch: usize| EpochCurvature {
                non_uniformity: NonUniformity::of(&[1.0, 2.0], false).map(Ok),
                ..self::view(&[(epoch, true, true)], Some(8)).epochs[0].clone()
            };
            view.epochs = (0..epochs).map(rough).collect();
            let said = gaps(&view);
            assert!(said.len() == 1 && said[0].starts_with(words), "{said:?}");
        }
    }

    #[test]
    fn what_the_bounds_are_not_about_is_said() {
        let plain = TrainingOptions {
            momentum: 0.0,
            batch_size: 10,
            weight_decay: 0.0,
            ..TrainingOptions::default()
        };
        assert!(notes(&plain, 100, false).is_empty() && notes(&plain, 0, false).is_empty());
        assert!(notes(&plain, 100, true)[0].contains("that of bn batch"));
        assert!(notes(&plain, 10, false)[0].contains("no bound on s"));
        let decaying = TrainingOptions {
            weight_decay: 0.0005,
            ..plain.clone()
        };
        assert!(notes(&decaying, 100, false)[0].contains("weight decay adds 0.0005 to every eigenvalue"));
        let heavy = TrainingOptions { momentum: 0.9, ..plain };
        assert!(notes(&heavy, 100, false)[0].contains("μ = 0.9"));
    }
}
