//! What the window shows: the run, the point and the direction looked at, and the history of looking.

mod messages;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint::CheckpointForm;
use super::command::Command;
use super::curvature::Curvature;
use super::experiments::Experiments;
use super::export::{ExportForm, Exported};
use super::look::{Fitting, Look, Picture};
use super::measures::Measures;
use super::page::Page;
use super::search::SearchForm;
use super::surface::look::HeightsKept;
use crate::engine::{
    Anchor, CompassView, RunSummary, SearchView, SliceRequest, SliceView, SurfaceChoice, SurfaceRequest, SurfaceView,
    TrainingStatus, View,
};
use crate::experiment::demo;
use crate::landscape::Scale;
use crate::objective::BatchNormPolicy;
use crate::training::{Results, TrainingOptions};

/// Steps back that are remembered.
const UNDO_STEPS: usize = 200;
/// Time a snapshot is shown while the trajectory plays, at least.
const PLAY_INTERVAL: Duration = Duration::from_millis(220);
/// Time a notice of something done is shown.
const NOTICE_TIME: Duration = Duration::from_secs(8);
/// What is said while a point is written.
pub const WRITING: &str = "writing the point …";

/// The form on the left.
#[derive(Clone, Debug)]
pub struct Form {
    /// Model name.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// Hyper-parameters.
    pub options: TrainingOptions,
    /// Run folder to write; empty for a fresh one under `runs`.
    pub folder: String,
    /// Run folder to open.
    pub open: String,
}

/// A message shown until it is dismissed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When it came: good news leave by themselves.
    pub since: Instant,
    /// What happened.
    pub text: String,
    /// Whether something went wrong.
    pub failed: bool,
}

/// Everything the panels read.
pub struct State {
    /// The form on the left.
    pub form: Form,
    /// Folder of new runs.
    pub runs: PathBuf,
    /// Device, for people.
    pub device: String,
    /// What the window draws with.
    pub graphics: Option<(wgpu::Device, wgpu::Queue)>,
    /// The run that is open.
    pub run: Option<RunSummary>,
    /// Training loss within epochs, since the run was opened.
    pub train_points: Vec<[f64; 2]>,
    /// How far training is.
    pub training: Option<Arc<TrainingStatus>>,
    /// The slice.
    pub slice: Option<Arc<SliceView>>,
    /// What the paper reads off it.
    pub measures: Measures,
    /// The pad's map.
    pub compass: Option<Arc<CompassView>>,
    /// What a search for asymmetric directions is to draw.
    pub search: SearchForm,
    /// The search as far as it is known.
    pub searched: Option<Arc<SearchView>>,
    /// The surface.
    pub surface: Option<Arc<SurfaceView>>,
    /// Smooth surfaces on screen.
    pub heights: HeightsKept,
    /// What the plane's ranges are to hold, until that is known.
    pub fit: Option<Fitting>,
    /// Whether the stage has the whole window.
    pub full_stage: bool,
    /// Where one stands and looks.
    pub look: Look,
    /// Whether the trajectory plays.
    pub playing: bool,
    /// A checkpoint file that was looked into and is not opened yet.
    pub checkpoint: Option<CheckpointForm>,
    /// Names of the files that directions of the open run were read from.
    pub direction_files: Vec<String>,
    /// Share of a data set that is read, while one is.
    pub reading: Option<f64>,
    /// Share of a file that is written, while one is.
    pub writing: Option<f64>,
    /// The vertical axis.
    pub scale: Scale,
    /// Messages.
    pub notices: VecDeque<Notice>,
    /// The export window.
    pub export: ExportForm,
    /// The page in the window.
    pub page: Page,
    /// The page of the curvature at a point.
    pub curvature: Curvature,
    /// The page of experiments.
    pub experiments: Experiments,
    /// Whether the marked position is being dragged: it is measured when it is let go.
    pub holding: bool,
    /// Whether the person stopped evaluation.
    pub stopped: bool,
    /// What was asked of the worker and is not there yet, such as `preparing the run`.
    pub pending: Option<&'static str>,
    /// When training ended last: the Train button appears where Stop was, and a late click on Stop is not meant for it.
    ended: Option<Instant>,
    /// Look to go back to from the interpolation.
    behind: Option<Look>,
    /// Look when the run was opened.
    initial: Look,
    settled: Look,
    /// Commands that follow from what the worker said.
    commands: Vec<Command>,
    undo: Vec<Look>,
    redo: Vec<Look>,
    requested: Option<SliceRequest>,
    last_play: Instant,
}

