//! The page of experiments in the window: what it lists, makes, stops, shows and leads to.

#[path = "common/window.rs"]
mod driver;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driver::{Window, adapter};
use egui::accesskit::Role;
use egui::{Key, Modifiers, Rect, Vec2};
use egui_kittest::kittest::Queryable;
use valleyscope::app::{Page, Picture, State};
use valleyscope::data::Dataset;
use valleyscope::engine::{Anchor, SurfaceChoice, View};
use valleyscope::experiment::cost::Cost;
use valleyscope::experiment::laboratory::{RUNS, Which};
use valleyscope::experiment::outcome::{
    Answer, Content, Figure, Made, Outcome, Place, PlaceView, Series, THUMBNAIL, Table, Verdict,
};
use valleyscope::experiment::recipe::Recipe;
use valleyscope::landscape::{Basis, DirectionKind, Grid, Line, SurfaceRecord, direction};
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Measurement, Objective, Quality};
use valleyscope::training::{RunFolder, TrainingOptions};

/// Folder of experiments of a window whose runs go to `runs`.
fn experiments(runs: &Path) -> PathBuf {
    runs.join("experiments")
}

/// A window with the page open.
fn page(runs: &Path) -> Window {
    let mut window = Window::open(runs, None);
    window.harness.step();
    window.key(Modifiers::NONE, Key::E);
    assert_eq!(window.state().page, Page::Experiments);
    window
}

/// Puts an experiment on the page.
#[track_caller]
fn choose(window: &mut Window, name: &str) {
    let title = Recipe::named(name).unwrap().title;
    window
        .harness
        .get_by_role_and_label(Role::Button, &title)
        .click_accesskit();
    window.harness.step();
    window.harness.step();
    assert_eq!(window.state().experiments.on_page().unwrap().name, name);
}

fn is_made(state: &State, name: &str) -> bool {
    state.experiments.made.contains_key(name) && state.experiments.running.is_none()
}

fn failures(state: &State) -> Vec<&str> {
    let failed = state.notices.iter().filter(|notice| notice.failed);
    failed.map(|notice| notice.text.as_str()).collect()
}

#[test]
fn all_experiments_are_listed_and_one_is_made_shown_and_found_again() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = page(folder.path());
    let recipes = Recipe::built_in().unwrap();
    for recipe in &recipes {
        window.harness.get_by_role_and_label(Role::Button, &recipe.title);
    }
    // On a first visit it says what it is and where it writes.
    let place = experiments(folder.path()).display().to_string();
    assert!(window.harness.query_all_by_label_contains(&place).count() >= 1);
    window.click("Explore");
    assert_eq!(window.state().page, Page::Explore);
    window.harness.get_by_label("No valley in sight yet");
    window.click("Experiments");
    assert_eq!(window.state().page, Page::Experiments);
    window.key(Modifiers::NONE, Key::E);
    assert_eq!(window.state().page, Page::Explore);
    window.key(Modifiers::NONE, Key::E);
    // The stage's keys are not the page's: without a run, Space would train one.
    window.key(Modifiers::NONE, Key::Space);
    assert_eq!(window.state().pending, None);

    window.until("the costs are known", |state| state.experiments.estimates.is_some());
    let known = |state: &State, name: &str| state.experiments.estimate(name).flatten().unwrap();
    assert!(known(window.state(), "interpolation").training > 0.0);
    assert_eq!(known(window.state(), "oscillation").training, 0.0);
    choose(&mut window, "oscillation");
    window.click("Run oscillation");
    window.until("it is made", |state| is_made(state, "oscillation"));
    assert_eq!(failures(window.state()), Vec::<&str>::new());
    let made = window.state().experiments.made["oscillation"].clone();
    assert_eq!(made.outcome.verdict.answer, Answer::Shown);
    // On the card and on the page.
    assert_eq!(window.harness.get_all_by_label("shown").count(), 2);
    window.harness.get_by_label(&made.outcome.verdict.measured);
    window.harness.get_by_label("Figure: Large rate");
    window.harness.get_by_label(&format!("1 of {} made", recipes.len()));
    window
        .harness
        .get_by_role_and_label(Role::Button, "Run again oscillation");
    for file in ["outcome.json", "README.md", "large-rate.svg", THUMBNAIL] {
        let file = experiments(folder.path()).join("oscillation").join(file);
        assert!(file.exists(), "{}", file.display());
    }

    drop(window);
    let mut window = page(folder.path());
    window.until("it is found again", |state| is_made(state, "oscillation"));
    // Numbers are written with twelve digits.
    let again = window.state().experiments.made["oscillation"].clone();
    assert_eq!(again.outcome.verdict, made.outcome.verdict);
    assert_eq!(again.outcome.figures.len(), made.outcome.figures.len());
    let title = Recipe::named("oscillation").unwrap().title;
    window
        .harness
        .get_by_role_and_label(Role::Button, &title)
        .scroll_to_me();
    window.rest();
    // The first figure in small is on its card: on paper, and so mostly white.
    let card = window.harness.get_by_role_and_label(Role::Button, &title).rect();
    let image = window.harness.render().unwrap();
    let picture = Rect::from_min_size(card.min, Vec2::new(170.0, card.height()));
    let mut white = 0;
    for y in picture.top() as u32..picture.bottom() as u32 {
        for x in picture.left() as u32..picture.right() as u32 {
            white += usize::from(image.get_pixel(x, y).0[..3].iter().all(|channel| *channel > 200));
        }
    }
    assert!(white > 6000, "{white} pixels of paper on the card at {card:?}");
}

