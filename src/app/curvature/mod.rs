//! The page of the curvature: the spectrum of the Hessian at a point as it is found, and what the theory of dynamical
//! stability says of it there and along the run. It takes the window below the top bar; what it finds stops when it is
//! left.

mod along_run;
mod asking;
mod diagram;
mod form;
mod settings;
mod spectrum;
mod stability;
#[cfg(test)]
mod testing;
mod visit;

use egui::{Button, CentralPanel, Panel, RichText, ScrollArea, Ui};

pub use self::settings::Curvature;
use self::settings::Tab;
use super::command::Command;
use super::dynamics;
use super::page::Page;
use super::state::State;
use super::theme;

/// The page.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    Panel::top("curvature tabs")
        .frame(theme::panel_frame(ui.ctx()))
        .show(ui, |ui| tabs(ui, state));
    match state.curvature.tab {
        Tab::Spectrum => spectrum(ui, state, commands),
        Tab::AlongRun => along_run(ui, state, commands),
        Tab::Race => dynamics(ui, |ui| dynamics::race(ui, &mut state.curvature.race)),
        Tab::Smoothing => dynamics(ui, |ui| dynamics::smoothing(ui, &mut state.curvature.smoothing)),
    }
}

/// A view that needs no run.
fn dynamics(ui: &mut Ui, show: impl FnOnce(&mut Ui)) {
    let stage = theme::stage_frame(ui.ctx());
    CentralPanel::default().frame(stage).show(ui, |ui| {
        ScrollArea::vertical().show(ui, show);
    });
}

fn tabs(ui: &mut Ui, state: &mut State) {
    ui.horizontal(|ui| {
        for tab in Tab::ALL {
            let button = Button::selectable(state.curvature.tab == tab, tab.name());
            if ui.add(button).on_hover_text(tab.explanation()).clicked() {
                state.curvature.tab = tab;
            }
        }
    });
}

/// What is asked on the left, the spectrum in the middle, and what SGD makes of it on the right.
fn spectrum(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let context = ui.ctx().clone();
    let (panel, stage) = (theme::panel_frame(&context), theme::stage_frame(&context));
    if state.run.is_none() {
        let words = [
            "No point to measure yet",
            "Train the built-in example, or open a run or a checkpoint on the stage; the curvature at its weights \
             appears here.",
        ];
        CentralPanel::default()
            .frame(stage)
            .show(ui, |ui| nothing(ui, state, words, commands));
        return;
    }
    Panel::left("curvature form")
        .exact_size(form::WIDTH)
        .frame(panel)
        .show(ui, |ui| {
            ScrollArea::vertical().show(ui, |ui| form::show(ui, state, commands));
        });
    Panel::right("stability")
        .exact_size(stability::WIDTH)
        .frame(panel)
        .show(ui, |ui| {
            ScrollArea::vertical().show(ui, |ui| stability::show(ui, state));
        });
    CentralPanel::default()
        .frame(stage)
        .show(ui, |ui| spectrum::show(ui, state, commands));
}

/// The curvature at every epoch, where there are epochs.
fn along_run(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let words = match &state.run {
        None => [
            "No run to measure yet",
            "Train the built-in example, or open a run folder on the stage; the sharpness of every epoch appears here.",
        ],
        Some(run) if run.checkpoint => [
            "A checkpoint has no trajectory",
            "Open a run folder or train the example: the sharpness of every epoch appears here.",
        ],
        Some(_) => return along_run::show(ui, state, commands),
    };
    CentralPanel::default()
        .frame(theme::stage_frame(ui.ctx()))
        .show(ui, |ui| nothing(ui, state, words, commands));
}

/// What stands where there is nothing to measure, and what to do next.
fn nothing(ui: &mut Ui, state: &State, [heading, text]: [&str; 2], commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.32);
        if let Some(pending) = state.pending {
            ui.spinner();
            ui.label(RichText::new(pending).color(palette.faint));
            return;
        }
        ui.label(RichText::new(heading).heading());
        ui.add_space(4.0);
        ui.label(RichText::new(text).color(palette.faint));
        ui.add_space(8.0);
        let train = ui.button("Train the example");
        if train
            .on_hover_text("the curvature is then that of the weights being trained")
            .clicked()
        {
            commands.push(Command::Train);
        }
        if ui
            .button("Go to the stage")
            .on_hover_text("a run or a checkpoint is opened there (C)")
            .clicked()
        {
            commands.push(Command::Page(Page::Explore));
        }
    });
}
