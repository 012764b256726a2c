//! Everything a person can do, from keyboard, buttons and dialogs alike, applied in one place.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use egui::{Context, Key, Modifiers};

use super::checkpoint::CheckpointForm;
use super::experiments;
use super::export::{self, Effect};
use super::look::{Fit, Picture};
use super::page::Page;
use super::search::SearchForm;
use super::state::State;
use crate::checkpoint::Reference;
use crate::data::recognise;
use crate::engine::{Anchor, Request, TrainRequest};
use crate::experiment::outcome::Place;
use crate::landscape::{Basis, DirectionKind, Frame};
use crate::objective::{BatchNormPolicy, DeviceChoice};

/// Angle of one press of an arrow key.
const TURN_STEP: f64 = std::f64::consts::PI / 36.0;

/// Something a person does.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Train what the form says.
    Train,
    /// Open a run folder, or look into a checkpoint: a path, with `::key` an entry of it.
    Open(String),
    /// Choose a run folder in a dialog.
    ChooseRun,
    /// Choose a checkpoint file in a dialog.
    ChooseCheckpoint,
    /// Open what the checkpoint's form says.
    OpenCheckpoint,
    /// Leave the checkpoint aside.
    CloseCheckpoint,
    /// Choose the file of a direction in a dialog.
    ChooseDirection,
    /// Read a direction from a file, for the pad's first axis.
    ReadDirection(PathBuf),
    /// Choose the folder of a data set in a dialog.
    ChooseData,
    /// The data set that was chosen, where its files told which it is.
    DataChosen(Option<String>),
    /// Go on with the open run.
    Continue,
    /// Space: pause or go on training; otherwise play or hold the trajectory; without a run, train.
    PlayOrPause,
    /// End training.
    Stop,
    /// The next snapshot while playing.
    PlayStep,
    /// Go to the snapshot this many epochs further.
    StepEpoch(isize),
    /// Go to a snapshot.
    GoToEpoch(usize),
    /// Stand at a solution.
    Stand(Anchor),
    /// Turn the pad by an angle in radians.
    Turn(f64),
    /// Put a picture on the stage.
    Show(Picture),
    /// Take the marked position as the new point.
    Recentre,
    /// Put the slice between two positions of the plane on the stage.
    SliceAcross([f64; 2], [f64; 2]),
    /// Show the plane that the trajectory moves in most.
    TrajectoryPlane,
    /// Show the plane through SWA, SGD and the last iterate before averaging ended.
    SolutionsPlane,
    /// Give the stage the whole window, or take it back.
    FullStage,
    /// Stop playing and evaluating.
    Cancel,
    /// Evaluate the slice that was stopped.
    EvaluateAgain,
    /// Put tensors elsewhere.
    Device(DeviceChoice),
    /// Open or close the window of the search for asymmetric directions.
    ToggleSearch,
    /// Search for asymmetric directions through the point where one stands.
    Search(SearchForm),
    /// End the search; what it found stays.
    StopSearch,
    /// Look along a direction that was found, given its kind and seed, as it was measured.
    LookAlong(DirectionKind, u64),
    /// One look back.
    Undo,
    /// One look forth.
    Redo,
    /// Open or close the export window.
    ToggleExport,
    /// Choose the export file in a dialog.
    ChooseExport,
    /// The file that was chosen.
    ExportChosen(PathBuf),
    /// Write the export.
    Export,
    /// Dismiss a notice.
    Dismiss(usize),
    /// Put a page in the window; the stage, where it is there already.
    Page(Page),
    /// Find what the curvature's tab is about, anew where it was stopped.
    StartCurvature,
    /// Stop that; what is found stays, and it goes on there next time.
    StopCurvature,
    /// Look along an eigenvector that was found, given its number among them.
    LookAlongEigenvector(usize),
    /// Show the plane of two eigenvectors, given their numbers.
    EigenvectorPlane([usize; 2]),
    /// Make experiments of these names, one after another.
    RunExperiments(Vec<String>),
    /// Stop the experiment that runs and those that wait.
    StopExperiments,
    /// Go on with the next experiment: the one before has ended, or the device is another one.
    NextExperiment,
    /// Put what a figure was measured from on the stage.
    Visit(Place),
}

/// Keys and what they do; the same table makes the help text.
pub const KEYS: &[(&str, &str)] = &[
    ("Space", "play or pause"),
    ("← →", "step through the trajectory"),
    ("↑ ↓", "turn the direction by 5°"),
    ("1 2 3", "direction, comparison, interpolation"),
    ("4 5", "plane, slice through training"),
    ("F", "the stage alone, for talks"),
    ("C", "the curvature at a point, and back to the stage"),
    ("E", "the papers' experiments, and back to the stage"),
    ("Enter", "take the marked position as the new point w"),
    ("Ctrl+Z, Ctrl+Shift+Z", "undo, redo"),
    ("Ctrl+S", "export"),
    ("Ctrl+O", "open a checkpoint"),
    ("Escape", "cancel"),
];

