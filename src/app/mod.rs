//! The window: one file a panel. Panels read the state and emit commands; commands are applied in one place.

mod axis;
mod checkpoint;
mod command;
mod curvature;
mod dynamics;
mod experiments;
mod export;
mod look;
mod measures;
mod pad;
mod page;
mod reading;
mod search;
mod shell;
mod source;
mod stage;
mod state;
mod surface;
mod theme;
mod timeline;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use eframe::egui_wgpu;
use egui::{CentralPanel, Panel, ScrollArea, Ui};

pub use command::Command;
pub use look::Picture;
pub use page::Page;
pub use shell::{Kept, Shell};
pub use state::State;

use self::export::Effect;
use crate::engine::{Engine, Request, SurfaceView, Update};
use crate::error::{Error, Result};
use crate::figure::experiment;
use crate::objective::{Compute, DeviceChoice};
use crate::render::{Pictures, PolarMapPipeline};

/// Where the processor draws the window too: time until news are drawn, and between two pictures of a surface that
/// grows. Else drawing would take half of the time that evaluating has. What a hand does is drawn at once everywhere.
const SOFTWARE_DELAY: Duration = Duration::from_millis(200);
const SOFTWARE_INTERVAL: Duration = Duration::from_millis(500);

/// How the window starts.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Run folder or checkpoint to show.
    pub open: Option<String>,
    /// Whether the built-in example starts to train when no run is opened.
    pub train: bool,
    /// Folder under which new runs are written, `runs` unless told otherwise.
    pub runs: Option<PathBuf>,
    /// Folder of experiments, [`crate::experiment::laboratory::FOLDER`] unless told otherwise.
    pub experiments: Option<PathBuf>,
}

/// The window.
pub struct App {
    state: State,
    engine: Engine,
    /// The window that the worker wakes, and how soon after its news.
    repaint: Arc<Mutex<(egui::Context, Duration)>>,
    /// Whether tensors were put on the device that the window drew with when it opened.
    shared: bool,
    dialogs: mpsc::Receiver<Command>,
    dialog_sender: mpsc::Sender<Command>,
    started: Instant,
    frames: u64,
    /// When the surface was last seen to grow, and how soon it may be again.
    surface_since: Instant,
    surface_interval: Duration,
    /// Whether a field or a popup had the keyboard in the frame before: Escape is theirs then.
    keyboard_taken: bool,
}

/// Opens the window and runs it until it is closed; a window whose graphics device was lost is followed by another one.
///
/// # Errors
/// When there is no display or no graphics adapter.
pub fn run(compute: Compute, start: Start) -> Result<()> {
    let kept = Kept::default();
    let mut first = Some((compute, start));
    loop {
        let options = window_options(first.as_ref().map(|(compute, _)| compute));
        let (given, keeps) = (first.take(), kept.clone());
        let opened = Rc::new(Cell::new(false));
        let opens = opened.clone();
        let window = || {
            eframe::run_native(
                "Valleyscope",
                options,
                Box::new(move |context| {
                    opens.set(true);
                    let app = match (given, keeps.take()) {
                        (_, Some(mut app)) => {
                            app.move_to(context);
                            app
                        }
                        (Some((compute, start)), None) => App::new(context, compute, start)?,
                        (None, None) => return Err("there is nothing to show in another window".into()),
                    };
                    Ok(Box::new(Shell::new(context, app, keeps)))
                }),
            )
        };
        // What draws may panic on a device that was lost in the middle of a frame.
        let ended = catch_unwind(AssertUnwindSafe(window));
        if !opened.get() || kept.borrow().is_none() {
            // Where no other device is to be had, the app goes with the window.
            kept.take();
            let shown = ended.unwrap_or_else(|panic| resume_unwind(panic));
            return shown.map_err(|error| {
                Error::Display(match error {
                    eframe::Error::WinitEventLoop(_) => {
                        "no display answers; check DISPLAY or WAYLAND_DISPLAY".to_owned()
                    }
                    other => other.to_string(),
                })
            });
        }
    }
}

/// How the window opens. Where tensors are on a GPU, it draws with the same device.
fn window_options(compute: Option<&Compute>) -> eframe::NativeOptions {
    let mut options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("Valleyscope")
            .with_app_id("valleyscope")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([960.0, 640.0])
            .with_drag_and_drop(true),
        ..Default::default()
    };
    if let Some(setup) = compute.and_then(Compute::graphics) {
        options.wgpu_options.wgpu_setup = egui_wgpu::WgpuSetup::Existing(egui_wgpu::WgpuSetupExisting {
            instance: setup.instance.clone(),
            adapter: setup.adapter.clone(),
            device: setup.device.clone(),
            queue: setup.queue.clone(),
        });
    }
    options
}

