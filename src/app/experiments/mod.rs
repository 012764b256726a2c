//! The page of experiments: the papers' figures and tables made anew, with claim, cost and verdict. It takes the window
//! below the top bar; what runs goes on where it is left.

mod figure;
mod form;
mod list;
mod page;
mod pictures;
mod visit;
mod words;

use std::rc::Rc;

use egui::{CentralPanel, Panel, Ui};

pub use self::form::Experiments;
use super::command::Command;
use super::export::Effect;
use super::state::State;
use super::theme;
use crate::experiment::recipe::Recipe;

/// The page.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let context = ui.ctx().clone();
    let stage = CentralPanel::default().frame(theme::stage_frame(&context));
    if state.experiments.enlarged.is_some() {
        stage.show(ui, |ui| page::enlarged(ui, state, commands));
        return;
    }
    Panel::left("experiments")
        .exact_size(list::WIDTH)
        .frame(theme::panel_frame(&context))
        .show(ui, |ui| list::show(ui, state, commands));
    stage.show(ui, |ui| page::show(ui, state, commands));
}

/// What the page asks for when it is opened for the first time: what was made before, and what the others take.
pub fn opened(state: &mut State) -> Vec<Effect> {
    if !state.experiments.recipes.is_empty() {
        return Vec::new();
    }
    match Recipe::built_in() {
        Ok(recipes) => state.experiments.recipes = recipes.into_iter().map(Rc::new).collect(),
        Err(error) => {
            state.notice(error.to_string(), true);
            return Vec::new();
        }
    }
    let experiments = &state.experiments;
    let recipes = experiments.recipes.iter().map(|recipe| (**recipe).clone());
    let read = Effect::Outcomes(recipes.collect(), experiments.folder.clone());
    std::iter::once(read).chain(estimate(experiments)).collect()
}

/// Makes experiments, one after another, after those that run and wait.
pub fn run(state: &mut State, names: Vec<String>) -> Vec<Effect> {
    let experiments = &mut state.experiments;
    for name in names {
        if !experiments.is_running(&name) && !experiments.is_waiting(&name) {
            experiments.waiting.push_back(name);
        }
    }
    next(experiments).into_iter().collect()
}

/// Stops the one that runs, and lets those that wait be.
pub fn stop(state: &mut State) -> Vec<Effect> {
    state.experiments.waiting.clear();
    let running = state.experiments.running.is_some();
    running.then_some(Effect::StopExperiment).into_iter().collect()
}

/// Goes on when one has ended: the next one begins, and after the last it is asked again what all take, since what is
/// kept makes others cheaper.
pub fn go_on(state: &mut State) -> Vec<Effect> {
    let experiments = &mut state.experiments;
    match next(experiments) {
        Some(next) => vec![next],
        None => estimate(experiments).into_iter().collect(),
    }
}

/// Asks what all experiments take, once the page was open.
fn estimate(experiments: &Experiments) -> Option<Effect> {
    let recipes: Vec<Recipe> = experiments.recipes.iter().map(|recipe| (**recipe).clone()).collect();
    (!recipes.is_empty()).then(|| Effect::Estimate(recipes, experiments.folder.clone()))
}

/// Begins the next one that waits, where none runs.
fn next(experiments: &mut Experiments) -> Option<Effect> {
    if experiments.running.is_some() {
        return None;
    }
    let name = experiments.waiting.pop_front()?;
    let recipe = experiments.recipes.iter().find(|recipe| recipe.name == name)?;
    let recipe = Box::new((**recipe).clone());
    experiments.running = Some(name);
    experiments.status = None;
    Some(Effect::Experiment(recipe, experiments.folder.clone()))
}
