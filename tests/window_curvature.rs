//! The curvature's page: its spectrum is that of the dense Hessian, its eigenvectors lead to the stage, its bounds
//! follow the hand, and it works only while it is looked at.

#[path = "window_curvature/along_run.rs"]
mod along_run;
mod common;
#[path = "common/window.rs"]
mod driver;
#[path = "common/engine.rs"]
mod engine;
#[path = "window_curvature/worker.rs"]
mod worker;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use common::derivatives::falling;
use driver::{HAND, Window, adapter, compute, is_complete};
use egui::accesskit::Role;
use egui::{Key, Modifiers, Pos2, pos2};
use egui_kittest::kittest::{NodeT, Queryable};
use nalgebra::DMatrix;
use valleyscope::app::{Page, Picture, State};
use valleyscope::curvature::Sgd;
use valleyscope::data::{Dataset, Part};
use valleyscope::engine::{Anchor, CurvatureView, SurfaceChoice, View};
use valleyscope::landscape::{Basis, Normalisation};
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Objective, Solution};
use valleyscope::training::{RunFolder, TrainingOptions};

/// Error of a product in single precision, as a share of its length: see tests/hessians.rs.
const ROUNDING: f64 = 1e-5;
/// Accessible name of the diagram.
const DIAGRAM: &str = "Stability diagram";

/// A run, and the data and model it is of.
struct Run {
    folder: PathBuf,
    model: &'static str,
    data: String,
}

impl Run {
    /// Trains one anew.
    fn train(name: &str, model: &'static str, data: impl FnOnce(&Path) -> String, options: &TrainingOptions) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("window_curvature")
            .join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        let run = Self {
            data: data(&folder),
            folder: folder.join("run"),
            model,
        };
        driver::train(&run.folder, model, &run.data, options);
        run
    }

    /// The same without a window.
    fn objective(&self) -> Objective {
        let data = Arc::new(Dataset::open(&self.data).unwrap());
        let graph = Arc::new(zoo::build(self.model, data.shape, data.classes.len()).unwrap());
        Objective::usual(graph, data, compute()).unwrap()
    }

    fn swa(&self, objective: &Objective) -> Solution {
        let folder = RunFolder::open(&self.folder).unwrap();
        folder.solution(objective.graph(), "swa").unwrap()
    }
}

/// A perceptron of 110 parameters on images of noise, not trained to the end: many eigenvalues of both signs.
fn perceptron() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let data = |folder: &Path| {
            let path = folder.join("data.safetensors");
            common::data_file(&path, 40, [1, 3, 3]);
            format!("safetensors:{}", path.display())
        };
        let options = TrainingOptions {
            epochs: 4,
            batch_size: 8,
            swa_start: 2,
            sgd_epochs: 1,
            learning_rate: 0.02,
            swa_learning_rate: 0.02,
            sgd_learning_rate: 0.02,
            ..TrainingOptions::default()
        };
        Run::train("perceptron", "mlp:5", data, &options)
    })
}

/// Logistic regression: a loss without kinks, in two dimensions.
fn logistic() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let options = TrainingOptions {
            epochs: 6,
            batch_size: 5,
            swa_start: 3,
            sgd_epochs: 1,
            ..TrainingOptions::default()
        };
        Run::train("logistic", "logistic", |_| "two-gaussians".to_owned(), &options)
    })
}

/// A perceptron whose spectrum takes seconds.
fn slow() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let options = TrainingOptions {
            epochs: 1,
            swa_start: 0,
            ..TrainingOptions::default()
        };
        Run::train("slow", "mlp:64", |_| "builtin:train=3000:test=20".to_owned(), &options)
    })
}

/// The Hessian of the mean train loss.
fn dense(objective: &Objective, solution: &Solution) -> DMatrix<f64> {
    common::derivatives::dense(solution.parameters.len(), |unit| {
        let (policy, all) = (BatchNormPolicy::Running, usize::MAX);
        objective
            .hessian_vector(solution, unit, policy, Part::Train, all)
            .unwrap()
    })
}