#[test]
fn experiments_run_one_after_another_until_they_are_stopped() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = page(folder.path());
    choose(&mut window, "interpolation");
    window.click("Run interpolation");
    assert!(window.state().experiments.is_running("interpolation"));
    window.click("Run all");
    let all = window.state().experiments.recipes.len();
    assert_eq!(window.state().experiments.waiting.len(), all - 1);
    assert_eq!(window.harness.get_all_by_label("waiting").count(), all - 1);
    window.until("it trains", |state| {
        let status = state.experiments.status.as_ref();
        status.is_some_and(|status| status.name == "interpolation" && status.what.contains("training"))
    });
    // Escape is not meant for it, and on the stage it goes on in sight.
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.state().page == Page::Experiments && window.state().experiments.is_running("interpolation"));
    window.click("Explore");
    window
        .harness
        .get_by_label_contains("experiment: interpolation")
        .click();
    window.until("a click on it leads back", |state| state.page == Page::Experiments);
    window.click("Stop");
    window.until("it has stopped", |state| state.experiments.running.is_none());
    assert!(window.state().experiments.waiting.is_empty() && window.state().experiments.made.is_empty());
    assert_eq!(failures(window.state()), Vec::<&str>::new());
    let told = |state: &State| {
        state
            .notices
            .iter()
            .any(|notice| notice.text.contains("goes on there next time"))
    };
    assert!(told(window.state()), "{:?}", window.state().notices);
    let runs = std::fs::read_dir(experiments(folder.path()).join(RUNS)).unwrap();
    assert_eq!(runs.count(), 1);
    window.until("nothing is shown of it any more", |state| {
        state.experiments.status.is_none()
    });
}

const MODEL: &str = "resnet8:width=2";
const DATA: &str = "builtin:train=100:test=50";
const EPOCHS: usize = 6;

/// A figure of a curve, measured in a run of the folder.
fn figure(name: &str, place: Option<Place>) -> Figure {
    let series = |label: &str, shift: f64, dashed: bool| Series {
        label: label.to_owned(),
        points: (-20..=20)
            .map(|i| 0.1 * f64::from(i))
            .map(|x| (x, 0.2 + (x - shift).powi(2)))
            .collect(),
        dashed,
    };
    Figure {
        name: name.to_owned(),
        title: format!("A valley: {name}"),
        content: Content::Chart {
            x_label: "position l of w + l·u".to_owned(),
            y_label: "cross-entropy loss".to_owned(),
            series: vec![
                series("train", 0.0, false),
                series("test", 0.4, false),
                series("test, shifted", 0.1, true),
            ],
            marks: vec![(0.0, "SWA".to_owned())],
            footnote: "how it was made".to_owned(),
        },
        place,
    }
}

/// Writes an outcome as if the experiment of this name had been made.
fn keep(folder: &Path, name: &str, answer: Answer, figures: Vec<Figure>) {
    let outcome = Outcome {
        figures,
        tables: vec![Table {
            caption: "What was measured".to_owned(),
            header: ["seed", "shift"].map(str::to_owned).to_vec(),
            rows: [["1", "0.4"], ["2", "0.5"]]
                .map(|row| row.map(str::to_owned).to_vec())
                .to_vec(),
        }],
        verdict: Verdict {
            answer,
            measured: "For 2 of 2 seeds the test loss is the train loss, shifted by 0.45 ± 0.07.".to_owned(),
        },
    };
    let cost = Cost {
        training: 75.0,
        measuring: 40.0,
        memory: Some(200 << 20),
    };
    let recipe = Recipe::named(name).unwrap();
    Made::new(outcome, cost, &recipe).write(folder, &recipe).unwrap();
}

