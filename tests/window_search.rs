//! The search for asymmetric directions: what it finds is what the library finds, in the window it is a click away, and
//! it ends when told to.

#[path = "common/window.rs"]
mod driver;
#[path = "common/engine.rs"]
mod engine;
#[path = "window_search/worker.rs"]
mod worker;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use driver::{Window, adapter, compute, is_complete};
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use valleyscope::app::{Picture, State};
use valleyscope::data::{Dataset, Part};
use valleyscope::engine::{Anchor, SearchRequest, View};
use valleyscope::landscape::asymmetry::{Draw, Summary};
use valleyscope::landscape::line::positions;
use valleyscope::landscape::sweep::SweepRequest;
use valleyscope::landscape::{Basis, Certificate, DirectionKind, Line, Normalisation, Profile, Sweep, direction};
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Objective, Solution};
use valleyscope::training::{RunFolder, TrainingOptions};

/// More training images than a search uses, and fewer test images.
const MODEL: &str = "resnet8:width=2";
const DATA: &str = "builtin:train=1040:test=60";
const IMAGES: [usize; 2] = [1000, 60];

/// Accessible names.
const OPEN: &str = "Search for asymmetric directions";
const START: &str = "Start the search";
const STOP: &str = "Stop the search";

/// A small run with both solutions.
fn run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("window_search");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        let options = TrainingOptions {
            epochs: 4,
            batch_size: 65,
            swa_start: 2,
            sgd_epochs: 1,
            ..TrainingOptions::default()
        };
        driver::train(&folder, MODEL, DATA, &options);
        folder
    })
}

/// The same run without window and worker.
struct Library {
    objective: Objective,
    swa: Arc<Solution>,
}

impl Library {
    fn open() -> Self {
        let data = Arc::new(Dataset::open(DATA).unwrap());
        let graph = Arc::new(zoo::build(MODEL, data.shape, data.classes.len()).unwrap());
        let swa = RunFolder::open(run()).unwrap().solution(&graph, "swa").unwrap();
        Self {
            objective: Objective::usual(graph, data, compute()).unwrap(),
            swa: Arc::new(swa),
        }
    }

    /// What all directions of a search through `origin` amount to.
    fn summary(&self, request: &SearchRequest, origin: &Arc<Solution>) -> Summary {
        let seeds = request.first_seed..request.first_seed + request.draws;
        let draws: Vec<Draw> = seeds.map(|seed| self.draw(request, origin, seed)).collect();
        Summary::of(&draws, 5)
    }

    fn draw(&self, request: &SearchRequest, origin: &Arc<Solution>, seed: u64) -> Draw {
        let unit = direction::random(self.objective.graph(), request.kind, seed).unwrap();
        let sweep = Sweep::new(
            &self.objective,
            SweepRequest {
                slice: Line::ray(origin.clone(), Arc::new(unit)),
                positions: positions(-request.reach, request.reach, 41),
                policy: request.policy,
                samples: 1000,
            },
        );
        let curve = sweep.run(&self.objective, |_, _| true).unwrap();
        Draw {
            seed,
            certificate: Certificate::of(&Profile::of(&curve, Part::Train), request.width),
        }
    }
}

/// A window that stands at the average and looks along the pad's direction, with the search's window open.
fn searching_window() -> Window {
    let mut window = Window::open(Path::new("runs"), Some(run()));
    window.until("the run is open", |state| state.run.is_some());
    window.click("Direction");
    window.until("the slice is complete", is_complete);
    assert_eq!(window.state().look.anchor, Anchor::Swa);
    window.click(OPEN);
    window.rest();
    window
}

/// Directions measured so far.
fn done(state: &State) -> u64 {
    state.searched.as_ref().map_or(0, |view| view.done)
}

