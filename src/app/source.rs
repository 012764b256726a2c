//! Left: where the network comes from. Train one, or open a run folder. And the bar at the top.

use egui::{Button, ComboBox, DragValue, ProgressBar, RichText, ScrollArea, TextEdit, Ui};

use super::checkpoint;
use super::command::{Command, KEYS};
use super::page::{self, Page};
use super::state::State;
use super::theme;
use crate::data;
use crate::network::zoo;
use crate::training::{RunStatus, TrainingOptions};

/// Title, notices, undo, export and theme.
pub fn top(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    ui.horizontal(|ui| {
        ui.label(RichText::new("Valleyscope").heading().strong());
        page::switch(ui, state, commands);
        experiment(ui, state, commands);
        if let Some(run) = state.run.as_ref().filter(|_| state.page != Page::Experiments) {
            ui.label(RichText::new(run.path.display().to_string()).color(palette.faint))
                .on_hover_text("the run folder or checkpoint that is open");
        }
        // Over a slice there is no room for it on the stage, and none on the other pages.
        if (state.slice.is_some() || state.page != Page::Explore)
            && let Some(pending) = state.pending
        {
            ui.spinner();
            ui.label(RichText::new(pending).color(palette.faint));
            if let Some(done) = state.reading {
                ui.add(ProgressBar::new(done as f32).desired_width(120.0).desired_height(6.0));
                ui.label(RichText::new("Escape stops it").small().color(palette.faint));
            }
        }
        if let Some(done) = state.writing {
            ui.label(RichText::new("writing …").color(palette.faint));
            ui.add(ProgressBar::new(done as f32).desired_width(120.0).desired_height(6.0));
            ui.label(RichText::new("Escape stops it").small().color(palette.faint));
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let dark = ui.ctx().theme() == egui::Theme::Dark;
            if ui
                .button(if dark { "Light" } else { "Dark" })
                .on_hover_text("switch between the dark and the light theme")
                .clicked()
            {
                ui.ctx()
                    .set_theme(if dark { egui::Theme::Light } else { egui::Theme::Dark });
            }
            ui.menu_button("Keys", |ui| {
                egui::Grid::new("keys").num_columns(2).show(ui, |ui| {
                    for (key, action) in KEYS {
                        ui.label(RichText::new(*key).strong());
                        ui.label(*action);
                        ui.end_row();
                    }
                });
            });
            // These are the stage's.
            let stage = state.page == Page::Explore;
            if ui
                .add_enabled(stage && state.slice.is_some(), Button::new("Export"))
                .on_hover_text(
                    "the picture on the stage as PNG, SVG, an animation or a 3-D model, its numbers as CSV (Ctrl+S)",
                )
                .clicked()
            {
                commands.push(Command::ToggleExport);
            }
            let (undo, redo) = state.history();
            if ui
                .add_enabled(stage && redo, Button::new("Redo"))
                .on_hover_text("Ctrl+Shift+Z")
                .clicked()
            {
                commands.push(Command::Redo);
            }
            if ui
                .add_enabled(stage && undo, Button::new("Undo"))
                .on_hover_text("the last change of view or direction (Ctrl+Z)")
                .clicked()
            {
                commands.push(Command::Undo);
            }
        });
    });
}

/// How far an experiment is, on the other pages.
fn experiment(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    let status = state.experiments.status.as_ref();
    let Some(status) = status.filter(|_| state.page != Page::Experiments) else {
        return;
    };
    let text = format!("experiment: {} {:.0} %", status.name, 100.0 * status.done);
    let text = RichText::new(text).small().color(palette.faint);
    let label = egui::Label::new(text).sense(egui::Sense::click());
    let bar = ProgressBar::new(status.done as f32)
        .desired_width(90.0)
        .desired_height(6.0);
    let responses = [ui.add(label), ui.add(bar).interact(egui::Sense::click())];
    for response in responses {
        if response.on_hover_text(&status.what).clicked() {
            commands.push(Command::Page(Page::Experiments));
        }
    }
}