#[test]
fn a_figure_leads_to_the_run_and_the_look_that_it_was_measured_from() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = experiments(folder.path());
    std::fs::create_dir_all(place.join(RUNS)).unwrap();
    let run = place.join(RUNS).join("tiny");
    let options = TrainingOptions {
        epochs: EPOCHS,
        batch_size: 20,
        swa_start: 3,
        sgd_epochs: 2,
        ..TrainingOptions::default()
    };
    driver::train(&run, MODEL, DATA, &options);
    let at = |run: &str, solution: Which, view: PlaceView, policy: BatchNormPolicy| {
        Some(Place {
            run: run.to_owned(),
            solution,
            view,
            policy,
            reach: 1.5,
        })
    };
    let (batch, running) = (BatchNormPolicy::Batch, BatchNormPolicy::Running);
    let (bn, uniform, symmetric) = (
        DirectionKind::BatchNorm,
        DirectionKind::Uniform,
        DirectionKind::Symmetric,
    );
    let pair = [(uniform, 3), (symmetric, 4)];
    let recompute = BatchNormPolicy::Recompute;
    let places = [
        at("tiny", Which::Sgd, PlaceView::Direction(bn, 7), batch),
        at("tiny", Which::Swa, PlaceView::Comparison(pair), running),
        at("tiny", Which::Swa, PlaceView::Interpolation, recompute),
        at("tiny", Which::Last, PlaceView::Training(uniform, 2), running),
        at("gone", Which::Swa, PlaceView::Interpolation, recompute),
    ];
    let figures = places.into_iter().enumerate();
    let figures = figures
        .map(|(index, place)| figure(&format!("figure-{index}"), place))
        .collect();
    keep(&place, "interpolation", Answer::Shown, figures);

    let mut window = page(folder.path());
    window.until("the outcome is read", |state| is_made(state, "interpolation"));
    choose(&mut window, "interpolation");
    let explore = |window: &mut Window, index: usize| {
        let button = window
            .harness
            .get_all_by_role_and_label(Role::Button, "Explore on the stage")
            .nth(index)
            .unwrap();
        button.click_accesskit();
        window.harness.step();
        window.harness.step();
    };

    // The run is opened first.
    explore(&mut window, 0);
    window.until("the curve is complete on the stage", |state| {
        let slice = state
            .slice
            .as_ref()
            .filter(|slice| slice.level.full && slice.refining.is_none());
        slice.is_some_and(|slice| matches!(slice.request.view, View::Direction(_)))
    });
    let state = window.state();
    assert!(state.page == Page::Explore && state.run.as_ref().unwrap().path == run);
    assert_eq!(
        (state.look.picture, state.look.anchor),
        (Picture::Direction, Anchor::Sgd)
    );
    let slice = state.slice.as_ref().unwrap();
    assert_eq!(slice.request, state.looked_at().unwrap());
    assert_eq!((slice.request.policy, slice.request.range), (batch, (-1.5, 1.5)));
    let View::Direction(turn) = slice.request.view else {
        panic!("a direction: {:?}", slice.request.view);
    };
    assert_eq!((turn.first, turn.angle), (Basis::Random(bn, 7), 0.0));
    assert_ne!(turn.first, turn.second);
    // It is the curve: the loss at its end is that of the point where an experiment measures it.
    let data = Arc::new(Dataset::open(DATA).unwrap());
    let graph = Arc::new(zoo::build(MODEL, data.shape, data.classes.len()).unwrap());
    let objective = Objective::usual(graph, data, driver::compute()).unwrap();
    let solution = RunFolder::open(&run)
        .unwrap()
        .solution(objective.graph(), "sgd")
        .unwrap();
    let unit = direction::random(objective.graph(), bn, 7).unwrap();
    let line = Line::ray(Arc::new(solution), Arc::new(unit));
    let expected = objective
        .evaluate(&line.point(1.5), &line.origin.statistics, batch)
        .unwrap()[0];
    let found = slice.lines[0].record.curve.at(1.5).unwrap();
    for (found, expected) in [
        (found.train.loss, expected.train.loss),
        (found.test.loss, expected.test.loss),
    ] {
        // The pad makes the direction of unit length once more: a rounding of single precision.
        assert!((found - expected).abs() < 1e-4 * expected, "{found}, not {expected}");
    }
    // As any other look it can be undone: what the run was opened with comes back.
    window.rest();
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.state().look.picture, Picture::Interpolation);
    window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(window.state().look.first, Basis::Random(bn, 7));

    // Where it is open already, one is there at once.
    window.key(Modifiers::NONE, Key::E);
    explore(&mut window, 1);
    let request = window.state().looked_at().unwrap();
    let [first, second] = pair.map(|(kind, seed)| Basis::Random(kind, seed));
    assert!(matches!(request.view, View::Comparison(one, other, _) if (one, other) == (first, second)));
    assert_eq!((request.anchor, request.policy), (Anchor::Swa, running));
    window.key(Modifiers::NONE, Key::E);
    explore(&mut window, 2);
    let request = window.state().looked_at().unwrap();
    assert_eq!((request.view, request.policy), (View::Interpolation, recompute));
    window.key(Modifiers::NONE, Key::E);
    explore(&mut window, 3);
    let request = window.state().looked_at().unwrap();
    assert_eq!(request.anchor, Anchor::Epoch(EPOCHS));
    let through = request.surface.unwrap().choice;
    assert!(matches!(through, SurfaceChoice::Through(turn) if turn.first == Basis::Random(uniform, 2)));

    // A run that is not there any more is told, and one stays on the page.
    window.key(Modifiers::NONE, Key::E);
    explore(&mut window, 4);
    window.until("it is told", |state| !failures(state).is_empty());
    assert!(
        failures(window.state())[0].contains("no such file"),
        "{:?}",
        failures(window.state())
    );
    let state = window.state();
    assert!(state.page == Page::Experiments && state.experiments.visiting.is_none());
    assert_eq!(state.run.as_ref().unwrap().path, run);
}