/// Commands from the keyboard, unless a text field has it.
pub fn from_keyboard(context: &Context, state: &State) -> Vec<Command> {
    if context.egui_wants_keyboard_input() || state.export.open {
        return Vec::new();
    }
    let pages: Vec<Command> = context.input_mut(|input| {
        // A key held down repeats; going to and fro is not what it is held for.
        input.events.retain(|event| {
            !matches!(
                event,
                egui::Event::Key {
                    key: Key::Space | Key::C | Key::E,
                    repeat: true,
                    ..
                }
            )
        });
        let pressed = |page: &Page| page.key().is_some_and(|key| input.consume_key(Modifiers::NONE, key));
        Page::ALL.into_iter().filter(pressed).map(Command::Page).collect()
    });
    if !pages.is_empty() {
        return pages;
    }
    let steps = [
        (Modifiers::NONE, Key::ArrowLeft, Command::StepEpoch(-1)),
        (Modifiers::NONE, Key::ArrowRight, Command::StepEpoch(1)),
    ];
    if state.page != Page::Explore {
        // The other keys are the stage's, which the other pages cover.
        return match state.shows_along_run() {
            true => pressed(context, steps),
            false => Vec::new(),
        };
    }
    let table = [
        (Modifiers::COMMAND | Modifiers::SHIFT, Key::Z, Command::Redo),
        (Modifiers::COMMAND, Key::Y, Command::Redo),
        (Modifiers::COMMAND, Key::Z, Command::Undo),
        (Modifiers::COMMAND, Key::S, Command::ToggleExport),
        (Modifiers::COMMAND, Key::O, Command::ChooseCheckpoint),
        (Modifiers::NONE, Key::Space, Command::PlayOrPause),
        (Modifiers::NONE, Key::ArrowUp, Command::Turn(TURN_STEP)),
        (Modifiers::NONE, Key::ArrowDown, Command::Turn(-TURN_STEP)),
        (Modifiers::NONE, Key::Num1, Command::Show(Picture::Direction)),
        (Modifiers::NONE, Key::Num2, Command::Show(Picture::Comparison)),
        (Modifiers::NONE, Key::Num3, Command::Show(Picture::Interpolation)),
        (Modifiers::NONE, Key::Num4, Command::Show(Picture::Plane)),
        (Modifiers::NONE, Key::Num5, Command::Show(Picture::Through)),
        (Modifiers::NONE, Key::F, Command::FullStage),
        (Modifiers::NONE, Key::Enter, Command::Recentre),
    ];
    pressed(context, table.into_iter().chain(steps))
}

/// Commands of the keys in a table that are pressed.
fn pressed(context: &Context, table: impl IntoIterator<Item = (Modifiers, Key, Command)>) -> Vec<Command> {
    context.input_mut(|input| {
        let table = table.into_iter();
        let pressed = table.filter(|(modifiers, key, _)| input.consume_key(*modifiers, *key));
        pressed.map(|(_, _, command)| command).collect()
    })
}