impl App {
    /// Builds the window's state and starts the worker.
    ///
    /// # Errors
    /// When the worker cannot start.
    pub fn new(context: &eframe::CreationContext, compute: Compute, start: Start) -> Result<Self> {
        let repaint = Arc::new(Mutex::new((context.egui_ctx.clone(), Duration::ZERO)));
        let device = compute.name().to_owned();
        let shared = compute.graphics().is_some();
        let wake = repaint.clone();
        let engine = Engine::start(
            compute,
            Arc::new(move || {
                let (context, delay) = &*wake.lock().unwrap_or_else(PoisonError::into_inner);
                context.request_repaint_after(*delay);
            }),
        )?;
        let (dialog_sender, dialogs) = mpsc::channel();
        let mut app = Self {
            state: State::new(start.runs.unwrap_or_else(|| PathBuf::from("runs")), device),
            engine,
            repaint,
            shared,
            dialogs,
            dialog_sender,
            started: Instant::now(),
            frames: 0,
            surface_since: Instant::now(),
            surface_interval: Duration::ZERO,
            keyboard_taken: false,
        };
        if let Some(folder) = start.experiments {
            app.state.experiments.folder = folder;
        }
        app.draw_with(context);
        if let Some(path) = start.open {
            app.apply(Command::Open(path));
        } else if start.train {
            app.apply(Command::Train);
        }
        Ok(app)
    }

    /// Goes on in another window, after the graphics device of the one before was lost.
    pub fn move_to(&mut self, context: &eframe::CreationContext) {
        self.draw_with(context);
        self.state
            .notice("the graphics device was lost; the window goes on with another", false);
        // Tensors on that device are gone with it.
        if std::mem::take(&mut self.shared) && self.state.device.starts_with("wgpu") {
            self.apply(Command::Device(DeviceChoice::Cpu));
        }
    }

    /// Makes what this window's graphics device draws surfaces with.
    fn draw_with(&mut self, context: &eframe::CreationContext) {
        theme::apply(&context.egui_ctx);
        let software = |info: wgpu::AdapterInfo| info.device_type == wgpu::DeviceType::Cpu;
        let render = context.wgpu_render_state.as_ref();
        let (delay, interval) = match render.is_some_and(|render| software(render.adapter.get_info())) {
            true => (SOFTWARE_DELAY, SOFTWARE_INTERVAL),
            false => (Duration::ZERO, Duration::ZERO),
        };
        self.surface_interval = interval;
        *self.repaint.lock().unwrap_or_else(PoisonError::into_inner) = (context.egui_ctx.clone(), delay);
        self.state.experiments.pictures.forget_textures();
        self.state.graphics = render.map(|render| {
            let polar_map = PolarMapPipeline::new(&render.device, render.target_format);
            let pictures = Pictures::new(&render.device, render.target_format);
            let resources = &mut render.renderer.write().callback_resources;
            resources.insert(polar_map);
            resources.insert(pictures);
            (render.device.clone(), render.queue.clone())
        });
    }