/// Messages over the top of the stage, so that nothing moves away from under the hand.
pub fn notices(context: &egui::Context, state: &State, commands: &mut Vec<Command>) {
    if state.notices.is_empty() {
        return;
    }
    let palette = theme::palette(context);
    egui::Area::new(egui::Id::unique("notices"))
        .order(egui::Order::Tooltip)
        .anchor(egui::Align2::CENTER_TOP, [0.0, 46.0])
        .show(context, |ui| {
            egui::Frame::popup(ui.style()).show(ui, |ui| {
                ui.set_max_width(620.0);
                for (index, notice) in state.notices.iter().enumerate() {
                    ui.horizontal(|ui| {
                        let dismiss = ui.button("Dismiss").on_hover_text("dismiss this notice");
                        if dismiss.clicked() {
                            commands.push(Command::Dismiss(index));
                        }
                        let colour = if notice.failed {
                            palette.warning
                        } else {
                            ui.visuals().text_color()
                        };
                        ui.add(egui::Label::new(RichText::new(&notice.text).color(colour)).wrap());
                    });
                }
            });
        });
}

/// The panel.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    ScrollArea::vertical().show(ui, |ui| {
        checkpoint::show(ui, state, commands);
        let choosing = state.checkpoint.is_some() && state.training.is_none();
        if !state.is_checkpoint() && !choosing {
            train(ui, state, commands);
            ui.add_space(6.0);
            ui.separator();
        }
        open(ui, state, commands);
        run(ui, state, commands);
        if state.is_checkpoint() && !choosing {
            ui.add_space(6.0);
            ui.separator();
            let open = state.training.is_some();
            egui::CollapsingHeader::new("Train a network")
                .open(open.then_some(true))
                .show(ui, |ui| train(ui, state, commands));
        }
    });
}

fn train(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    theme::caption(ui, "TRAIN");
    let busy = state.training.is_some() || state.pending.is_some();
    ui.add_enabled_ui(!busy, |ui| {
        text_row(
            ui,
            "Model",
            &mut state.form.model,
            [
                "resnet20",
                "resnet8:width=8, resnet20, mlp:100x100, …; examples are beside it",
            ],
            |text, ui| examples(text, ui, zoo::EXAMPLES),
        );
        text_row(
            ui,
            "Data",
            &mut state.form.data,
            [
                "builtin",
                "builtin: 16×16 images of ten shapes; cifar10:DIR and other sets from disk; options follow with colons: \
                 :subset=1000, :classes=0,1, :random-labels=200",
            ],
            |text, ui| examples(text, ui, data::FAMILIES),
        );
        options(ui, &mut state.form.options);
        let hint = format!("{}/…", state.runs.display());
        ui.horizontal(|ui| {
            let label = ui.label("Folder");
            right(ui, |ui| {
                ui.add(
                    TextEdit::singleline(&mut state.form.folder)
                        .desired_width(ui.available_width() - 4.0)
                        .hint_text(hint),
                )
                .labelled_by(label.id)
                .on_hover_text("run folder to write; left empty, a fresh one under runs/")
            });
        });
    });
    ui.add_space(2.0);
    match state.training.clone() {
        None => {
            let white = RichText::new("Train").strong().color(egui::Color32::WHITE);
            let button = Button::new(white).fill(ui.visuals().selection.bg_fill);
            let size = egui::vec2(ui.available_width(), 30.0);
            let ready = state.pending.is_none() && !state.just_ended();
            let add = |ui: &mut Ui| ui.add_sized(size, button);
            if ui
                .add_enabled_ui(ready, add)
                .inner
                .on_hover_text("train a new run with these settings (Space)")
                .clicked()
            {
                commands.push(Command::Train);
            }
        }
        Some(training) => {
            ui.horizontal(|ui| {
                let name = if training.paused { "Go on" } else { "Pause" };
                if ui
                    .add(Button::new(name).min_size(egui::vec2(96.0, 28.0)))
                    .on_hover_text("hold training, or let it go on (Space)")
                    .clicked()
                {
                    commands.push(Command::PlayOrPause);
                }
                if ui
                    .add(Button::new("Stop").min_size(egui::vec2(96.0, 28.0)))
                    .on_hover_text("end training; the run stays on disk and can be continued")
                    .clicked()
                {
                    commands.push(Command::Stop);
                }
            });
            let left = training
                .seconds_left
                .map_or(String::new(), |s| format!(" · {} left", duration(s)));
            ui.add(ProgressBar::new(training.progress as f32).desired_height(6.0));
            let text = format!("epoch {:.1} of {}{left}", training.epoch, training.total);
            ui.label(RichText::new(text).small());
        }
    }
}