/// Applies a command to the state and says what the worker is asked for.
pub fn apply(command: Command, state: &mut State, dialogs: &Sender<Command>) -> Vec<Effect> {
    match command {
        Command::Train => {
            let form = &state.form;
            if let Err(error) = form.options.check() {
                state.notice(error.to_string(), true);
                return Vec::new();
            }
            let folder = form.folder.trim();
            let request = TrainRequest {
                model: form.model.trim().to_owned(),
                data: form.data.trim().to_owned(),
                options: form.options.clone(),
                folder: (!folder.is_empty()).then(|| folder.into()),
                runs: state.runs.clone(),
            };
            state.playing = false;
            state.pending = Some("preparing the run …");
            return vec![Effect::Send(Request::Train(Box::new(request)))];
        }
        Command::Open(text) => {
            state.turn_to(Page::Explore);
            state.playing = false;
            state.pending = Some("opening …");
            return vec![Effect::Send(Request::Open(text))];
        }
        Command::OpenCheckpoint => {
            if let Some(request) = state.checkpoint.as_ref().and_then(CheckpointForm::request) {
                state.pending = Some("reading the data …");
                return vec![Effect::Send(Request::OpenCheckpoint(Box::new(request)))];
            }
        }
        Command::CloseCheckpoint => state.checkpoint = None,
        Command::ChooseDirection => {
            let chosen = rfd::AsyncFileDialog::new()
                .set_title("A direction, in state-dict parameter order")
                .add_filter("Direction", &["safetensors", "pt", "pth"])
                .pick_file();
            wait_for(dialogs, async move {
                chosen.await.map(|file| Command::ReadDirection(file.path().to_owned()))
            });
        }
        Command::ReadDirection(path) => {
            return vec![Effect::Send(Request::Direction(Reference { path, key: None }))];
        }
        Command::ChooseData => {
            let chosen = rfd::AsyncFileDialog::new()
                .set_title("The folder of the data set")
                .pick_folder();
            wait_for(dialogs, async move {
                chosen.await.map(|folder| Command::DataChosen(recognise(folder.path())))
            });
        }
        Command::DataChosen(Some(specification)) => match &mut state.checkpoint {
            Some(form) => form.data = specification,
            None => state.form.data = specification,
        },
        Command::DataChosen(None) => state.notice(
            "no known data set lies in this folder; write the data as family:path, such as cifar10:/data/cifar10",
            true,
        ),
        Command::ChooseCheckpoint => {
            let chosen = rfd::AsyncFileDialog::new()
                .set_title("Open a checkpoint")
                .add_filter("Checkpoint", &["pt", "pth", "tar", "t7", "ckpt", "bin", "safetensors"])
                .pick_file();
            wait_for(dialogs, async move {
                chosen
                    .await
                    .map(|file| Command::Open(file.path().display().to_string()))
            });
        }
        Command::Device(choice) => {
            state.pending = Some("opening the device …");
            return vec![Effect::Send(Request::Device(choice))];
        }
        Command::ChooseRun => {
            let chosen = rfd::AsyncFileDialog::new().set_title("Open a run folder").pick_folder();
            wait_for(dialogs, async move {
                chosen
                    .await
                    .map(|file| Command::Open(file.path().display().to_string()))
            });
        }
        Command::Continue => return vec![Effect::Send(Request::Continue)],
        Command::PlayOrPause if state.play_or_hold_curvature() || state.pending.is_some() => {}
        Command::PlayOrPause => match (&state.training, &state.run) {
            (Some(training), _) => return vec![Effect::Send(Request::Pause(!training.paused))],
            (None, Some(_)) => play_or_hold(state),
            (None, None) => return apply(Command::Train, state, dialogs),
        },
        Command::Stop => return vec![Effect::Send(Request::Stop)],
        Command::PlayStep => {
            let next = state.epoch() as usize + 1;
            if next > state.last_epoch() {
                state.playing = false;
            } else {
                go_to(state, next);
            }
        }
        Command::StepEpoch(step) => {
            state.playing = false;
            let epoch = (state.epoch().round() as isize + step).max(0) as usize;
            go_to(state, epoch.min(state.last_epoch()));
        }
        Command::GoToEpoch(epoch) => {
            state.playing = false;
            go_to(state, epoch.min(state.last_epoch()));
        }
        Command::Stand(anchor) => {
            state.playing = false;
            state.stand_at(anchor);
        }
        Command::Turn(by) => turn_to(state, state.look.angle + by),
        Command::Show(picture) => {
            let ready = state.run.as_ref().is_some_and(|run| match picture {
                Picture::Interpolation => run.swa && run.sgd,
                Picture::Through => !run.checkpoint,
                _ => true,
            });
            if ready {
                state.playing = false;
                state.show_picture(picture);
            }
        }
        Command::Recentre => state.recentre(),
        Command::SliceAcross(from, to) => state.slice_across(from, to),
        Command::TrajectoryPlane => {
            if let Some(run) = &state.run {
                let (snapshots, swa) = (run.snapshots, run.swa);
                let component = |component| Basis::Principal { component, snapshots };
                let anchor = if swa {
                    Anchor::Swa
                } else {
                    Anchor::Epoch(state.last_epoch())
                };
                state.show_plane(anchor, [component(0), component(1)], Frame::Given, Fit::Trajectory);
            }
        }
        Command::SolutionsPlane => {
            if let Some(run) = &state.run {
                let last = Basis::SwaToEpoch(run.record.options.epochs);
                state.show_plane(Anchor::Swa, [Basis::SwaToSgd, last], Frame::Orthonormal, Fit::Solutions);
                // Each solution with its own statistics, as in the papers.
                state.look.policy = BatchNormPolicy::Recompute;
            }
        }
        Command::FullStage => state.full_stage = !state.full_stage,
        Command::Cancel => {
            if state.export.open {
                state.export.open = false;
            } else if state.experiments.enlarged.is_some() {
                state.experiments.enlarged = None;
            } else if state.reading.is_some() || state.writing.is_some() {
                return vec![Effect::Stop];
            } else if state.page == Page::Experiments {
                // An experiment is stopped by its button only.
            } else if state.page == Page::Curvature {
                return state.stop_curvature();
            } else if state.playing {
                state.playing = false;
            } else if state.is_searching() && !state.is_evaluating() {
                return vec![Effect::Send(Request::Search(None))];
            } else if !(state.is_training() && state.look.anchor == Anchor::Current) {
                let slice = state.slice.as_ref().is_none_or(|slice| slice.refining.is_some());
                let surface = state.surface.as_ref().is_some_and(|view| view.refining.is_some());
                state.stopped = state.run.is_some() && (slice || surface);
                return vec![Effect::Send(Request::Slice(None))];
            }
        }
        Command::EvaluateAgain => state.evaluate_again(),
        Command::ToggleSearch => state.toggle_search(),
        Command::Search(form) => {
            if let Some(request) = state.search_request(&form) {
                return vec![Effect::Send(Request::Search(Some(Box::new(request))))];
            }
        }
        Command::StopSearch => return vec![Effect::Send(Request::Search(None))],
        Command::LookAlong(kind, seed) => state.look_along(kind, seed),
        Command::Undo => state.step_back(false),
        Command::Redo => state.step_back(true),
        Command::ToggleExport => {
            if state.export.open {
                state.export.open = false;
            } else {
                export::open(state);
            }
        }
        Command::ChooseExport => {
            let chosen = rfd::AsyncFileDialog::new()
                .set_title("Export")
                .add_filter("Figure, table or point", state.export.what.endings())
                .set_file_name(
                    Path::new(&state.export.path)
                        .file_name()
                        .map(|name| name.to_string_lossy().into_owned())
                        .unwrap_or_default(),
                )
                .save_file();
            wait_for(dialogs, async move {
                chosen.await.map(|file| Command::ExportChosen(file.path().to_owned()))
            });
        }
        Command::ExportChosen(path) => state.export.path = path.display().to_string(),
        Command::Export => return export::export(state),
        Command::Dismiss(index) => {
            state.notices.remove(index);
        }
        Command::Page(page) => {
            let page = if state.page == page { Page::Explore } else { page };
            state.turn_to(page);
            if page == Page::Experiments {
                return experiments::opened(state);
            }
        }
        Command::StartCurvature => state.start_curvature(),
        Command::StopCurvature => return state.stop_curvature(),
        Command::LookAlongEigenvector(index) => state.look_along_eigenvector(index),
        Command::EigenvectorPlane(indices) => state.show_eigenvector_plane(indices),
        Command::RunExperiments(names) => return experiments::run(state, names),
        Command::StopExperiments => return experiments::stop(state),
        Command::NextExperiment => return experiments::go_on(state),
        Command::Visit(place) => return state.visit(place),
    }
    Vec::new()
}