/// A window with a run that is open, and what is on the stage first measured to the end.
fn open(run: &Run) -> Window {
    let mut window = Window::open(Path::new("runs"), Some(&run.folder));
    window.until("the run is open and its slice complete", is_complete);
    window
}

/// The same on the page of the curvature.
fn page(run: &Run) -> Window {
    let mut window = open(run);
    window.key(Modifiers::NONE, Key::C);
    assert_eq!(window.state().page, Page::Curvature);
    window
}

/// The view once everything is found.
#[track_caller]
fn found(window: &mut Window) -> Arc<CurvatureView> {
    window.until("everything is found", |state| {
        let view = state.curvature_view();
        view.is_some_and(|view| view.finished && view.eigenvectors.is_some())
    });
    let view = window.state().curvature_view().unwrap();
    assert_eq!((&view.problem, view.converged), (&None, true));
    view
}

#[test]
fn the_spectrum_is_that_of_the_dense_hessian_and_leads_to_planes() {
    if !adapter() {
        return;
    }
    let mut window = page(perceptron());
    let view = found(&mut window);
    // Between the two solutions one stands at neither: the page begins with the average.
    assert_eq!((view.origin.as_str(), view.images), ("SWA", [40, 40]));
    assert_eq!((view.largest.len(), view.smallest.len()), (8, 2));
    let objective = perceptron().objective();
    let hessian = dense(&objective, &perceptron().swa(&objective));
    let values = falling(&hessian);
    assert_eq!(view.dimension, values.len());
    let norm = values[0].abs().max(values[values.len() - 1].abs());
    let ends = view.largest.iter().zip(&values);
    let ends = ends.chain(view.smallest.iter().zip(values.iter().rev()));
    for (known, value) in ends {
        // An eigenvalue lies within the residual, which is below a thousandth of the largest, but for rounding.
        assert!(known.residual <= 1e-3 * norm + ROUNDING * norm, "{known:?} of {norm}");
        let error = (known.value - value).abs();
        assert!(
            error <= known.residual + ROUNDING * norm,
            "{known:?} instead of {value}"
        );
    }
    // Hutchinson's standard error, from the entries off the diagonal.
    let squares = hessian.norm_squared() - hessian.diagonal().norm_squared();
    let trace = view.trace.unwrap();
    assert_eq!(trace.samples, 20);
    let error = (2.0 * squares / 20.0).sqrt();
    let off = (trace.mean - hessian.trace()).abs();
    assert!(off <= 6.0 * error, "{trace:?} instead of {}", hessian.trace());

    for symbol in ["λ₁", "λ₈", "λ_d−1", "λ_d"] {
        window
            .harness
            .get_by_role_and_label(Role::Button, &format!("Look along {symbol}"));
    }
    window.harness.remove_cursor();
    window.rest();
    window.snapshot("curvature");
    window.click("Light");
    window.harness.remove_cursor();
    window.rest();
    window.snapshot("curvature-light");

    // Two of them span a plane; a third takes the place of the first.
    for symbol in ["λ₃", "λ₁", "λ_d"] {
        window
            .harness
            .get_by_role_and_label(Role::CheckBox, &format!("Tick {symbol}"))
            .click();
        window.harness.step();
        window.harness.step();
    }
    assert_eq!(window.state().curvature.ticked, [0, 8]);
    window.click("Plane of the two ticked");
    assert_eq!(window.state().page, Page::Explore);
    let set = view.eigenvectors.as_ref().unwrap().number;
    let look = &window.state().look;
    assert_eq!((look.picture, look.anchor), (Picture::Plane, Anchor::Swa));
    let axes = [0, 8].map(|index| Basis::Eigenvector { set, index });
    assert_eq!([look.first, look.second], axes);
    window.until("the plane is measured", |state| {
        let plane = SurfaceChoice::Plane(state.look.plane());
        let surface = state.surface.as_ref();
        surface.is_some_and(|surface| surface.request.choice == plane && surface.record.grid.measured() > 0)
    });
    // Eigenvectors of two eigenvalues are orthogonal, as far as both are converged.
    let angle = window.state().surface.as_ref().unwrap().record.angle.unwrap();
    assert!((angle - 90.0).abs() < 1.0, "{angle}°");
}

