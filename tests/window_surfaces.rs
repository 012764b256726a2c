//! Planes and surfaces through training in the window: put on the stage, refined, compared with what is known of them.

#[path = "common/window.rs"]
mod driver;
#[path = "window_surfaces/lost_device.rs"]
mod lost_device;
#[path = "window_surfaces/map.rs"]
mod map;
#[path = "window_surfaces/presets.rs"]
mod presets;
#[path = "window_surfaces/relief.rs"]
mod relief;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use driver::{Window, adapter};
use egui::accesskit::Role;
use egui::{Key, Modifiers, Pos2, Rect, pos2};
use egui_kittest::kittest::{NodeT, Queryable};
use valleyscope::app::{Picture, State};
use valleyscope::data::Part;
use valleyscope::engine::{Anchor, SurfaceChoice, View};
use valleyscope::landscape::Quantity;
use valleyscope::training::TrainingOptions;

/// Accessible names of the pictures.
const MAP: &str = "Map of train loss";
const RELIEF: &str = "Relief of train loss";

/// Epochs of the runs, and of SGD from their averages.
const EPOCHS: usize = 6;
const SGD_EPOCHS: usize = 2;

/// A run of a perceptron: a smooth surface in a second or two. More images than the first pass takes.
fn run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    let rates = TrainingOptions {
        learning_rate: 0.02,
        swa_learning_rate: 0.02,
        ..TrainingOptions::default()
    };
    RUN.get_or_init(|| trained("perceptron", "mlp:8", "builtin:train=140:test=60", rates))
}

/// Trains a run in a folder of its own, in place of that of the last time.
fn trained(name: &str, model: &str, data: &str, rates: TrainingOptions) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("window_surfaces");
    std::fs::create_dir_all(&all).unwrap();
    let folder = all.join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    let options = TrainingOptions {
        epochs: EPOCHS,
        batch_size: 20,
        swa_start: 3,
        sgd_epochs: SGD_EPOCHS,
        ..rates
    };
    driver::train(&folder, model, data, &options);
    folder
}

/// A window with a run or a checkpoint, and something of the plane on its stage.
fn plane_of(path: &Path) -> Window {
    let mut window = Window::open(Path::new("runs"), Some(path));
    window.until("it is open", |state| state.run.is_some());
    window.key(Modifiers::NONE, Key::Num4);
    window.until("the plane is drawn", is_drawn);
    window
}

/// Whether the curves and the surface on the stage are those that are looked at, and something of both is measured.
fn is_drawn(state: &State) -> bool {
    let wanted = state.looked_at();
    let slice = state.slice.as_ref().map(|slice| &slice.request);
    let surface = state.surface.as_ref().filter(|view| view.record.grid.measured() > 0);
    wanted.is_some()
        && slice == wanted.as_ref()
        && surface.map(|view| view.request) == wanted.and_then(|request| request.surface)
}

/// Whether all of it is measured to the end.
fn is_complete(state: &State) -> bool {
    is_drawn(state)
        && state
            .slice
            .as_ref()
            .is_some_and(|slice| slice.level.full && slice.refining.is_none())
        && state
            .surface
            .as_ref()
            .is_some_and(|view| view.full && view.refining.is_none())
}

/// Train losses of the two curves through the marked point at that point.
#[track_caller]
fn at_mark(state: &State) -> [f64; 2] {
    let slice = state.slice.as_ref().unwrap();
    let View::Marginals(marginals) = slice.request.view else {
        panic!("no curves through a point: {:?}", slice.request.view);
    };
    [0, 1].map(|index| {
        let curve = &slice.lines[index].record.curve;
        curve.at(marginals.position(index)).unwrap().train.loss
    })
}

/// How far a value is from the drawn surface of the train loss, as a share of the surface's height; nothing outside it.
#[track_caller]
fn off_surface(state: &State, position: [f64; 2], loss: f64) -> Option<f64> {
    let view = state.surface.as_ref().unwrap();
    let heights = view.field(Quantity::TrainLoss).unwrap().heights(state.scale);
    let [low, high, drawn, loss] =
        [heights.range.0, heights.range.1, heights.value(position)?, loss].map(|value| heights.height.of(value));
    Some((drawn - loss).abs() / (high - low))
}

/// The largest such share along a curve through the marked point.
#[track_caller]
fn curve_off_surface(state: &State, index: usize) -> f64 {
    let slice = state.slice.as_ref().unwrap();
    let View::Marginals(marginals) = slice.request.view else {
        panic!("no curves through a point: {:?}", slice.request.view);
    };
    let (along, foot) = (marginals.along(index), marginals.foot(index));
    let shares: Vec<f64> = slice.lines[index]
        .record
        .curve
        .losses(Part::Train)
        .filter_map(|(s, loss)| off_surface(state, [foot[0] + s * along[0], foot[1] + s * along[1]], loss))
        .collect();
    assert!(shares.len() > 20, "{} measured points on the surface", shares.len());
    shares.into_iter().fold(0.0, f64::max)
}

#[track_caller]
fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