impl State {
    /// An empty window.
    pub fn new(runs: PathBuf, device: String) -> Self {
        Self {
            form: Form {
                model: demo::MODEL.to_owned(),
                data: demo::DATA.to_owned(),
                options: TrainingOptions::default(),
                folder: String::new(),
                open: String::new(),
            },
            runs,
            device,
            graphics: None,
            run: None,
            train_points: Vec::new(),
            training: None,
            slice: None,
            measures: Measures::default(),
            compass: None,
            search: SearchForm::default(),
            searched: None,
            surface: None,
            heights: HeightsKept::default(),
            fit: None,
            full_stage: false,
            look: Look::default(),
            playing: false,
            checkpoint: None,
            direction_files: Vec::new(),
            reading: None,
            writing: None,
            scale: Scale::default(),
            notices: VecDeque::new(),
            export: ExportForm::default(),
            page: Page::default(),
            curvature: Curvature::default(),
            experiments: Experiments::default(),
            holding: false,
            stopped: false,
            pending: None,
            ended: None,
            behind: None,
            initial: Look::default(),
            settled: Look::default(),
            commands: Vec::new(),
            undo: Vec::new(),
            redo: Vec::new(),
            requested: None,
            last_play: Instant::now(),
        }
    }

    /// Whether weights move right now.
    pub fn is_training(&self) -> bool {
        self.training.as_ref().is_some_and(|t| !t.paused)
    }

    /// Whether training ended this moment.
    pub fn just_ended(&self) -> bool {
        self.ended
            .is_some_and(|ended| ended.elapsed() < Duration::from_millis(700))
    }

    /// Measures the slice on the stage, where it is another than before or something else is asked of it.
    pub fn measure(&mut self) {
        self.measures.see(self.slice.as_ref());
    }

    /// Number of the newest snapshot.
    pub fn last_epoch(&self) -> usize {
        self.run.as_ref().map_or(0, |run| run.snapshots.saturating_sub(1))
    }

    /// Epoch on the timeline: that of the anchor.
    pub fn epoch(&self) -> f64 {
        if let (Picture::Plane, Some(step)) = (self.look.picture, self.look.surface.step) {
            return step as f64;
        }
        match self.look.anchor {
            Anchor::Epoch(epoch) => epoch as f64,
            Anchor::Current => self.training.as_ref().map_or(self.last_epoch() as f64, |t| t.epoch),
            Anchor::Swa => self.run.as_ref().map_or(0.0, |run| run.record.options.epochs as f64),
            Anchor::Sgd => self.last_epoch() as f64,
        }
    }

    /// Measured solutions of the run.
    pub fn results(&self) -> Results {
        self.run.as_ref().map(|run| run.record.results).unwrap_or_default()
    }

    /// Shows a message.
    pub fn notice(&mut self, text: impl Into<String>, failed: bool) {
        let notice = Notice {
            since: Instant::now(),
            text: text.into(),
            failed,
        };
        self.notices.retain(|known| known.text != notice.text);
        self.notices.push_back(notice);
        while self.notices.len() > 4 {
            self.notices.pop_front();
        }
    }

    /// Names of the two solutions of the run or checkpoint.
    pub fn names(&self) -> [&str; 2] {
        self.run
            .as_ref()
            .map_or(["SWA", "SGD"], |run| run.names.each_ref().map(String::as_str))
    }

