//! Right: one experiment. What is claimed, what was measured here and what was published; its figures, tables and
//! settings; and the button that makes it.

use egui::{Align, Button, Color32, Grid, Label, Layout, ProgressBar, RichText, ScrollArea, Ui, Vec2};

use super::{figure, list, words};
use crate::app::command::Command;
use crate::app::source::{duration, name};
use crate::app::state::State;
use crate::app::theme;
use crate::experiment::outcome::{Figure, Made, Table};
use crate::experiment::recipe::Recipe;
use crate::figure::experiment::settings;

/// Widest that a page is: longer lines are hard to read.
const WIDEST: f32 = 1240.0;
/// Height of the figure that answers, and of the others.
const HEIGHTS: [f32; 2] = [350.0, 260.0];
/// Room between figures.
const BETWEEN: f32 = 16.0;
/// Below this width figures are not set side by side.
const NARROW: f32 = 640.0;
/// Size of what is claimed and measured.
const TEXT: f32 = 14.5;

/// The panel.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let Some(recipe) = state.experiments.on_page() else {
        return;
    };
    let made = state.experiments.made.get(&recipe.name).cloned();
    ScrollArea::vertical()
        .id_salt(("experiment", &recipe.name))
        .auto_shrink([false, false])
        .show(ui, |ui| {
            ui.set_max_width((ui.available_width() - 12.0).min(WIDEST));
            head(ui, &recipe);
            action(ui, state, &recipe, made.as_deref(), commands);
            ui.add_space(12.0);
            claims(ui, &recipe, made.as_deref());
            if let Some(made) = &made {
                ui.add_space(14.0);
                figures(ui, state, &recipe, made, commands);
                for (index, one) in made.outcome.tables.iter().enumerate() {
                    ui.add_space(14.0);
                    table(ui, (recipe.name.as_str(), index), one);
                }
            }
            ui.add_space(16.0);
            ui.separator();
            pairs(ui, &settings(&recipe));
            files(ui, state, &recipe, made.is_some());
            ui.add_space(12.0);
        });
}

/// One figure on the whole page, where one is to have it.
pub fn enlarged(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let experiments = &state.experiments;
    let recipe = experiments.on_page();
    let made = recipe
        .as_ref()
        .and_then(|recipe| experiments.made.get(&recipe.name).cloned());
    let wanted = experiments.enlarged.clone().unwrap_or_default();
    let figures: &[Figure] = made.as_ref().map_or(&[], |made| &made.outcome.figures);
    let figure = figures.iter().find(|figure| figure.name == wanted);
    let (Some(recipe), Some(figure)) = (&recipe, figure) else {
        // It was made anew, and has no such figure any more.
        state.experiments.enlarged = None;
        return;
    };
    // Below it, how it was made; above it, title and buttons.
    let size = ui.available_size() - Vec2::new(0.0, 84.0);
    figure::show(ui, state, (recipe.as_ref(), figure), (size, true), commands);
}

fn head(ui: &mut Ui, recipe: &Recipe) {
    let palette = theme::palette(ui.ctx());
    ui.add(Label::new(RichText::new(&recipe.title).size(22.0).strong()).wrap());
    let figures = format!("{}: {}", recipe.paper, recipe.figures.join(" · "));
    ui.add(Label::new(RichText::new(figures).color(palette.faint)).wrap());
    ui.add_space(8.0);
}

/// The button that makes it, with what that takes; or how far it is.
fn action(ui: &mut Ui, state: &State, recipe: &Recipe, made: Option<&Made>, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    let experiments = &state.experiments;
    let known = experiments.estimate(&recipe.name);
    if experiments.is_running(&recipe.name) {
        ui.horizontal(|ui| {
            let button = Button::new("Stop experiment").min_size(egui::vec2(150.0, 32.0));
            if ui
                .add(button)
                .on_hover_text("runs and measurements that are done are kept, and taken up next time")
                .clicked()
            {
                commands.push(Command::StopExperiments);
            }
            ui.vertical(|ui| {
                let Some(status) = &experiments.status else {
                    ui.label(RichText::new("starting …").color(palette.faint));
                    return;
                };
                let bar = ProgressBar::new(status.done as f32).desired_height(6.0);
                ui.add(bar.desired_width(ui.available_width().min(520.0)));
                let mut text = format!("{} · {:.0} %", status.what, 100.0 * status.done);
                text += &format!(" · {} so far", duration(status.since.elapsed().as_secs_f64()));
                if let Some(Some(estimate)) = known {
                    text += &format!(" of {}", words::total(recipe, estimate));
                }
                ui.add(Label::new(RichText::new(text).small().color(palette.faint)).wrap());
            });
        });
        return;
    }
    if experiments.is_waiting(&recipe.name) {
        let before = experiments.running.as_deref().unwrap_or_default();
        ui.label(RichText::new(format!("waiting for its turn; {before} runs")).color(palette.faint));
        return;
    }
    ui.horizontal_wrapped(|ui| {
        let word = if made.is_some() { "Run again" } else { "Run" };
        // Of what is made already, runs and measurements are kept.
        let unmade = known.flatten().filter(|_| made.is_none());
        let takes = unmade.map_or(String::new(), |estimate| {
            format!(" · {}", words::total(recipe, estimate))
        });
        let text = RichText::new(word.to_owned() + &takes).strong().size(TEXT);
        let button = Button::new(text.color(Color32::WHITE))
            .fill(ui.visuals().selection.bg_fill)
            .min_size(egui::vec2(150.0, 32.0));
        let mut hint = format!(
            "trains and measures what is not kept already, with {}; the window stays usable",
            state.device
        );
        if let Some(running) = &experiments.running {
            hint += &format!("; begins when {running} ends");
        }
        let response = ui.add(button).on_hover_text(hint);
        name(&response, &format!("{word} {}", recipe.name));
        if response.clicked() {
            commands.push(Command::RunExperiments(vec![recipe.name.clone()]));
        }
        let text = match made {
            Some(made) => words::cost(made.cost),
            None => words::estimate(recipe, known),
        };
        ui.label(RichText::new(text).color(palette.faint))
            .on_hover_text("from nothing; runs that several experiments share are counted with each");
    });
}

