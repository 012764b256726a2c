//! The window: one file a panel. Panels read the state and emit commands; commands are applied in one place.

mod axis;
mod checkpoint;
mod command;
mod export;
mod pad;
mod reading;
mod source;
mod stage;
mod state;
mod surface;
mod theme;
mod timeline;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use eframe::egui_wgpu;
use egui::{CentralPanel, Panel, Ui};

pub use command::Command;
pub use state::{Picture, State};

use crate::engine::{Engine, Request, Update};
use crate::error::{Error, Result};
use crate::objective::Compute;
use crate::render::{Pictures, PolarMapPipeline};

/// How the window starts.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Run folder or checkpoint to show.
    pub open: Option<String>,
    /// Whether the built-in example starts to train when no run is opened.
    pub train: bool,
    /// Folder under which new runs are written, `runs` unless told otherwise.
    pub runs: Option<PathBuf>,
}

/// The window.
pub struct App {
    state: State,
    engine: Engine,
    dialogs: mpsc::Receiver<Command>,
    dialog_sender: mpsc::Sender<Command>,
    started: Instant,
    frames: u64,
    /// Whether a field or a popup had the keyboard in the frame before: Escape is theirs then.
    keyboard_taken: bool,
}

/// Opens the window and runs it until it is closed.
///
/// # Errors
/// When there is no display or no graphics adapter.
pub fn run(compute: Compute, start: Start) -> Result<()> {
    let mut options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("Valleyscope")
            .with_app_id("valleyscope")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([960.0, 640.0])
            .with_drag_and_drop(true),
        ..Default::default()
    };
    // Where tensors are on a GPU, the window draws with the same device.
    if let Some(setup) = compute.graphics() {
        options.wgpu_options.wgpu_setup = egui_wgpu::WgpuSetup::Existing(egui_wgpu::WgpuSetupExisting {
            instance: setup.instance.clone(),
            adapter: setup.adapter.clone(),
            device: setup.device.clone(),
            queue: setup.queue.clone(),
        });
    }
    eframe::run_native(
        "Valleyscope",
        options,
        Box::new(|context| Ok(Box::new(App::new(context, compute, start)?))),
    )
    .map_err(|error| {
        Error::Display(match error {
            eframe::Error::WinitEventLoop(_) => "no display answers; check DISPLAY or WAYLAND_DISPLAY".to_owned(),
            other => other.to_string(),
        })
    })
}

impl App {
    /// Builds the window's state and starts the worker.
    ///
    /// # Errors
    /// When the worker cannot start.
    pub fn new(context: &eframe::CreationContext, compute: Compute, start: Start) -> Result<Self> {
        theme::apply(&context.egui_ctx);
        if let Some(render) = &context.wgpu_render_state {
            let pipeline = PolarMapPipeline::new(&render.device, render.target_format);
            let pictures = Pictures::new(&render.device, render.target_format);
            let resources = &mut render.renderer.write().callback_resources;
            resources.insert(pipeline);
            resources.insert(pictures);
        }
        let repaint = context.egui_ctx.clone();
        let device = compute.name().to_owned();
        let engine = Engine::start(compute, Arc::new(move || repaint.request_repaint()))?;
        let (dialog_sender, dialogs) = mpsc::channel();
        let mut app = Self {
            state: State::new(start.runs.unwrap_or_else(|| PathBuf::from("runs")), device),
            engine,
            dialogs,
            dialog_sender,
            started: Instant::now(),
            frames: 0,
            keyboard_taken: false,
        };
        if let Some(path) = start.open {
            app.apply(Command::Open(path));
        } else if start.train {
            app.apply(Command::Train);
        }
        Ok(app)
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
        self.state.see_surface(slots.surface.get());
        self.state.reading = slots.reading.get().map(|done| *done);
        let slice = slots.slice.get();
        if self.state.slice.is_none() && slice.is_some() {
            tracing::info!(milliseconds = self.started.elapsed().as_millis() as u64, "first curve");
        }
        self.state.slice = slice;
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

    fn apply(&mut self, command: Command) {
        for request in command::apply(command, &mut self.state, &self.dialog_sender) {
            match request {
                command::Effect::Send(request) => self.engine.send(request),
                command::Effect::Write(path, write) => self.engine.export(path, write),
                command::Effect::StopReading => self.engine.stop_reading(),
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
        // A checkpoint has no trajectory, only a line that says so.
        let timeline = if state.is_checkpoint() { 34.0 } else { 196.0 };
        Panel::bottom("timeline")
            .exact_size(timeline)
            .frame(frame)
            .show(ui, |ui| timeline::show(ui, state, &mut commands));
        if !state.full_stage {
            Panel::left("source")
                .exact_size(268.0)
                .frame(frame)
                .show(ui, |ui| source::show(ui, state, &mut commands));
            Panel::right("reading")
                .exact_size(244.0)
                .frame(frame)
                .show(ui, |ui| reading::show(ui, state, &mut commands));
        }
        CentralPanel::default()
            .frame(theme::stage_frame(&context))
            .show(ui, |ui| stage::show(ui, state, &mut commands));
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
        if let Some(request) = self.state.slice_request() {
            self.engine.send(Request::Slice(Some(Box::new(request))));
        }
    }
}