#[test]
fn along_an_eigenvector_the_loss_curves_by_its_eigenvalue() {
    if !adapter() {
        return;
    }
    let mut window = page(logistic());
    let view = found(&mut window);
    // Both eigenvalues are among the largest.
    assert_eq!((view.largest.len(), view.smallest.len()), (2, 0));
    assert_eq!(
        view.eigenvectors.as_ref().unwrap().names,
        ["eigenvector 1 of SWA", "eigenvector 2 of SWA"]
    );
    window.click("Look along λ₁");
    assert_eq!(window.state().page, Page::Explore);
    let set = view.eigenvectors.as_ref().unwrap().number;
    let look = window.state().look.clone();
    assert_eq!((look.picture, look.anchor), (Picture::Direction, Anchor::Swa));
    assert_eq!((look.first, look.angle), (Basis::Eigenvector { set, index: 0 }, 0.0));
    assert_eq!(
        (look.policy, look.normalisation),
        (BatchNormPolicy::Running, Normalisation::Unit)
    );
    window.until("the slice along it is complete", is_complete);
    let slice = window.state().slice.clone().unwrap();
    assert_eq!(slice.request.view, View::Direction(look.turn()));
    assert_eq!(slice.lines[0].record.label, "eigenvector 1 of SWA");

    let mut losses: Vec<(f64, f64)> = slice.lines[0].record.curve.losses(Part::Train).collect();
    losses.sort_by(|a, b| a.0.total_cmp(&b.0));
    let middle = losses.iter().position(|(position, _)| *position == 0.0).unwrap();
    let [before, here, after] = [middle - 1, middle, middle + 1].map(|index| losses[index]);
    let step = after.0;
    assert!((step + before.0).abs() < 1e-12 && step < 0.2, "{before:?}, {after:?}");
    let difference = (before.1 - 2.0 * here.1 + after.1) / (step * step);

    // The second difference is a mean of the second derivatives from −h to h, and each loss, of order 1 and of single
    // precision, is off by 10⁻⁶ at most.
    let objective = logistic().objective();
    let swa = logistic().swa(&objective);
    let hessian = dense(&objective, &swa);
    let eigen = hessian.symmetric_eigen();
    let largest = eigen.eigenvalues.imax();
    let unit: Vec<f32> = eigen.eigenvectors.column(largest).iter().map(|&u| u as f32).collect();
    let curvature = |position: f64| {
        let hessian = dense(&objective, &swa.moved(&unit, position));
        let along = |index: usize| f64::from(unit[index]);
        (0..2)
            .flat_map(|i| (0..2).map(move |j| (i, j)))
            .map(|(i, j)| along(i) * hessian[(i, j)] * along(j))
            .sum::<f64>()
    };
    let sharpness = view.largest[0].value;
    let positions = (-8..=8).map(|index| f64::from(index) * step / 8.0);
    let change = positions.map(|position| (curvature(position) - sharpness).abs());
    let tolerance = change.fold(0.0, f64::max) + 4e-6 / (step * step);
    assert!(tolerance < 0.3 * sharpness, "{tolerance} of {sharpness}");
    assert!(
        (difference - sharpness).abs() <= tolerance,
        "{difference} instead of {sharpness} ± {tolerance}"
    );

    // On the pad it is offered, too, and undo leads back.
    window.harness.get_by_label("Second direction").click();
    window.harness.step();
    window.harness.step();
    window.click("eigenvector 2 of SWA");
    window.rest();
    assert_eq!(window.state().look.second, Basis::Eigenvector { set, index: 1 });
    window.key(Modifiers::COMMAND, Key::Z);
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.state().look.picture, Picture::Interpolation);
}

