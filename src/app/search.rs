//! The search for asymmetric directions: a small window with what to draw, how far it is, and the best found so far. A
//! click on one of them looks along it.

use egui::{
    Align, Align2, Button, ComboBox, Context, DragValue, FontId, Grid, Label, Layout, ProgressBar, RichText, Role,
    Sense, Ui, WidgetInfo, Window, pos2, vec2,
};

use super::command::Command;
use super::look::Picture;
use super::source::{duration, name};
use super::state::State;
use super::theme;
use crate::engine::{SearchRequest, SearchView};
use crate::experiment::outcome::significant;
use crate::figure::chart::number;
use crate::landscape::asymmetry::ASYMMETRIC;
use crate::landscape::{Basis, Certificate, DirectionKind, Normalisation, Side};

/// Width of what is in the window, and of the window with its margins.
const WIDTH: f32 = 236.0;
const OUTER_WIDTH: f32 = WIDTH + 14.0;
/// Where it opens, beside the pad and below the reading: its distance from the right, as a length, and from the top, as
/// a share of the screen.
const PLACE: (f32, f32) = (6.0, 0.38);
/// Height of a row of the list, and where its columns begin.
const ROW: f32 = 20.0;
const COLUMNS: [f32; 4] = [6.0, 64.0, 118.0, 154.0];

/// What is found, as a formula.
const DEFINITION: &str = "Definition 1 of Asymmetric Valleys, of the train loss L(w + l·u) with ‖u‖ = 1: over an \
                          interval of distances from w,\nthe slope going out is below p on the flat side and above c·p \
                          on the other (p > 0, c > 1).\nc is the largest over all intervals at least as long as asked; \
                          slopes are differences between neighbouring positions";

/// What to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchForm {
    /// Whether the window for it is open.
    pub open: bool,
    /// How directions are drawn.
    pub kind: DirectionKind,
    /// How many.
    pub draws: u64,
    /// Seed of the first; the others have the seeds after it.
    pub first_seed: u64,
    /// Shortest interval that c may be about, a distance.
    pub width: f64,
}

impl Default for SearchForm {
    fn default() -> Self {
        Self {
            open: false,
            kind: DirectionKind::Uniform,
            draws: 20,
            first_seed: 1,
            width: 1.0,
        }
    }
}

impl State {
    /// Whether a search goes on.
    pub fn is_searching(&self) -> bool {
        self.searched.as_ref().is_some_and(|view| !view.finished)
    }

    /// Opens or closes the window. Where nothing was searched yet, directions are offered as the pad's first is drawn.
    pub fn toggle_search(&mut self) {
        self.search.open = !self.search.open;
        if self.search.open && self.searched.is_none() {
            self.search.kind = match self.look.first {
                Basis::Random(kind, _) => kind,
                _ => DirectionKind::Uniform,
            };
        }
    }

    /// What the worker is asked for: directions through the point where one stands.
    pub fn search_request(&self, form: &SearchForm) -> Option<SearchRequest> {
        let run = self.run.as_ref()?;
        Some(SearchRequest {
            session: run.session,
            anchor: self.look.anchor,
            walk: self.look.walk.clone(),
            kind: form.kind,
            first_seed: form.first_seed,
            draws: form.draws,
            policy: self.look.policy,
            reach: self.look.reach,
            width: form.width,
        })
    }

    /// Looks along a direction of the search as it was measured: from the same point, of unit length, over the same
    /// range and under the same policy.
    pub fn look_along(&mut self, kind: DirectionKind, seed: u64) {
        let Some(view) = self.searched.clone() else { return };
        let request = &view.request;
        self.playing = false;
        self.show_picture(Picture::Direction);
        let look = &mut self.look;
        look.anchor = request.anchor;
        look.walk.clone_from(&request.walk);
        (look.policy, look.reach) = (request.policy, request.reach);
        (look.first, look.angle) = (Basis::Random(kind, seed), 0.0);
        look.normalisation = Normalisation::Unit;
        look.position = 0.0;
        look.surface.reset_place();
    }

    /// Whether the look is along a direction of the search.
    fn looks_along(&self, request: &SearchRequest, seed: u64) -> bool {
        let look = &self.look;
        look.picture == Picture::Direction
            && (look.first, look.angle) == (Basis::Random(request.kind, seed), 0.0)
            && look.normalisation == Normalisation::Unit
            && (look.anchor, &look.walk) == (request.anchor, &request.walk)
    }
}

