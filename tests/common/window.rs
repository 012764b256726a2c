//! The window on the software adapter, driven by its accessible names and by the hand on its pictures.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::accesskit::Role;
use egui::{
    Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, Rect, TouchPhase, Vec2, vec2,
};
use egui_kittest::kittest::Queryable;
use egui_kittest::{Harness, SnapshotOptions};
use valleyscope::app::{App, Start, State};
use valleyscope::data::Dataset;
use valleyscope::experiment::demo;
use valleyscope::network::zoo;
use valleyscope::objective::{Compute, Objective};
use valleyscope::training::{Trainer, TrainingOptions};

/// Longest wait for anything: the machine may be slow and busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Pixels of a snapshot that may differ: text is antialiased a little differently by other versions of the software
/// adapter, and the last digit of a reading may differ between processors. A word more or less is some hundreds.
const SNAPSHOT_PIXELS: usize = 300;

/// The left button, no key held.
pub const HAND: (PointerButton, Modifiers) = (PointerButton::Primary, Modifiers::NONE);

/// The processor in plain code: the same numbers and the same name on every machine.
pub fn compute() -> Compute {
    Compute::cpus().pop().expect("plain code runs everywhere")
}

/// Whether there is an adapter to draw with; with VALLEYSCOPE_REQUIRE_ADAPTER=1 there must be.
pub fn adapter() -> bool {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let found = !pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all())).is_empty();
    let required = std::env::var_os("VALLEYSCOPE_REQUIRE_ADAPTER").is_some_and(|v| v == "1");
    assert!(found || !required, "an adapter is required, and there is none");
    if !found {
        println!("skipped: no wgpu adapter to draw with");
    }
    found
}

/// Trains a run to its end in a folder.
pub fn train(path: &Path, model: &str, data: &str, options: &TrainingOptions) {
    let data = Arc::new(Dataset::open(data).unwrap());
    let graph = Arc::new(zoo::build(model, data.shape, data.classes.len()).unwrap());
    let objective = Arc::new(Objective::usual(graph, data, compute()).unwrap());
    let mut trainer = Trainer::start(objective, options, path).unwrap();
    demo::train(&mut trainer, &mut |_, _| true).unwrap();
}

/// Whether the curves that are looked at are on the stage, measured to the end.
pub fn is_complete(state: &State) -> bool {
    let wanted = state.looked_at();
    let slice = state.slice.as_ref();
    slice.is_some_and(|slice| wanted.as_ref() == Some(&slice.request) && slice.level.full && slice.refining.is_none())
}

/// The window.
pub struct Window {
    /// What drives it.
    pub harness: Harness<'static, App>,
}

impl Window {
    /// Opens it, with a run or a checkpoint to show.
    pub fn open(runs: &Path, open: Option<&Path>) -> Self {
        let start = Start {
            open: open.map(|path| path.display().to_string()),
            train: false,
            runs: Some(runs.to_owned()),
            experiments: Some(runs.join("experiments")),
        };
        let harness = Harness::builder()
            .with_size(Vec2::new(1280.0, 800.0))
            .wgpu()
            .build_eframe(|context| App::new(context, compute(), start).unwrap());
        Self { harness }
    }

    /// What it shows.
    pub fn state(&self) -> &State {
        self.harness.state().state()
    }