#[test]
fn it_is_found_while_the_page_is_looked_at_and_goes_on_where_it_was_left() {
    if !adapter() {
        return;
    }
    let mut window = page(slow());
    // Without an average one stands at the last snapshot.
    assert_eq!(window.state().look.anchor, Anchor::Current);
    window.number("Number of largest eigenvalues", 32.0);
    window.number("Number of smallest eigenvalues", 32.0);
    window
        .harness
        .get_by_role_and_label(Role::CheckBox, "All images")
        .click();
    let view = |state: &State| {
        let view = state.curvature_view();
        view.filter(|view| (view.request.largest, view.images[0]) == (32, 3000))
    };
    let steps = move |state: &State| view(state).map_or(0, |view| view.steps);
    window.until("estimates are there", |state| steps(state) >= 2);
    assert!(window.state().is_finding_curvature());
    let early = view(window.state()).unwrap();
    assert!(!early.finished && !early.converged && early.eigenvectors.is_none());
    assert_eq!(early.largest.len(), early.steps.min(32));
    // What cannot be looked along yet cannot be clicked.
    let look = window.harness.get_by_role_and_label(Role::Button, "Look along λ₁");
    assert!(look.accesskit_node().is_disabled());

    window.key(Modifiers::NONE, Key::C);
    assert_eq!(window.state().page, Page::Explore);
    window.until("it has stopped", |state| view(state).is_some_and(|view| view.finished));
    let left = steps(window.state());
    let angle = window.state().look.angle;
    window.key(Modifiers::NONE, Key::ArrowUp);
    assert_ne!(window.state().look.angle, angle);
    window.until("the slice is served meanwhile", is_complete);
    assert_eq!(steps(window.state()), left);
    assert!(view(window.state()).unwrap().eigenvectors.is_none());

    window.click("Curvature");
    window.until("it goes on", |state| steps(state) > left);
    window.click("Stop the curvature");
    window.until("it is stopped", |state| view(state).is_some_and(|view| view.finished));
    let stopped = steps(window.state());
    assert!(stopped > left && !window.state().is_finding_curvature());
    window.harness.get_by_label_contains("stopped after");
    window.rest();
    assert_eq!(steps(window.state()), stopped);

    // Another point begins by itself.
    window.click("Epoch");
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Epoch of the point")
        .set_value_accesskit(0.0);
    window.until("the spectrum of the initial weights has begun", |state| {
        view(state).is_some_and(|view| view.origin == "epoch 0" && view.steps >= 1)
    });
    window.key(Modifiers::NONE, Key::Escape);
    window.until("Escape stops it", |state| view(state).is_some_and(|view| view.finished));
}

/// Where the two bounds are on screen: the upright one, and the level one.
fn bounds(window: &Window) -> (Pos2, Pos2) {
    let rect = window.rect(DIAGRAM);
    let bounds = &window.state().curvature.bounds;
    let sgd = Sgd::new(bounds.learning_rate, bounds.batch_size, 40).unwrap();
    let x = (sgd.sharpness_bound() / bounds.frame[0]) as f32;
    let y = (sgd.non_uniformity_bound() / bounds.frame[1]) as f32;
    let upright = pos2(rect.left() + x * rect.width(), rect.bottom() - 0.3 * rect.height());
    let level = pos2(rect.left() + 0.3 * rect.width(), rect.bottom() - y * rect.height());
    (upright, level)
}