/// The button at the pad that opens the window.
pub fn button(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    if state.run.is_none() || state.look.picture != Picture::Direction {
        return;
    }
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let text = if state.is_searching() {
            "Searching…"
        } else {
            "Search…"
        };
        let response = ui
            .add(Button::selectable(state.search.open, text).frame_when_inactive(true))
            .on_hover_text("look for asymmetric directions among random ones through this point");
        name(&response, "Search for asymmetric directions");
        if response.clicked() {
            commands.push(Command::ToggleSearch);
        }
    });
}

/// Shows the window if it is open.
pub fn show(context: &Context, state: &mut State, commands: &mut Vec<Command>) {
    if !state.search.open || state.run.is_none() {
        return;
    }
    let screen = context.content_rect();
    let (margin, share) = PLACE;
    let mut open = true;
    Window::new("Asymmetric directions")
        .open(&mut open)
        .collapsible(false)
        .resizable(false)
        .default_width(OUTER_WIDTH)
        .default_pos(pos2(
            screen.right() - margin - OUTER_WIDTH,
            screen.top() + share * screen.height(),
        ))
        .show(context, |ui| {
            ui.set_width(WIDTH);
            form(ui, state, commands);
            match state.searched.clone() {
                Some(view) => found(ui, state, &view, commands),
                None => small(
                    ui,
                    "Draws random directions through the point w, and looks along each for distances over which the \
                     train loss rises much faster on one side than on the other.",
                ),
            }
        });
    if !open {
        commands.push(Command::ToggleSearch);
    }
}

fn small(ui: &mut Ui, text: &str) {
    let faint = theme::palette(ui.ctx()).faint;
    ui.add(Label::new(RichText::new(text).small().color(faint)).wrap());
}

fn form(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let reach = state.look.reach;
    let form = &mut state.search;
    Grid::new("search").num_columns(4).spacing([6.0, 5.0]).show(ui, |ui| {
        ui.spacing_mut().button_padding.x = 6.0;
        ui.label("Kind");
        let kind = ComboBox::from_id_salt("search kind")
            .width(84.0)
            .selected_text(form.kind.name())
            .show_ui(ui, |ui| {
                for kind in DirectionKind::ALL {
                    ui.selectable_value(&mut form.kind, kind, kind.name())
                        .on_hover_text(kind.explanation());
                }
            })
            .response
            .on_hover_text(form.kind.explanation());
        name(&kind, "Kind of direction");
        value(
            ui,
            ["Draws", "Number of draws"],
            DragValue::new(&mut form.draws)
                .range(1..=SearchRequest::MOST_DRAWS)
                .speed(0.2),
            "so many directions, their seeds one after the other",
        );
        ui.end_row();
        value(
            ui,
            ["Seed", "First seed"],
            DragValue::new(&mut form.first_seed).speed(0.1),
            "seed of the first direction; the others have the seeds after it",
        );
        value(
            ui,
            ["Length", "Least length of the interval"],
            DragValue::new(&mut form.width)
                .range(reach.min(0.01)..=reach)
                .speed(0.01)
                .max_decimals(2),
            "c is about an interval of distances at least this long, in units of ‖u‖ = 1",
        );
        ui.end_row();
    });
    // Between two solutions one stands at neither.
    let stands = state.look.picture != Picture::Interpolation;
    let searching = state.is_searching();
    ui.horizontal(|ui| {
        let search = ui
            .add_enabled(stands, Button::new("Search"))
            .on_hover_text(
                "draw them through the point w and measure each over the pad's range, under the stage's batch-norm \
                 policy, whenever nothing else is to be evaluated",
            )
            .on_disabled_hover_text("choose Direction first, and a solution to stand at");
        name(&search, "Start the search");
        if search.clicked() {
            commands.push(Command::Search(state.search.clone()));
        }
        let stop = ui
            .add_enabled(searching, Button::new("Stop"))
            .on_hover_text("end the search; what it found stays (Escape)")
            .on_disabled_hover_text("no search goes on");
        name(&stop, "Stop the search");
        if stop.clicked() {
            commands.push(Command::StopSearch);
        }
    });
}