#[test]
fn a_search_lists_the_most_asymmetric_and_a_click_looks_along_one() {
    if !adapter() {
        return;
    }
    let mut window = searching_window();
    // Directions are drawn as the pad's first is, unless told otherwise.
    assert_eq!(window.state().look.first, Basis::Random(DirectionKind::BatchNorm, 1));
    assert_eq!(window.state().search.kind, DirectionKind::BatchNorm);
    window
        .harness
        .get_by_label_contains("Draws random directions through the point w");
    window.harness.get_by_label("Kind of direction").click();
    window.harness.step();
    window.harness.step();
    window.click("uniform");
    window.number("Number of draws", 4.0);
    window.number("First seed", 3.0);
    window.number("Least length of the interval", 0.45);
    window.click(START);
    window.until("all four directions are measured", |state| {
        done(state) == 4 && !state.is_searching()
    });
    let view = window.state().searched.clone().unwrap();
    let request = SearchRequest {
        session: window.state().run.as_ref().unwrap().session,
        anchor: Anchor::Swa,
        walk: Vec::new(),
        kind: DirectionKind::Uniform,
        first_seed: 3,
        draws: 4,
        policy: BatchNormPolicy::Running,
        reach: 3.0,
        width: 0.45,
    };
    assert_eq!(view.request, request);
    assert_eq!((view.origin.as_str(), view.points, view.images), ("SWA", 41, IMAGES));
    let library = Library::open();
    assert_eq!(view.summary, library.summary(&request, &library.swa));
    let best = &view.summary.best;
    assert!(!best.is_empty(), "the loss rises to one side of a solution");
    let c: Vec<f64> = best.iter().map(|draw| draw.certificate.unwrap().c).collect();
    assert!(c.windows(2).all(|pair| pair[0] >= pair[1]), "{c:?}");
    let share = format!("c > 2 for {:.0} % of 4 directions", 100.0 * view.summary.share);
    window.harness.get_by_label(&share);

    // From elsewhere, under another policy and along a turned direction, a click leads to what was measured.
    window.click("SGD");
    window.harness.get_by_label("Batch-norm policy").click();
    window.harness.step();
    window.harness.step();
    window.click("batch");
    window.rest();
    let before = window.state().look.clone();
    assert_eq!((before.anchor, before.policy), (Anchor::Sgd, BatchNormPolicy::Batch));
    let seed = best[0].seed;
    window
        .harness
        .get_by_label_contains(&format!("seed {seed}: c = "))
        .click();
    window.harness.step();
    window.rest();
    let look = &window.state().look;
    assert_eq!((look.picture, look.anchor), (Picture::Direction, Anchor::Swa));
    assert_eq!(
        (look.first, look.angle),
        (Basis::Random(DirectionKind::Uniform, seed), 0.0)
    );
    assert_eq!(
        (look.policy, look.normalisation),
        (BatchNormPolicy::Running, Normalisation::Unit)
    );
    window.until("the slice along it is there", |state| {
        state
            .slice
            .as_ref()
            .is_some_and(|slice| slice.request.view == View::Direction(state.look.turn()))
    });
    let label = window.state().slice.as_ref().unwrap().lines[0].record.label.clone();
    assert_eq!(label, format!("uniform (seed {seed})"));
    // What was found stays, and undo leads back.
    assert_eq!(window.state().searched.as_deref(), Some(&*view));
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.state().look, before);
}

#[test]
fn a_long_search_goes_on_behind_the_slice_and_ends_when_told() {
    if !adapter() {
        return;
    }
    let mut window = searching_window();
    window.number("Number of draws", 10_000.0);
    window.click(START);
    window.until("a direction is measured", |state| done(state) >= 1);
    // Looking elsewhere: the slice is there as ever, and then the search goes on.
    let angle = window.state().look.angle;
    window.key(Modifiers::NONE, Key::ArrowUp);
    assert_ne!(window.state().look.angle, angle);
    window.until("the slice that is looked at is complete", is_complete);
    assert!(window.state().is_searching());
    let before = done(window.state());
    window.until("the search goes on", |state| done(state) > before);
    window.click(STOP);
    window.until("the search has ended", |state| !state.is_searching());
    let view = window.state().searched.clone().unwrap();
    assert!(view.done > before && view.done < 10_000 && view.seconds_left.is_none());
    assert_eq!(view.summary.draws as u64, view.done);
    window
        .harness
        .get_by_label(&format!("stopped after {} of 10000", view.done));

    // Closed, it goes on; Escape ends it where nothing else is to be stopped.
    window.click(START);
    window.until("it searches again", State::is_searching);
    window.click(OPEN);
    assert!(!window.state().search.open && window.harness.query_by_label(STOP).is_none());
    assert!(window.state().is_searching() && is_complete(window.state()));
    window.key(Modifiers::NONE, Key::Escape);
    window.until("Escape has ended it", |state| !state.is_searching());
    assert!(done(window.state()) < 10_000);
    assert!(!window.state().stopped, "the slice was complete");
}