/// The map on screen: its place, and the positions at its left, bottom, right and top.
#[derive(Clone, Copy, Debug)]
struct Map {
    rect: Rect,
    edges: [f64; 4],
}

impl Map {
    /// The map as it is seen once the wheel has been turned over it a little: that says which part of it is seen.
    #[track_caller]
    fn of(window: &mut Window) -> Self {
        let middle = window.rect(MAP).center();
        window.wheel(middle, 4.0);
        Self::seen(window)
    }

    /// The map as it is seen.
    #[track_caller]
    fn seen(window: &Window) -> Self {
        Self {
            rect: window.rect(MAP),
            edges: window.state().look.surface.window.expect("a part of the plane is seen"),
        }
    }

    fn place(&self, [a, b]: [f64; 2]) -> Pos2 {
        let [left, bottom, right, top] = self.edges;
        pos2(
            self.rect.left() + ((a - left) / (right - left)) as f32 * self.rect.width(),
            self.rect.bottom() - ((b - bottom) / (top - bottom)) as f32 * self.rect.height(),
        )
    }

    fn position(&self, at: Pos2) -> [f64; 2] {
        let [left, bottom, right, top] = self.edges;
        let share = (at - self.rect.min) / self.rect.size();
        [
            left + f64::from(share.x) * (right - left),
            top - f64::from(share.y) * (top - bottom),
        ]
    }

    /// Where the handle of a curve through `mark` at an angle ends: 0.36 of the shorter side away.
    fn handle(&self, mark: [f64; 2], angle: f64) -> Pos2 {
        let (at, reach) = (self.place(mark), 0.36 * self.rect.width().min(self.rect.height()));
        at + (self.place([mark[0] + angle.cos(), mark[1] + angle.sin()]) - at).normalized() * reach
    }
}

#[test]
fn keys_and_buttons_put_surfaces_on_the_stage_and_the_stage_on_the_whole_screen() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    assert_eq!(window.state().look.picture, Picture::Plane);
    assert_eq!(window.state().look.anchor, Anchor::Swa);
    let width = window.rect(MAP).width();
    window.harness.get_by_label(RELIEF);
    window.key(Modifiers::NONE, Key::F);
    assert!(window.state().full_stage);
    assert!(window.harness.query_by_label("Path to open").is_none());
    assert!(window.rect(MAP).width() > width + 150.0);
    window.key(Modifiers::NONE, Key::F);
    window.harness.get_by_label("Path to open");
    assert!((window.rect(MAP).width() - width).abs() < 1.0);

    window.key(Modifiers::NONE, Key::Num5);
    window.until("the surface through training is drawn", is_drawn);
    assert_eq!(window.state().look.picture, Picture::Through);
    window.click("Plane");
    window.until("the plane is drawn again", is_drawn);
    assert_eq!(window.state().look.picture, Picture::Plane);
    window.click("Training");
    window.until("the surface through training is drawn again", is_drawn);
    assert_eq!(window.state().look.picture, Picture::Through);
    window.click("Map");
    window.harness.get_by_label(MAP);
    assert!(window.harness.query_by_label(RELIEF).is_none());
    window.click("Relief");
    window.harness.get_by_label(RELIEF);
    assert!(window.harness.query_by_label(MAP).is_none());
}

#[test]
fn without_a_run_the_stage_stays_empty() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(folder.path(), None);
    let look = window.state().look.clone();
    for key in [Key::Num4, Key::Num5, Key::Enter, Key::ArrowRight, Key::F, Key::F] {
        window.key(Modifiers::NONE, key);
        window.harness.get_by_label("No valley in sight yet");
    }
    assert_eq!(window.state().look, look);
    for picture in ["Plane", "Training"] {
        let button = window.harness.get_by_role_and_label(Role::Button, picture);
        assert!(button.accesskit_node().is_disabled(), "{picture}");
    }
}

#[test]
fn a_checkpoint_has_planes_and_no_surface_through_training() {
    if !adapter() {
        return;
    }
    let file = run().join("swa.safetensors");
    let mut window = Window::open(Path::new("runs"), Some(&file));
    window.until("the checkpoint is open", State::is_checkpoint);
    window.key(Modifiers::NONE, Key::Num5);
    assert_eq!(window.state().look.picture, Picture::Direction);
    let button = window.harness.get_by_role_and_label(Role::Button, "Training");
    assert!(button.accesskit_node().is_disabled());
    let missing = "a checkpoint has no trajectory; train, or open a run folder, to scrub through one";
    window.harness.get_by_label(missing);

    window.key(Modifiers::NONE, Key::Num4);
    window.until("the plane is complete", is_complete);
    let record = &window.state().surface.as_ref().unwrap().record;
    assert!(record.trajectory.is_empty());
    assert_eq!(record.solutions.len(), 1);
    for preset in ["Trajectory", "3 solutions"] {
        let button = window.harness.get_by_role_and_label(Role::Button, preset);
        assert!(button.accesskit_node().is_disabled(), "{preset}");
    }
    // What steps through a trajectory leaves the point where it is.
    let map = Map::of(&mut window);
    window.click_at(map.place([0.5, 0.5]), 1);
    let look = window.state().look.clone();
    assert_ne!(look.surface.mark, [0.0; 2]);
    for key in [Key::ArrowLeft, Key::ArrowRight, Key::Space] {
        window.key(Modifiers::NONE, key);
    }
    assert_eq!(window.state().look, look);
}

