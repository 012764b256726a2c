//! Left: the experiments as cards, and what is done with all of them.

use egui::text::LayoutJob;
use egui::{
    Align, Button, Color32, FontId, Frame, Image, Label, ProgressBar, Rect, RichText, Role, ScrollArea, Sense, Stroke,
    StrokeKind, Ui, Vec2, WidgetInfo,
};

use super::{Experiments, words};
use crate::app::command::Command;
use crate::app::source::duration;
use crate::app::state::State;
use crate::app::theme::{self, Palette};
use crate::experiment::outcome::Answer;
use crate::experiment::recipe::{Recipe, papers};

/// Width of the list.
pub const WIDTH: f32 = 372.0;
/// Size of a first figure in small.
const THUMBNAIL: Vec2 = egui::vec2(160.0, 100.0);

/// The panel.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    all(ui, state, commands);
    ui.add_space(4.0);
    let experiments = &mut state.experiments;
    ScrollArea::vertical()
        .id_salt("experiments")
        .auto_shrink([false, false])
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            // Room for the bar that scrolls.
            ui.set_max_width(ui.available_width() - 8.0);
            let recipes = experiments.recipes.clone();
            for paper in papers(recipes.iter().map(AsRef::as_ref)) {
                ui.add_space(6.0);
                theme::caption(ui, &paper.to_uppercase());
                for index in (0..recipes.len()).filter(|&index| recipes[index].paper == paper) {
                    card(ui, experiments, index);
                }
            }
        });
}

/// What is done with all experiments, and on a first visit what they are.
fn all(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui.ctx());
    let experiments = &state.experiments;
    let left = experiments.not_made();
    ui.horizontal(|ui| {
        let white = RichText::new("Run all").strong().color(Color32::WHITE);
        let button = Button::new(white)
            .fill(ui.visuals().selection.bg_fill)
            .min_size(egui::vec2(84.0, 28.0));
        let seconds: f64 = left
            .iter()
            .filter_map(|name| experiments.estimate(name)?)
            .map(|estimate| estimate.training + estimate.measuring)
            .sum();
        let mut hint = format!(
            "makes those that are not made yet, {} of them, one after another",
            left.len()
        );
        if experiments.estimates.is_some() {
            let at_most = duration(seconds);
            hint += &format!(": {at_most} at most, as runs that several of them share are trained once");
        }
        let nothing = "all of them are made, are being made or wait";
        if ui
            .add_enabled(!left.is_empty(), button)
            .on_hover_text(hint)
            .on_disabled_hover_text(nothing)
            .clicked()
        {
            commands.push(Command::RunExperiments(left.clone()));
        }
        let busy = experiments.running.is_some();
        let hint =
            "stops what runs, and those that wait; runs and measurements that are done are kept, and taken up next time";
        if ui
            .add_enabled(busy, Button::new("Stop").min_size(egui::vec2(64.0, 28.0)))
            .on_hover_text(hint)
            .on_disabled_hover_text("nothing runs")
            .clicked()
        {
            commands.push(Command::StopExperiments);
        }
        ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| {
            let text = format!("{} of {} made", experiments.made.len(), experiments.recipes.len());
            ui.label(RichText::new(text).color(palette.faint));
        });
    });
    if experiments.made.is_empty() {
        let text = format!(
            "The papers' experiments, made anew on this machine ({}): claim, figures, numbers and verdict of each. A \
             card says what it takes before it starts; runs and results go to {}.",
            state.device,
            experiments.folder.display()
        );
        ui.add(Label::new(RichText::new(text).color(palette.faint)).wrap());
    }
}

fn card(ui: &mut Ui, experiments: &mut Experiments, index: usize) {
    let recipe = experiments.recipes[index].clone();
    let chosen = experiments.chosen == index;
    let palette = theme::palette(ui.ctx());
    let mut prepared = Frame::NONE.inner_margin(8).corner_radius(8).begin(ui);
    let content = &mut prepared.content_ui;
    content.set_width(content.available_width());
    content.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing = egui::vec2(10.0, 3.0);
        thumbnail(ui, experiments, &recipe, &palette);
        ui.vertical(|ui| {
            ui.add(Label::new(RichText::new(&recipe.title).strong()).wrap());
            let figures = RichText::new(recipe.figures.join(", ")).small();
            ui.add(Label::new(figures.color(palette.faint)).wrap());
            ui.add_space(2.0);
            standing(ui, experiments, &recipe, &palette);
        });
    });
    let response = prepared.allocate_space(ui).interact(Sense::click());
    let visuals = ui.visuals();
    prepared.frame.fill = match (chosen, response.hovered()) {
        (true, _) => visuals.selection.bg_fill.gamma_multiply(0.28),
        (false, true) => visuals.widgets.hovered.weak_bg_fill.gamma_multiply(0.5),
        (false, false) => Color32::TRANSPARENT,
    };
    prepared.paint(ui);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &recipe.title));
    if response.clicked() {
        experiments.choose(index);
    }
}