#[test]
fn the_bounds_follow_the_hand_and_the_non_uniformity_is_estimated() {
    if !adapter() {
        return;
    }
    let mut window = page(perceptron());
    found(&mut window);
    let state = window.state();
    // Those of the run's last epoch.
    assert_eq!(
        (state.curvature.bounds.learning_rate, state.curvature.bounds.batch_size),
        (0.02, 8)
    );
    window.harness.get_by_label_contains("It used momentum");

    let rect = window.rect(DIAGRAM);
    let frame = window.state().curvature.bounds.frame;
    let (upright, _) = bounds(&window);
    let to = upright - egui::vec2(70.0, 0.0);
    window.pull(HAND, upright, to);
    let a = f64::from((to.x - rect.left()) / rect.width()) * frame[0];
    let rate = window.state().curvature.bounds.learning_rate;
    // Three digits, and a position of single precision.
    assert!((rate * a / 2.0 - 1.0).abs() < 6e-3, "{rate} for {a}");
    assert!(rate > 0.02);

    let frame = window.state().curvature.bounds.frame;
    let (_, level) = bounds(&window);
    let to = level + egui::vec2(0.0, 60.0);
    window.pull(HAND, level, to);
    let s = f64::from((rect.bottom() - to.y) / rect.height()) * frame[1];
    let sgd = Sgd::new(rate, 8, 40).unwrap();
    let expected = sgd.with_non_uniformity_bound(s).unwrap().batch_size();
    let batch = window.state().curvature.bounds.batch_size;
    assert!(
        batch < 8 && batch.abs_diff(expected) <= 1,
        "{batch} instead of {expected}"
    );
    assert_eq!(window.state().curvature.bounds.learning_rate, rate);

    // A drag elsewhere changes nothing, and one click brings the run's own back.
    let (upright, level) = bounds(&window);
    let elsewhere = pos2(upright.x - 60.0, level.y + 60.0);
    window.pull(HAND, elsewhere, elsewhere + egui::vec2(30.0, 10.0));
    let bounds = &window.state().curvature.bounds;
    assert_eq!((bounds.learning_rate, bounds.batch_size), (rate, batch));
    window.click("The run's");
    let bounds = &window.state().curvature.bounds;
    assert_eq!((bounds.learning_rate, bounds.batch_size), (0.02, 8));
    window.number("Learning rate of the bounds", 1e4);
    window.rest();
    window.harness.get_by_label_contains("not even gradient descent");
    window.number("Learning rate of the bounds", 1e-6);
    window.rest();
    window.harness.get_by_label_contains("estimate s to see");

    window.number("Images of the estimate", 16.0);
    window.click("Estimate s");
    window.until("it is estimated", |state| {
        let view = state.curvature_view();
        view.is_some_and(|view| view.finished && view.non_uniformity.is_some())
    });
    let view = window.state().curvature_view().unwrap();
    assert_eq!(
        (view.request.uniformity, view.trace.map(|trace| trace.samples)),
        (Some(16), Some(20))
    );
    let known = view.non_uniformity.unwrap();
    assert!(known.value > 0.0 && known.squared.samples == 4);
    window.harness.get_by_label_contains("within both bounds of (9)");
}

#[test]
fn without_a_run_the_page_says_what_to_do() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(folder.path(), None);
    window.harness.step();
    window.click("Curvature");
    assert_eq!(window.state().page, Page::Curvature);
    window.harness.get_by_label("No point to measure yet");
    window.harness.get_by_role_and_label(Role::Button, "Train the example");
    window.click("Go to the stage");
    assert_eq!(window.state().page, Page::Explore);
    window.harness.get_by_label("No valley in sight yet");
    // The keys of both pages lead there and back, and from one to the other.
    for (key, page) in [
        (Key::C, Page::Curvature),
        (Key::E, Page::Experiments),
        (Key::C, Page::Curvature),
        (Key::C, Page::Explore),
        (Key::E, Page::Experiments),
        (Key::E, Page::Explore),
    ] {
        window.key(Modifiers::NONE, key);
        assert_eq!(window.state().page, page);
    }
}