fn value(ui: &mut Ui, [text, accessible]: [&str; 2], value: DragValue, hint: &str) {
    ui.label(text).on_hover_text(hint);
    let response = ui.add(value).on_hover_text(hint);
    name(&response, accessible);
}

/// How far the search is, and the best it found.
fn found(ui: &mut Ui, state: &State, view: &SearchView, commands: &mut Vec<Command>) {
    let (done, all) = (view.done, view.request.draws);
    let text = match (view.finished, view.seconds_left) {
        (false, Some(left)) => format!("{done} of {all}, {} left", duration(left)),
        (true, _) if done < all => format!("stopped after {done} of {all}"),
        _ => format!("{done} of {all}"),
    };
    let bar = ui.add(
        ProgressBar::new(view.progress as f32)
            .desired_width(WIDTH)
            .desired_height(6.0),
    );
    name(&bar, "Progress of the search");
    small(ui, &text);
    if done > 0 {
        let directions = if done == 1 { "direction" } else { "directions" };
        let share = 100.0 * view.summary.share;
        ui.label(RichText::new(format!("c > {ASYMMETRIC} for {share:.0} % of {done} {directions}")).strong())
            .on_hover_text(DEFINITION);
    }
    if !view.summary.best.is_empty() {
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = 1.0;
            heads(ui);
            for draw in &view.summary.best {
                if let Some(certificate) = &draw.certificate
                    && row(ui, state, &view.request, draw.seed, certificate)
                {
                    commands.push(Command::LookAlong(view.request.kind, draw.seed));
                }
            }
        });
    }
    small(ui, &settings(view));
}

/// All that is needed to search the same again.
fn settings(view: &SearchView) -> String {
    let request = &view.request;
    let [train, test] = view.images;
    format!(
        "{}, seeds {} to {}, from {}; bn {}, ±{}, intervals at least {} long; {} positions, {train} + {test} images",
        request.kind,
        request.first_seed,
        request.last_seed(),
        view.origin,
        request.policy,
        number(request.reach),
        number(request.width),
        view.points
    )
}

/// Names of the list's columns.
fn heads(ui: &mut Ui) {
    let faint = theme::palette(ui.ctx()).faint;
    let (rect, response) = ui.allocate_exact_size(vec2(WIDTH, ROW - 4.0), Sense::hover());
    for (column, text) in COLUMNS.into_iter().zip(["seed", "c", "flat", "distances"]) {
        let at = pos2(rect.left() + column, rect.center().y);
        ui.painter()
            .text(at, Align2::LEFT_CENTER, text, FontId::proportional(11.5), faint);
    }
    response.on_hover_text(format!(
        "the most asymmetric directions: seed, c, the side that is flat, and the distances from w that c is about.\n\
         {DEFINITION}"
    ));
}

/// One direction of the list. True when it is clicked.
fn row(ui: &mut Ui, state: &State, request: &SearchRequest, seed: u64, certificate: &Certificate) -> bool {
    let (rect, response) = ui.allocate_exact_size(vec2(WIDTH, ROW), Sense::click());
    let here = state.looks_along(request, seed);
    let c = match certificate.c.is_finite() {
        true => significant(certificate.c, 3),
        // The flat side rises nowhere.
        false => "∞".to_owned(),
    };
    let side = match certificate.flat {
        Side::Positive => "+u",
        Side::Negative => "−u",
    };
    let distances = format!("{:.2} to {:.2}", certificate.from, certificate.to);
    let label = format!("seed {seed}: c = {c}, flat along {side} at distances {distances}");
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, here, &label));
    let visuals = ui.style().interact_selectable(&response, here);
    if here || response.hovered() || response.has_focus() {
        ui.painter()
            .rect_filled(rect, visuals.corner_radius, visuals.weak_bg_fill);
    }
    for (column, text) in COLUMNS
        .into_iter()
        .zip([seed.to_string(), c, side.to_owned(), distances])
    {
        let at = pos2(rect.left() + column, rect.center().y);
        let font = FontId::proportional(12.5);
        ui.painter()
            .text(at, Align2::LEFT_CENTER, text, font, visuals.text_color());
    }
    let (flat, sharp) = (significant(certificate.p, 3), significant(certificate.sharp, 3));
    response
        .on_hover_text(format!(
            "a click looks along it\nslope going out: at most {flat} on the flat side, at least {sharp} on the other"
        ))
        .clicked()
}