    /// Whether it is a checkpoint that is open, not a run.
    pub fn is_checkpoint(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.checkpoint)
    }

    /// Whether a surface is on the stage.
    pub fn shows_surface(&self) -> bool {
        self.run.is_some() && matches!(self.look.picture, Picture::Plane | Picture::Through)
    }

    /// What the empty stage waits for.
    pub fn waiting_for(&self) -> Option<&'static str> {
        let evaluating = if self.device.starts_with("wgpu") {
            "evaluating the first slice … (a GPU tunes its kernels on first use, which can take a minute)"
        } else {
            "evaluating the first slice …"
        };
        self.pending.or(self.run.as_ref().map(|_| evaluating))
    }

    /// A name for a picture of the stage, in the run's folder.
    pub fn export_path(&self, ending: &str) -> PathBuf {
        let folder = match &self.run {
            // Beside a checkpoint file, not in it.
            Some(run) if run.checkpoint => run.path.parent().unwrap_or(Path::new("")),
            Some(run) => run.path.as_path(),
            None => Path::new("."),
        };
        let name = match (self.export.what, self.look.picture) {
            (Exported::Training, _) => "training",
            (Exported::Relief, Picture::Plane) => "plane-relief",
            (Exported::Relief, _) => "through-training-relief",
            (Exported::Curves, Picture::Plane) => "plane-curves",
            (Exported::Curves, Picture::Direction | Picture::Through) => "slice",
            (_, Picture::Comparison) => "comparison",
            (_, Picture::Interpolation) => "interpolation",
            (Exported::Map, Picture::Plane) => "plane",
            (Exported::Map, _) => "through-training",
        };
        folder.join(format!("{name}.{ending}"))
    }

    /// Puts the interpolation on the stage, with statistics recomputed at every point as in the papers.
    pub fn show_interpolation(&mut self) {
        self.look.picture = Picture::Interpolation;
        self.look.policy = BatchNormPolicy::Recompute;
        self.look.position = 0.0;
    }

    /// Puts another picture on the stage. Back from the interpolation one stands where one stood before; who had not
    /// looked at anything else stands at the average.
    pub fn show_picture(&mut self, picture: Picture) {
        if picture == self.look.picture {
            return;
        }
        if picture == Picture::Interpolation {
            self.behind = Some(self.look.clone());
            self.show_interpolation();
            return;
        }
        if self.look.picture == Picture::Interpolation {
            let behind = self.behind.take();
            self.look.policy = behind.as_ref().map_or(BatchNormPolicy::Running, |look| look.policy);
            (self.look.anchor, self.look.walk) =
                behind.map_or((Anchor::Swa, Vec::new()), |look| (look.anchor, look.walk));
        }
        if picture == Picture::Plane && self.look.anchor == Anchor::Current && self.is_training() {
            // A plane through weights that move is another one at every batch.
            self.look.anchor = Anchor::Epoch(self.last_epoch());
            self.look.walk.clear();
        }
        self.look.position = 0.0;
        self.look.picture = picture;
        self.look.surface.colours = None;
        self.look.surface.window = None;
    }

    /// Stands at another solution.
    pub fn stand_at(&mut self, anchor: Anchor) {
        if self.look.picture == Picture::Interpolation {
            self.look.picture = Picture::Direction;
            self.look.policy = BatchNormPolicy::Running;
        }
        self.look.anchor = anchor;
        self.look.walk.clear();
        // Through training it is the position on the slice of every epoch.
        if self.look.picture != Picture::Through {
            self.look.position = 0.0;
        }
        if self.look.picture == Picture::Plane {
            self.look.surface.reset_place();
        }
    }

    /// Remembers the look for undo once the hand lets go, and lets the trajectory play.
    pub fn advance(&mut self, context: &egui::Context, commands: &mut Vec<Command>) {
        commands.append(&mut self.commands);
        if self.notices.iter().any(|notice| !notice.failed) {
            self.notices
                .retain(|notice| notice.failed || notice.since.elapsed() < NOTICE_TIME);
            context.request_repaint_after(Duration::from_secs(1));
        }
        if self.just_ended() {
            context.request_repaint_after(Duration::from_millis(100));
        }
        // The wheel is one movement as a drag is.
        let down = context.input(|input| input.pointer.any_down() || input.smooth_scroll_delta() != egui::Vec2::ZERO);
        if !down && !self.playing && self.look != self.settled {
            let before = std::mem::replace(&mut self.settled, self.look.clone());
            self.undo.push(before);
            if self.undo.len() > UNDO_STEPS {
                self.undo.remove(0);
            }
            self.redo.clear();
        }
        if self.playing {
            let shown = self
                .slice
                .as_ref()
                .is_some_and(|slice| slice.request.anchor == self.look.anchor);
            let passed = self.last_play.elapsed();
            if passed < PLAY_INTERVAL {
                context.request_repaint_after(PLAY_INTERVAL - passed);
            } else if shown {
                self.last_play = Instant::now();
                commands.push(Command::PlayStep);
                context.request_repaint_after(PLAY_INTERVAL);
            }
        }
    }

    /// Takes the look for the one before as it is: undo does not stop between the two.
    pub fn continue_look(&mut self) {
        self.settled = self.look.clone();
    }

    /// Goes one look back (or, with `forward`, forth).
    pub fn step_back(&mut self, forward: bool) {
        let (from, to) = if forward {
            (&mut self.redo, &mut self.undo)
        } else {
            (&mut self.undo, &mut self.redo)
        };
        if let Some(look) = from.pop() {
            self.fit = None;
            to.push(std::mem::replace(&mut self.look, look));
            self.settled = self.look.clone();
        }
    }

    /// Whether there is something to undo and to redo.
    pub fn history(&self) -> (bool, bool) {
        (!self.undo.is_empty(), !self.redo.is_empty())
    }

    /// The slice that is looked at, which may not be the one on the stage yet.
    pub fn looked_at(&self) -> Option<SliceRequest> {
        let run = self.run.as_ref()?;
        let look = &self.look;
        let view = match look.picture {
            Picture::Direction => View::Direction(look.turn()),
            Picture::Comparison => View::Comparison(look.first, look.second, look.normalisation),
            Picture::Interpolation if run.swa && run.sgd => View::Interpolation,
            Picture::Interpolation => return None,
            Picture::Plane => View::Marginals(look.marginals(look.surface_ranges())),
            Picture::Through => View::Direction(look.turn()),
        };
        let choice = match look.picture {
            Picture::Plane => Some(SurfaceChoice::Plane(look.plane())),
            Picture::Through if run.snapshots > 0 => Some(SurfaceChoice::Through(look.turn())),
            _ => None,
        };
        Some(SliceRequest {
            session: run.session,
            anchor: look.anchor,
            walk: look.walk.clone(),
            view,
            policy: look.policy,
            range: look.range(),
            marked: look.position,
            compass: (look.picture == Picture::Direction).then_some((look.first, look.second)),
            surface: choice.map(|choice| SurfaceRequest {
                choice,
                ranges: look.surface_ranges(),
                snapshots: if run.checkpoint { 0 } else { run.snapshots },
                every_node: look.surface.every_node,
            }),
        })
    }

    /// The slice to ask for, where it is another than the one asked for last. The marked position alone asks for
    /// nothing while it moves; where it stops, it is measured.
    pub fn slice_request(&mut self) -> Option<SliceRequest> {
        let mut request = self.looked_at()?;
        if let (Some(before), true) = (&self.requested, self.holding) {
            request.marked = before.marked;
        }
        (self.requested.as_ref() != Some(&request)).then(|| {
            self.requested = Some(request.clone());
            self.stopped = false;
            request
        })
    }

    /// Whether something is on its way to the stage that Escape stops. What follows weights that move is not.
    pub fn is_evaluating(&self) -> bool {
        let follows = self.is_training() && self.look.anchor == Anchor::Current;
        let slice = self.slice.as_ref().is_none_or(|slice| {
            // Until the first pass is there, the slice before stays on the stage.
            slice.refining.is_some() || self.requested.as_ref() != Some(&slice.request)
        });
        let surface = self.surface.as_ref().is_some_and(|view| view.refining.is_some());
        self.run.is_some() && !self.stopped && !follows && (slice || surface)
    }

    /// Asks for the slice again, though it is the one asked for last.
    pub fn evaluate_again(&mut self) {
        self.requested = None;
        self.stopped = false;
    }
}