    /// Steps until something is so.
    #[track_caller]
    pub fn until(&mut self, what: &str, condition: impl Fn(&State) -> bool) {
        let start = Instant::now();
        loop {
            self.harness.step();
            if condition(self.state()) {
                // What was just received is drawn once before anyone looks for it.
                self.harness.step();
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain for: {what}; notices {:?}",
                self.state().notices
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Steps until a hand that let go is noticed: what it did can be undone then.
    pub fn rest(&mut self) {
        self.harness.run_steps(3);
    }

    /// Clicks a button.
    #[track_caller]
    pub fn click(&mut self, label: &str) {
        self.harness.get_by_role_and_label(Role::Button, label).click();
        self.harness.step();
        self.harness.step();
    }

    /// Sets a number.
    #[track_caller]
    pub fn number(&mut self, label: &str, value: f64) {
        self.harness
            .get_by_role_and_label(Role::SpinButton, label)
            .set_value_accesskit(value);
        self.harness.step();
    }

    /// Sets the text of a field.
    #[track_caller]
    pub fn text(&mut self, label: &str, text: &str) {
        self.harness
            .get_by_role_and_label(Role::TextInput, label)
            .set_text_value_accesskit(text);
        self.harness.step();
    }

    /// Moves the timeline to an epoch.
    #[track_caller]
    pub fn scrub(&mut self, epoch: usize) {
        self.harness
            .get_by_role_and_label(Role::Slider, "Epoch")
            .set_value_accesskit(epoch as f64);
    }

    /// Opens a run, a checkpoint or a direction.
    #[track_caller]
    pub fn open_path(&mut self, path: &Path) {
        self.text("Path to open", &path.display().to_string());
        self.harness
            .get_by_role_and_label(Role::TextInput, "Path to open")
            .focus();
        self.harness.step();
        self.key(Modifiers::NONE, Key::Enter);
    }

    /// Where something is.
    #[track_caller]
    pub fn rect(&self, label: &str) -> Rect {
        self.harness.get_by_label(label).rect()
    }

    /// Presses a key.
    pub fn key(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.harness.step();
        self.harness.step();
    }

    /// Drags without letting go.
    pub fn drag(&mut self, from: Pos2, to: Pos2) {
        self.harness.hover_at(from);
        self.harness.step();
        self.harness.drag_at(from);
        self.harness.step();
        for i in 1..=4 {
            self.harness.hover_at(from + (to - from) * (i as f32 / 4.0));
            self.harness.step();
        }
    }

    /// Drags in four steps with a button and keys held, lets go and takes the pointer away.
    pub fn pull(&mut self, (button, modifiers): (PointerButton, Modifiers), from: Pos2, to: Pos2) {
        let press = |pos, pressed| Event::PointerButton {
            pos,
            button,
            pressed,
            modifiers,
        };
        self.harness.event(Event::ModifiersChanged(modifiers));
        self.harness.hover_at(from);
        self.harness.event(press(from, true));
        for i in 1..=4 {
            self.harness.hover_at(from + (to - from) * (i as f32 / 4.0));
        }
        self.harness.event(press(to, false));
        self.harness.event(Event::ModifiersChanged(Modifiers::NONE));
        self.harness.remove_cursor();
        self.harness.step();
        self.rest();
    }

    /// Clicks at a place, twice for a double click, and takes the pointer away.
    pub fn click_at(&mut self, at: Pos2, times: usize) {
        self.harness.hover_at(at);
        self.harness.step();
        for _ in 0..times {
            // Both in one frame: a frame takes a quarter of a second here, and a double click must not take longer.
            for pressed in [true, false] {
                self.harness.input_mut().events.push(Event::PointerButton {
                    pos: at,
                    button: PointerButton::Primary,
                    pressed,
                    modifiers: Modifiers::NONE,
                });
            }
            self.harness.step();
        }
        self.harness.remove_cursor();
        self.harness.step();
        self.rest();
    }

    /// Turns the wheel by some points over a place, waits until it has run out, and takes the pointer away.
    pub fn wheel(&mut self, at: Pos2, points: f32) {
        self.harness.hover_at(at);
        self.harness.event(Event::MouseWheel {
            unit: MouseWheelUnit::Point,
            delta: vec2(0.0, points),
            phase: TouchPhase::Move,
            source: MouseWheelSource::Unknown,
            modifiers: Modifiers::NONE,
        });
        self.harness.step();
        self.harness.run_steps(6);
        self.harness.remove_cursor();
        self.harness.step();
    }

    /// The text with `part` in it that appears where the pointer rests.
    #[track_caller]
    pub fn tooltip(&mut self, at: Pos2, part: &str) -> String {
        self.harness.hover_at(at);
        for _ in 0..16 {
            self.harness.step();
            let mut found = self.harness.query_all_by_label_contains(part);
            if let Some(text) = found.next().and_then(|node| node.value()) {
                return text;
            }
        }
        panic!("no text with `{part}` appears at {at:?}");
    }

    /// Compares with the picture in `tests/snapshots`, the folder's name aside: it is another on every machine.
    pub fn snapshot(&mut self, name: &str) {
        self.harness
            .mask(Rect::from_min_max(Pos2::new(110.0, 0.0), Pos2::new(900.0, 38.0)));
        let options = SnapshotOptions::new().max_failed_pixels(SNAPSHOT_PIXELS);
        self.harness.snapshot_options(name, &options);
    }
}