fn open(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        theme::caption(ui, "OPEN");
        right(ui, |ui| {
            if ui
                .button("Run…")
                .on_hover_text("choose a run folder that was trained here")
                .clicked()
            {
                commands.push(Command::ChooseRun);
            }
            if ui
                .button("Checkpoint…")
                .on_hover_text("choose a PyTorch or safetensors file (Ctrl+O)")
                .clicked()
            {
                commands.push(Command::ChooseCheckpoint);
            }
        });
    });
    let edit = ui
        .add(
            TextEdit::singleline(&mut state.form.open)
                .desired_width(ui.available_width() - 8.0)
                .hint_text("checkpoint.pt, or a run folder"),
        )
        .on_hover_text(
            "path of a PyTorch or safetensors file (with ::key an entry of it), or of a run folder; Enter opens it. \
             What is dropped on the window opens, too",
        );
    name(&edit, "Path to open");
    let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    if entered && !state.form.open.trim().is_empty() {
        commands.push(Command::Open(state.form.open.trim().to_owned()));
    }
}

fn run(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let Some(run) = &state.run else { return };
    let palette = theme::palette(ui.ctx());
    ui.add_space(4.0);
    ui.separator();
    theme::caption(ui, if run.checkpoint { "OPEN CHECKPOINT" } else { "THIS RUN" });
    ui.label(RichText::new(format!("{} on {}", run.record.model, run.record.data)).strong());
    let share = 100.0 * run.batch_norm_parameters as f64 / run.parameters.max(1) as f64;
    let seed = match run.checkpoint {
        true => String::new(),
        false => format!(" · seed {}", run.record.options.seed),
    };
    let about = format!("{} parameters, {share:.1} % batch norm{seed}", run.parameters);
    ui.label(RichText::new(about).small().color(palette.faint));
    for note in &run.notes {
        ui.label(RichText::new(note).small().color(palette.faint));
    }
    if let RunStatus::Diverged(message) = &run.record.status {
        ui.add(egui::Label::new(RichText::new(message).small().color(palette.warning)).wrap());
    }
    let results = state.results();
    if results.last.is_some() {
        ui.spacing_mut().interact_size.y = 17.0;
        egui::Grid::new("results")
            .num_columns(4)
            .spacing([12.0, 3.0])
            .show(ui, |ui| {
                for head in ["bn recompute", "train", "test", "test acc."] {
                    ui.label(RichText::new(head).small().color(palette.faint));
                }
                ui.end_row();
                for (name, measured) in [
                    ("Last SGD", results.last),
                    ("SWA", results.swa),
                    ("SGD", results.sgd),
                ] {
                    if let Some(m) = measured {
                        ui.label(name);
                        ui.label(RichText::new(format!("{:.3}", m.train.loss)).color(palette.train));
                        ui.label(RichText::new(format!("{:.3}", m.test.loss)).color(palette.test));
                        ui.label(format!("{:.1} %", 100.0 * m.test.accuracy));
                        ui.end_row();
                    }
                }
            })
            .response
            .on_hover_text("losses with batch-norm statistics recomputed at each solution:\nthe last SGD iterate, the average (SWA), and SGD started from the average");
    }
    let unfinished = run.record.status == RunStatus::Unfinished && state.training.is_none();
    if unfinished
        && ui
            .button("Continue this run")
            .on_hover_text("train on from its last whole epoch")
            .clicked()
    {
        commands.push(Command::Continue);
    }
}

/// Seconds as people say them.
pub fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        "under 1 s".to_owned()
    } else if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else if seconds < 5400.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

/// Gives a widget its accessible name.
pub fn name(response: &egui::Response, name: &str) {
    response
        .ctx
        .accesskit_node_builder(response.id, |node| node.set_label(name));
}

fn right<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), add)
        .inner
}

/// A list of names with one line each, of which a click takes one.
pub fn examples(text: &mut String, ui: &mut Ui, known: &[(&str, &str)]) {
    for (name, explanation) in known {
        if ui.button(*name).on_hover_text(*explanation).clicked() {
            *text = (*name).to_owned();
            ui.close();
        }
    }
}