/// A surface whose values are known.
fn valley() -> Figure {
    let first: Vec<f64> = (0..33).map(|i| -2.0 + 0.125 * f64::from(i)).collect();
    let second: Vec<f64> = (0..17).map(f64::from).collect();
    let mut grid = Grid::new(first, second);
    for index in 0..grid.values.len() {
        let [l, t] = grid.position(index);
        let loss = 0.3 + 2.0 / (1.0 + t) + (l - 0.5).powi(2) * (1.0 + 0.5 * l);
        let train = Quality { loss, accuracy: 0.5 };
        grid.values[index] = Some(Measurement { train, test: train });
    }
    Figure {
        name: "surface".to_owned(),
        title: "A valley through training".to_owned(),
        content: Content::Surface(Box::new(SurfaceRecord {
            axes: ["position l of w_t + l·u", "epoch t"].map(str::to_owned),
            grid,
            ..SurfaceRecord::default()
        })),
        place: None,
    }
}

#[test]
fn the_page_looks_as_it_did_and_a_figure_takes_all_of_it() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = experiments(folder.path());
    let answers = [Answer::Shown, Answer::PartlyShown, Answer::NotShown];
    for (index, recipe) in Recipe::built_in().unwrap().iter().enumerate() {
        let figures = match index {
            0 => vec![figure("curves", None), valley(), figure("more-curves", None)],
            1 => vec![valley()],
            _ => vec![figure("curves", None)],
        };
        keep(&place, &recipe.name, answers[index % 3], figures);
    }
    let paper = image::RgbImage::from_fn(320, 200, |x, y| {
        let line = (f64::from(x) / 16.0 - 10.0).powi(2) * 2.0;
        let on_line = (f64::from(y) - (190.0 - line)).abs() < 3.0;
        image::Rgb(if on_line { [0, 114, 178] } else { [255; 3] })
    });
    let first = &Recipe::built_in().unwrap()[0].name;
    paper.save(place.join(first).join(THUMBNAIL)).unwrap();

    let mut window = page(folder.path());
    let all = Recipe::built_in().unwrap().len();
    window.until("all outcomes and costs are there", |state| {
        state.experiments.made.len() == all && state.experiments.estimates.is_some()
    });
    // What it takes is another time on every machine.
    let button = window.rect(&format!("Run again {first}"));
    let row = Rect::from_min_max(button.min - Vec2::splat(3.0), egui::pos2(1280.0, button.bottom() + 3.0));
    window.harness.mask(row);
    window.snapshot("experiments");
    let results = window.harness.take_snapshot_results();

    let figure = window.rect("Figure: A valley: curves");
    window.click_at(figure.center(), 1);
    assert_eq!(window.state().experiments.enlarged.as_deref(), Some("curves"));
    let large = window.rect("Figure: A valley: curves");
    assert!(large.width() > 1.3 * figure.width(), "{large:?}, before {figure:?}");
    window.key(Modifiers::NONE, Key::Escape);
    assert_eq!(window.state().experiments.enlarged, None);
    assert_eq!(window.state().page, Page::Experiments);
    // A surface is drawn in colours, on a page of its own and with values under the pointer.
    choose(&mut window, &Recipe::built_in().unwrap()[1].name);
    window.click("Enlarge");
    let map = window.rect("Figure: A valley through training");
    let image = window.harness.render().unwrap();
    let mut seen = std::collections::HashSet::new();
    for y in (map.top() as u32..map.bottom() as u32).step_by(4) {
        for x in (map.left() as u32..map.right() as u32).step_by(4) {
            seen.insert(image.get_pixel(x, y).0);
        }
    }
    assert!(seen.len() > 100, "{} colours", seen.len());
    let told = window.tooltip(map.center(), "train loss");
    // At l = 0 and t = 8.
    let value: f64 = told.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((value - 0.772).abs() < 0.02, "{told}");
    window.click("Back");
    assert_eq!(window.state().experiments.enlarged, None);
    results.unwrap();
}