/// How far it is: what was found, what it will take, or that it runs or waits.
fn standing(ui: &mut Ui, experiments: &Experiments, recipe: &Recipe, palette: &Palette) {
    if experiments.is_running(&recipe.name) {
        let status = experiments.status.as_ref();
        let bar = ProgressBar::new(status.map_or(0.0, |status| status.done as f32));
        ui.add(bar.desired_width(ui.available_width()).desired_height(6.0));
        let what = status.map_or("starting", |status| status.what.as_str());
        ui.add(Label::new(RichText::new(what).small().color(palette.faint)).truncate());
    } else if experiments.is_waiting(&recipe.name) {
        ui.label(RichText::new("waiting").small().strong().color(palette.faint));
    } else if let Some(made) = experiments.made.get(&recipe.name) {
        badge(ui, made.outcome.verdict.answer, palette);
    } else {
        let text = words::estimate(recipe, experiments.estimate(&recipe.name));
        ui.add(Label::new(RichText::new(text).small()).wrap());
    }
}

/// A verdict: its word, in its colour, behind a disc that is full, half full or empty.
pub fn badge(ui: &mut Ui, answer: Answer, palette: &Palette) {
    let colour = palette.answer(answer);
    Frame::NONE
        .fill(colour.gamma_multiply(0.14))
        .stroke(Stroke::new(1.0, colour.gamma_multiply(0.6)))
        .corner_radius(9)
        .inner_margin(egui::Margin::symmetric(8, 2))
        .show(ui, |ui| {
            // As low as its text.
            ui.spacing_mut().interact_size.y = 14.0;
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 6.0;
                let (place, _) = ui.allocate_exact_size(Vec2::splat(9.0), Sense::hover());
                let painter = ui.painter();
                let full = match answer {
                    Answer::Shown => Some(place),
                    Answer::PartlyShown => Some(Rect::from_min_max(place.min, place.center_bottom())),
                    Answer::NotShown => None,
                };
                if let Some(full) = full {
                    let inside = painter.with_clip_rect(full.intersect(painter.clip_rect()));
                    inside.circle_filled(place.center(), 4.0, colour);
                }
                painter.circle_stroke(place.center(), 4.0, Stroke::new(1.2, colour));
                ui.label(RichText::new(answer.name()).small().strong().color(colour));
            });
        });
}

/// The first figure in small, or the numbers of the paper's where there is none yet.
fn thumbnail(ui: &mut Ui, experiments: &mut Experiments, recipe: &Recipe, palette: &Palette) {
    let (place, _) = ui.allocate_exact_size(THUMBNAIL, Sense::hover());
    if !ui.is_rect_visible(place) {
        return;
    }
    if let Some(texture) = experiments.pictures.thumbnail(ui.ctx(), &recipe.name) {
        let size = texture.size_vec2();
        let scale = (place.width() / size.x).min(place.height() / size.y);
        let fitted = Rect::from_center_size(place.center(), size * scale);
        // White paper dazzles in a dark room.
        let tint = if ui.visuals().dark_mode { 225 } else { 255 };
        Image::from_texture((texture.id(), size))
            .corner_radius(5)
            .tint(Color32::from_gray(tint))
            .paint_at(ui, fitted);
        return;
    }
    let faint = palette.faint.gamma_multiply(0.6);
    let painter = ui.painter_at(place);
    painter.rect_filled(place, 5.0, ui.visuals().extreme_bg_color);
    let border = Stroke::new(1.0, palette.grid.gamma_multiply(0.7));
    painter.rect_stroke(place, 5.0, border, StrokeKind::Inside);
    let first = recipe.figures.first().cloned().unwrap_or_default();
    let mut job = LayoutJob::simple(first, FontId::proportional(21.0), faint, place.width() - 20.0);
    job.halign = Align::Center;
    let words = painter.layout_job(job);
    let at = egui::pos2(place.center().x, place.center().y - 0.5 * words.size().y);
    painter.galley(at, words, faint);
}