/// Turns the pad; the marked position becomes the point it turns about.
pub fn turn_to(state: &mut State, angle: f64) {
    if state.look.picture == Picture::Interpolation {
        state.show_picture(Picture::Direction);
    }
    state.look.settle();
    if state.look.picture != Picture::Through {
        state.look.picture = Picture::Direction;
    }
    state.look.angle = angle.rem_euclid(std::f64::consts::TAU);
}

fn go_to(state: &mut State, epoch: usize) {
    if state.look.picture == Picture::Plane {
        return state.step_in_plane(epoch);
    }
    // A checkpoint has no trajectory.
    if state.run.is_some() && !state.is_checkpoint() {
        state.stand_at(Anchor::Epoch(epoch));
    }
}

fn play_or_hold(state: &mut State) {
    if state.is_checkpoint() {
        return;
    }
    state.playing = !state.playing;
    if state.playing {
        let at_end = state.epoch() as usize >= state.last_epoch();
        let epoch = if at_end { 0 } else { state.epoch() as usize };
        go_to(state, epoch);
    }
}

/// Waits for a dialog off the window's thread and sends what came of it.
fn wait_for(dialogs: &Sender<Command>, answer: impl Future<Output = Option<Command>> + Send + 'static) {
    let dialogs = dialogs.clone();
    let result = std::thread::Builder::new().name("dialog".to_owned()).spawn(move || {
        if let Some(command) = pollster::block_on(answer) {
            // The window may be gone by now; then nobody is left to tell.
            let _ = dialogs.send(command);
        }
    });
    if let Err(error) = result {
        tracing::error!("the dialog could not open: {error}");
    }
}