    /// What the window shows.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn receive(&mut self, context: &egui::Context) {
        for update in self.engine.updates() {
            if let Update::Epoch(row) = &update {
                tracing::info!(epoch = row.epoch, "epoch done");
            }
            self.state.receive(update);
        }
        let slots = self.engine.slots();
        self.state.training = slots.training.get();
        self.state.compass = slots.compass.get();
        self.state.searched = slots.search.get();
        self.state.curvature.see(slots.curvature.get());
        self.state.curvature.along_run.see(slots.along_run.get());
        self.state.reading = slots.reading.get().map(|done| *done);
        self.state.writing = slots.writing.get().map(|done| *done);
        self.state.experiments.status = slots.experiment.get();
        let slice = slots.slice.get();
        if self.state.slice.is_none() && slice.is_some() {
            tracing::info!(milliseconds = self.started.elapsed().as_millis() as u64, "first curve");
        }
        self.state.slice = slice;
        self.state.measure();
        self.see_surface(slots.surface.get(), context);
        let dropped: Vec<String> = context.input(|input| {
            input
                .raw
                .dropped_files
                .iter()
                .map(|file| file.path().display().to_string())
                .collect()
        });
        let chosen = self.dialogs.try_iter();
        let commands: Vec<Command> = dropped
            .into_iter()
            .map(Command::Open)
            .chain(chosen)
            .chain(command::from_keyboard(context, &self.state))
            .collect();
        for command in commands {
            self.apply(command);
        }
    }

    /// Takes a newer view of the surface, not sooner after the one before than drawing it takes on a slow adapter: there
    /// pictures would leave the processor no time to evaluate.
    fn see_surface(&mut self, view: Option<Arc<SurfaceView>>, context: &egui::Context) {
        if let (Some(old), Some(new)) = (&self.state.surface, &view) {
            if Arc::ptr_eq(old, new) {
                return;
            }
            let since = self.surface_since.elapsed();
            let same = (old.request, old.anchor, &old.walk) == (new.request, new.anchor, &new.walk);
            if same && old.record.grid.measured() > 0 && since < self.surface_interval {
                context.request_repaint_after(self.surface_interval - since);
                return;
            }
        }
        self.surface_since = Instant::now();
        self.state.see_surface(view);
    }

    fn apply(&mut self, command: Command) {
        for request in command::apply(command, &mut self.state, &self.dialog_sender) {
            match request {
                Effect::Send(request) => self.engine.send(request),
                Effect::Write(path, write) => self.engine.export(path, write),
                Effect::Stop => self.engine.stop_files(),
                Effect::Outcomes(recipes, folder) => self.engine.outcomes(recipes, folder),
                Effect::Estimate(recipes, folder) => self.engine.estimate(recipes, folder),
                Effect::Experiment(recipe, folder) => self.engine.experiment(*recipe, folder, experiment::write),
                Effect::StopExperiment => self.engine.stop_experiment(),
            }
        }
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let context = ui.ctx().clone();
        self.frames += 1;
        if self.frames == 2 {
            tracing::info!(
                milliseconds = self.started.elapsed().as_millis() as u64,
                "first frame drawn"
            );
        }
        self.receive(&context);
        let state = &mut self.state;
        let mut commands = Vec::new();
        let frame = theme::panel_frame(&context);
        Panel::top("top")
            .frame(frame)
            .show(ui, |ui| source::top(ui, state, &mut commands));
        match state.page {
            Page::Explore => explore(ui, state, &mut commands),
            Page::Curvature => curvature::show(ui, state, &mut commands),
            Page::Experiments => experiments::show(ui, state, &mut commands),
        }
        export::show(&context, state, &mut commands);
        source::notices(&context, state, &mut commands);
        if !self.keyboard_taken && !state.export.open && context.input(|input| input.key_pressed(egui::Key::Escape)) {
            commands.push(Command::Cancel);
        }
        self.keyboard_taken = context.memory(|memory| memory.focused().is_some()) || egui::Popup::is_any_open(&context);
        state.advance(&context, &mut commands);
        for command in commands {
            self.apply(command);
        }
        if let Some(request) = self.state.curvature_request(&context) {
            self.engine.send(Request::Curvature(request.map(Box::new)));
        }
        if let Some(request) = self.state.along_run_request(&context) {
            self.engine.send(Request::AlongRun(request));
        }
        // Nobody sees the stage behind the other pages.
        if self.state.page == Page::Explore
            && let Some(request) = self.state.slice_request()
        {
            self.engine.send(Request::Slice(Some(Box::new(request))));
        }
    }
}

/// The stage, with what it shows on the left, how it is made on the right, and the trajectory below.
fn explore(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let context = ui.ctx().clone();
    let frame = theme::panel_frame(&context);
    // A checkpoint has no trajectory, only a line that says so.
    let timeline = match state.shows_surface() {
        _ if state.is_checkpoint() => 34.0,
        true => 132.0,
        false => 196.0,
    };
    Panel::bottom("timeline")
        .exact_size(timeline)
        .frame(frame)
        .show(ui, |ui| timeline::show(ui, state, commands));
    if !state.full_stage {
        Panel::left("source")
            .exact_size(268.0)
            .frame(frame)
            .show(ui, |ui| source::show(ui, state, commands));
        Panel::right("reading").exact_size(244.0).frame(frame).show(ui, |ui| {
            ScrollArea::vertical().show(ui, |ui| {
                if state.shows_surface() {
                    pad::show(ui, state, commands);
                    ui.add_space(4.0);
                    ui.separator();
                }
                reading::show(ui, state, commands);
            });
        });
    }
    CentralPanel::default()
        .frame(theme::stage_frame(&context))
        .show(ui, |ui| stage::show(ui, state, commands));
    search::show(&context, state, commands);
}