/// A text field with a name before it and a list of examples behind it. True when it is left with Enter.
pub fn text_row(
    ui: &mut Ui,
    label: &str,
    text: &mut String,
    [placeholder, hint]: [&str; 2],
    examples: impl FnOnce(&mut String, &mut Ui),
) -> bool {
    let edit = ui.horizontal(|ui| {
        let name = ui.label(label);
        right(ui, |ui| {
            let menu = ComboBox::from_id_salt(label)
                .width(0.0)
                .selected_text("")
                .show_ui(ui, |ui| examples(text, ui))
                .response
                .on_hover_text("examples");
            self::name(&menu, &format!("Examples of {}", label.to_lowercase()));
            // A long path is not seen whole in the field.
            let edit_is_long = text.len() > 16;
            let long_hint = format!("{text}\n\n{hint}");
            // Named, so that the keyboard stays with this field when others come and go around it.
            let edit = TextEdit::singleline(text)
                .id_salt(("text", label))
                .hint_text(placeholder)
                .desired_width(ui.available_width() - 4.0);
            let hint = if edit_is_long { &long_hint } else { hint };
            ui.add(edit).labelled_by(name.id).on_hover_text(hint)
        })
    });
    edit.inner.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter))
}

/// Hyper-parameters, two in a row.
fn options(ui: &mut Ui, options: &mut TrainingOptions) {
    egui::Grid::new("options")
        .num_columns(4)
        .spacing([6.0, 5.0])
        .show(ui, |ui| {
            ui.spacing_mut().button_padding.x = 5.0;
            number(ui, "Epochs", &mut options.epochs, "epochs of the main phase (--epochs)");
            number(
                ui,
                "Batch",
                &mut options.batch_size,
                "images a training batch (--batch-size)",
            );
            ui.end_row();
            rate(
                ui,
                "Rate",
                &mut options.learning_rate,
                "learning rate η at the start: constant until half the way to averaging, then linear down (--lr)",
            );
            rate(
                ui,
                "Momentum",
                &mut options.momentum,
                "μ of v ← μ·v + g, w ← w − η·v (--momentum)",
            );
            ui.end_row();
            rate(
                ui,
                "Decay",
                &mut options.weight_decay,
                "weight decay λ of g ← ∇L + λ·w, as in PyTorch's SGD (--weight-decay)",
            );
            seed(ui, &mut options.seed);
            ui.end_row();
            number(
                ui,
                "SWA from",
                &mut options.swa_start,
                "first epoch whose weights enter the average (SWA); 0 for no averaging (--swa-start)",
            );
            rate(
                ui,
                "SWA rate",
                &mut options.swa_learning_rate,
                "learning rate while averaging (--swa-lr)",
            );
            ui.end_row();
            number(
                ui,
                "SGD for",
                &mut options.sgd_epochs,
                "epochs of SGD started from the average (--sgd-epochs)",
            );
            rate(
                ui,
                "SGD rate",
                &mut options.sgd_learning_rate,
                "learning rate of those epochs (--sgd-lr)",
            );
            ui.end_row();
        });
}

fn value(ui: &mut Ui, label: &str, hint: &str, value: DragValue) {
    let faint = theme::palette(ui.ctx()).faint;
    let name = ui.label(RichText::new(label).color(faint)).on_hover_text(hint);
    ui.add(value).labelled_by(name.id).on_hover_text(hint);
}

fn number(ui: &mut Ui, label: &str, number: &mut usize, hint: &str) {
    value(ui, label, hint, DragValue::new(number).speed(0.3));
}

fn rate(ui: &mut Ui, label: &str, rate: &mut f64, hint: &str) {
    let speed = (rate.abs() * 0.01).max(1e-5);
    // As many digits as the number has: 0.0003 is not shown as 0.00030.
    let shown = DragValue::new(rate)
        .speed(speed)
        .custom_formatter(|value, _| format!("{}", (value * 1e9).round() / 1e9));
    value(ui, label, hint, shown);
}

fn seed(ui: &mut Ui, seed: &mut u64) {
    value(
        ui,
        "Seed",
        "of the initial weights, the order of the data and its augmentation",
        DragValue::new(seed).speed(0.1),
    );
}