#[test]
fn a_plane_is_refined_from_a_coarse_one_to_every_image() {
    if !adapter() {
        return;
    }
    let mut window = Window::open(Path::new("runs"), Some(run()));
    window.until("the run is open", |state| state.run.is_some());
    window.key(Modifiers::NONE, Key::Num4);
    let seen = RefCell::new(Vec::new());
    window.until("the plane is complete", |state| {
        let view = state.surface.as_ref().filter(|view| view.record.grid.measured() > 0);
        if let Some(view) = view {
            seen.borrow_mut()
                .push((view.record.grid.first.len(), view.images, view.full));
        }
        is_complete(state)
    });
    let seen = seen.into_inner();
    let (nodes, images, full) = seen[0];
    assert!(nodes < 20 && images[0] <= 128 && !full, "{:?}", seen[0]);
    assert_eq!(seen[seen.len() - 1], (65, [140, 60], true));
    for pair in seen.windows(2) {
        assert!(pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1, "{pair:?}");
    }
    // It is evaluated where it is curved, and everything is drawn.
    let view = window.state().surface.as_ref().unwrap();
    assert!((81..=65 * 65).contains(&view.record.grid.measured()));
    let field = view.field(Quantity::TrainLoss).unwrap();
    assert!(field.values.iter().all(|value| value.is_finite()));
}

#[test]
fn rows_of_the_surface_through_training_are_the_slices_of_its_epochs() {
    if !adapter() {
        return;
    }
    let mut window = Window::open(Path::new("runs"), Some(run()));
    window.until("the run is open", |state| state.run.is_some());
    window.key(Modifiers::NONE, Key::Num5);
    window.until("it is complete", is_complete);
    let view = window.state().surface.clone().unwrap();
    assert!(matches!(view.request.choice, SurfaceChoice::Through(_)));
    let grid = &view.record.grid;
    let epochs: Vec<f64> = (0..=EPOCHS + SGD_EPOCHS).map(|epoch| epoch as f64).collect();
    assert_eq!(grid.second, epochs);

    // A click on the map goes to its epoch; the curve below is that row.
    let map = Map::of(&mut window);
    window.click_at(map.place([0.5, 3.0]), 1);
    assert_eq!(window.state().look.anchor, Anchor::Epoch(3));
    window.until("the slice of the third epoch is complete", is_complete);
    let slice = window.state().slice.clone().unwrap();
    assert!(matches!(slice.request.view, View::Direction(_)));
    let mut met = 0;
    for (l, loss) in slice.lines[0].record.curve.losses(Part::Train) {
        let column = grid.first.iter().position(|position| (position - l).abs() < 1e-9);
        let measured = column.and_then(|column| grid.values[3 * grid.first.len() + column]);
        if let Some(measured) = measured {
            assert_close(loss, measured.train.loss, 1e-5 * loss);
            met += 1;
        }
    }
    assert!(met >= 9, "{met} points of the row are measured");
    let losses: Vec<f64> = (0..=EPOCHS)
        .filter_map(|row| grid.values[row * grid.first.len() + grid.first.len() / 2])
        .map(|measured| measured.train.loss)
        .collect();
    assert!(losses[losses.len() - 1] < losses[0], "the valley sinks: {losses:?}");
    window.key(Modifiers::NONE, Key::ArrowLeft);
    assert_eq!(window.state().look.anchor, Anchor::Epoch(2));
}

#[test]
fn a_plane_and_a_surface_through_training_look_as_they_did() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    window.click("Trajectory");
    window.until("its ranges are known", |state| state.look.surface.ranges.is_some());
    window.until("the plane is complete", is_complete);
    window.harness.remove_cursor();
    window.rest();
    window.snapshot("plane");
    window.key(Modifiers::NONE, Key::Num5);
    window.click("Relief");
    window.until("the surface is complete", is_complete);
    window.harness.remove_cursor();
    window.rest();
    window.snapshot("training_surface");
}

#[test]
fn escape_stops_a_surface_and_it_goes_on_when_asked() {
    if !adapter() {
        return;
    }
    let mut window = Window::open(Path::new("runs"), Some(run()));
    window.until("the run is open", |state| state.run.is_some());
    window.key(Modifiers::NONE, Key::Num4);
    window.harness.get_by_label("evaluate every point").click();
    window.until("the slice is complete and the surface is not", |state| {
        let slice = state.slice.as_ref().is_some_and(|slice| slice.refining.is_none());
        let surface = state.surface.as_ref().filter(|view| view.refining.is_some());
        slice && surface.is_some_and(|view| view.record.grid.measured() > 0)
    });
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.state().stopped);
    window.click("Evaluate again");
    window.until("the surface is complete", is_complete);
    let grid = &window.state().surface.as_ref().unwrap().record.grid;
    assert_eq!(grid.measured(), grid.values.len());
}