/// What is claimed, what was measured and what was published, side by side.
fn claims(ui: &mut Ui, recipe: &Recipe, made: Option<&Made>) {
    let palette = theme::palette(ui.ctx());
    // Columns would spread words over their width.
    let text = |ui: &mut Ui, words: &str| {
        ui.with_layout(Layout::top_down(Align::LEFT), |ui| {
            let words = RichText::new(words::legible(words)).size(TEXT);
            ui.add(Label::new(words).wrap().selectable(true));
        });
    };
    let has_published = !recipe.published.is_empty();
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.x = 28.0;
        ui.columns(if has_published { 3 } else { 2 }, |columns| {
            theme::caption(&mut columns[0], "CLAIMED");
            text(&mut columns[0], &recipe.claim);
            theme::caption(&mut columns[1], "MEASURED HERE");
            match made {
                Some(made) => {
                    let verdict = &made.outcome.verdict;
                    columns[1].horizontal(|ui| list::badge(ui, verdict.answer, &palette));
                    text(&mut columns[1], &verdict.measured);
                }
                None => {
                    let nothing = RichText::new("nothing yet").size(TEXT).color(palette.faint);
                    columns[1].label(nothing);
                }
            }
            if has_published {
                theme::caption(&mut columns[2], "WHAT THE PAPER PUBLISHED");
                columns[2].with_layout(Layout::top_down(Align::LEFT), |ui| published(ui, recipe));
            }
        });
    });
}

/// What the paper published, a line each where that fits.
fn published(ui: &mut Ui, recipe: &Recipe) {
    let palette = theme::palette(ui.ctx());
    ui.spacing_mut().item_spacing = egui::vec2(8.0, 3.0);
    for one in &recipe.published {
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(words::legible(&one.what)).small().color(palette.faint));
            ui.add(Label::new(words::legible(&one.value)).selectable(true));
        });
    }
}

/// The figure that answers over the whole width, the others two in a row.
fn figures(ui: &mut Ui, state: &mut State, recipe: &Recipe, made: &Made, commands: &mut Vec<Command>) {
    let width = ui.available_width();
    let Some((first, others)) = made.outcome.figures.split_first() else {
        return;
    };
    let size = Vec2::new(width, HEIGHTS[0]);
    figure::show(ui, state, (recipe, first), (size, true), commands);
    let across = if width < NARROW { 1 } else { 2 };
    let size = Vec2::new((width - BETWEEN) / across as f32, HEIGHTS[1]);
    for row in others.chunks(across) {
        ui.add_space(10.0);
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = BETWEEN;
            for one in row {
                figure::show(ui, state, (recipe, one), (size, false), commands);
            }
        });
    }
}

fn table(ui: &mut Ui, (experiment, index): (&str, usize), table: &Table) {
    let palette = theme::palette(ui.ctx());
    ui.add(Label::new(RichText::new(words::legible(&table.caption)).strong()).wrap());
    ui.add_space(2.0);
    let key = ("table", experiment, index);
    ScrollArea::horizontal().id_salt(key).show(ui, |ui| {
        Grid::new(key)
            .striped(true)
            .spacing([20.0, 4.0])
            .min_col_width(0.0)
            .min_row_height(19.0)
            .show(ui, |ui| {
                for head in &table.header {
                    let head = RichText::new(words::legible(head))
                        .small()
                        .strong()
                        .color(palette.faint);
                    ui.add(Label::new(head).extend());
                }
                ui.end_row();
                for row in &table.rows {
                    for cell in row {
                        ui.add(Label::new(words::legible(cell)).extend().selectable(true));
                    }
                    ui.end_row();
                }
            });
        // The bar that scrolls lies below the last row, not over it.
        ui.add_space(8.0);
    });
}

/// A table of two columns, the second wrapped.
fn pairs(ui: &mut Ui, table: &Table) {
    let palette = theme::palette(ui.ctx());
    theme::caption(ui, &table.caption.to_uppercase());
    for row in &table.rows {
        let [what, value] = row.as_slice() else { continue };
        ui.horizontal_top(|ui| {
            let width = 96.0;
            ui.allocate_ui(egui::vec2(width, 0.0), |ui| {
                ui.set_width(width);
                ui.add(Label::new(RichText::new(what).color(palette.faint)).wrap());
            });
            ui.add(Label::new(value.as_str()).wrap().selectable(true));
        });
    }
}

/// Where its files lie.
fn files(ui: &mut Ui, state: &State, recipe: &Recipe, made: bool) {
    let palette = theme::palette(ui.ctx());
    let words = match made {
        true => "Its page, figures (PNG, SVG) and numbers (CSV, JSON) are in",
        false => "Its page, figures (PNG, SVG) and numbers (CSV, JSON) will be in",
    };
    ui.add_space(4.0);
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(words).color(palette.faint));
        let path = state.experiments.folder.join(&recipe.name).display().to_string();
        ui.add(Label::new(RichText::new(path).monospace()).selectable(true));
    });
}
