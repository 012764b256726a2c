//! SGD on a spiky function of one number, which descends the function that its noise smooths (Kleinberg and others, *An
//! Alternative View: When Does SGD Escape Local Minima?*, Fig. 3): one takes the width of the noise in the hand.

mod facts;
mod plots;
mod trials;

use egui::{Button, Color32, RichText, Sense, Slider, Ui, UiBuilder, Vec2};

use self::trials::Trials;
use super::clock::Clock;
use crate::app::source::name;
use crate::app::theme;
use crate::dynamics::spiky::{self, MINIMUM, Smoothed};
use crate::error::Result;
use crate::landscape::line::positions;

/// Largest half-width that can be chosen.
const WIDEST: f64 = 1.2;
/// Half-widths in one unit of x: they are whole multiples of its 200th part.
const GRAINS: f64 = 200.0;
/// Half-widths that are offered by a button: those of the experiment `spiky`, as the four columns of Fig. 3.
const OFFERED: [f64; 4] = [0.0, 0.15, 0.3, 1.0];
/// The one at first, which suits.
const SUITABLE: f64 = 0.3;
/// Start and half-width of stages of less and less noise: those of the experiment.
const STAGES: [(f64, f64); 3] = [(1.5, 0.15), (0.75, 0.075), (0.4, 0.03)];
/// Trials start at −START to START.
const START: f64 = 3.0;
/// Near the minimum is up to this distance, and close to it up to that one.
const NEAR: f64 = 1.5;
const CLOSE: f64 = 0.25;
/// Steps a second unless told otherwise.
const SPEED: f64 = 40.0;
/// Positions are drawn from −REACH to REACH.
const REACH: f64 = 4.0;
/// Points of a curve, and positions at which one-point convexity is looked at.
const POINTS: usize = 1601;
/// Lowest and highest plot of the function, and height of the histograms below it.
const HEIGHTS: (f32, f32) = (230.0, 640.0);
const BELOW: f32 = 190.0;
/// Width of the numbers beside it, and the room between.
const FACTS: f32 = 236.0;
const GAP: f32 = 14.0;
/// Width of the buttons beside the slider.
const BUTTONS: f32 = 300.0;

/// What is seen of the smoothing, and what of it is computed.
pub struct Smoothing {
    /// r, the half-width of the noise.
    width: f64,
    /// What it was when the hand took the plot.
    held: Option<f64>,
    shows_trials: bool,
    shows_stages: bool,
    clock: Clock,
    /// Of `width`, as all that is computed, and nothing before it is first looked at.
    curve: Option<Curve>,
    trials: Option<Trials>,
    stages: Vec<Trials>,
}

impl Default for Smoothing {
    fn default() -> Self {
        Self {
            width: SUITABLE,
            held: None,
            shows_trials: true,
            shows_stages: false,
            clock: Clock::new(trials::STEPS, SPEED),
            curve: None,
            trials: None,
            stages: Vec::new(),
        }
    }
}

/// The function and what the noise makes of it.
struct Curve {
    smoothed: Smoothed,
    /// f from −[`REACH`] to [`REACH`].
    function: Vec<[f64; 2]>,
    /// f convolved with the noise.
    points: Vec<[f64; 2]>,
    /// Bad minima of that, on either side.
    bad: Vec<f64>,
    /// Up to where descent on it leads to the good one.
    basin: f64,
    /// c and c′ of one-point convexity near the minimum, and on all starts.
    near: [f64; 2],
    starts: [f64; 2],
    /// Theorem 3's largest useful step at the outmost start.
    step: f64,
}

impl Curve {
    /// With noise of a half-width.
    ///
    /// # Errors
    /// As [`Smoothed::new`].
    fn make(width: f64) -> Result<Self> {
        let smoothed = Smoothed::new(width)?;
        let places = positions(-REACH, REACH, POINTS);
        let slope = |x: f64| smoothed.slope(x);
        let constants = |reach: f64| spiky::one_point_constants(slope, MINIMUM, &positions(-reach, reach, POINTS));
        let starts = constants(START);
        Ok(Self {
            smoothed,
            function: places.iter().map(|&x| [x, spiky::value(x)]).collect(),
            points: places.iter().map(|&x| [x, smoothed.value(x)]).collect(),
            bad: smoothed.minima(START),
            basin: smoothed.basin(),
            near: constants(NEAR),
            starts,
            step: spiky::largest_useful_step(starts[1], START, slope(START).abs()),
        })
    }
}

impl Smoothing {
    /// Plays, or holds.
    pub fn play_or_hold(&mut self) {
        self.clock.play_or_hold();
    }

    /// Takes the nearest half-width that there is.
    fn set_width(&mut self, width: f64) {
        self.width = (width.clamp(0.0, WIDEST) * GRAINS).round() / GRAINS;
    }

    /// Computes what is not there yet: 2 ms or so for a new width, nothing otherwise.
    fn compute(&mut self) -> Result<()> {
        let is_made = |curve: &Curve| curve.smoothed.half_width() == self.width;
        if !self.curve.as_ref().is_some_and(is_made) {
            self.curve = Some(Curve::make(self.width)?);
            self.trials = Some(Trials::make(self.width, START, 0));
        }
        if self.shows_stages && self.stages.is_empty() {
            self.stages = stages();
        }
        Ok(())
    }
}

/// The stages, with the trials of the experiment: its stages come after its widths.
fn stages() -> Vec<Trials> {
    let stages = STAGES.into_iter().enumerate();
    stages
        .map(|(index, (start, width))| Trials::make(width, start, (OFFERED.len() + index) as u32))
        .collect()
}

/// The view, with all that is to be chosen above it. It takes the width there is, and of the height what it needs.
pub fn show(ui: &mut Ui, smoothing: &mut Smoothing) {
    let palette = theme::palette(ui.ctx());
    smoothing.clock.row(ui);
    width_row(ui, smoothing);
    choices(ui, smoothing);
    if let Err(error) = smoothing.compute() {
        ui.label(RichText::new(error.to_string()).color(palette.warning));
        return;
    }
    let width = ui.available_width();
    let height = ui.available_height() - BELOW - 2.0 * ui.spacing().item_spacing.y;
    let height = height.clamp(HEIGHTS.0, HEIGHTS.1);
    let (all, _) = ui.allocate_exact_size(Vec2::new(width, height + BELOW), Sense::hover());
    let (left, right) = all.split_left_right_at_x((all.right() - FACTS - GAP).max(all.center().x));
    let (above, below) = left.split_top_bottom_at_y(left.top() + height);
    let child = |salt: &str, place| UiBuilder::new().id_salt(salt).max_rect(place);
    plots::function(&mut ui.new_child(child("function", above)), smoothing);
    let mut histograms = ui.new_child(child("histograms", below));
    if smoothing.shows_stages {
        plots::stages(&mut histograms, smoothing);
    } else {
        plots::histogram(&mut histograms, smoothing);
    }
    let facts = right.with_min_x(right.left() + GAP);
    facts::show(&mut ui.new_child(child("facts", facts)), smoothing);
}

/// The slider of the width, as wide as there is room, and the widths that are offered.
fn width_row(ui: &mut Ui, smoothing: &mut Smoothing) {
    let palette = theme::palette(ui.ctx());
    ui.horizontal(|ui| {
        let text = RichText::new(format!("noise ±{:.3}", smoothing.width)).size(20.0);
        let label = egui::Label::new(text.strong().color(palette.train));
        ui.add_sized([140.0, 32.0], label)
            .on_hover_text("r, the half-width of a step's noise ηω, which is uniform on (−r, r)");
        let room = (ui.available_width() - BUTTONS).max(160.0);
        let spacing = ui.spacing_mut();
        (spacing.interact_size.y, spacing.slider_rail_height) = (32.0, 10.0);
        spacing.slider_width = room;
        let mut width = smoothing.width;
        let slider = ui.add(
            Slider::new(&mut width, 0.0..=WIDEST)
                .step_by(1.0 / GRAINS)
                .show_value(false)
                .trailing_fill(true),
        );
        name(&slider, "Half-width of the noise");
        if slider.changed() {
            smoothing.set_width(width);
        }
        slider.on_hover_text("drag it here, or the plot itself to the left and right");
        for offered in OFFERED {
            let text = match offered > 0.0 {
                true => format!("±{offered}"),
                false => "no noise".to_owned(),
            };
            let button = Button::selectable(smoothing.width == offered, text);
            if ui
                .add(button)
                .on_hover_text("as in the experiment `spiky`, after Fig. 3")
                .clicked()
            {
                smoothing.set_width(offered);
            }
        }
    });
}

fn choices(ui: &mut Ui, smoothing: &mut Smoothing) {
    let palette = theme::palette(ui.ctx());
    ui.horizontal(|ui| {
        ui.checkbox(
            &mut smoothing.shows_trials,
            RichText::new("trials").color(palette.more[0]).strong(),
        )
        .on_hover_text(
            "100 trials of SGD, x ← x − η·f′(x) − ηω with η = 0.0075, from starts that are uniform on (−3, 3); play \
             the steps to see them fall",
        );
        let stages = Button::selectable(smoothing.shows_stages, "Stages");
        let hint = "trials started anew with less and less noise: ±0.15 from (−1.5, 1.5), ±0.075 from (−0.75, 0.75), \
                    ±0.03 from (−0.4, 0.4). Little noise is enough near x*, and comes closer to it (Corollary 2)";
        if ui.add(stages).on_hover_text(hint).clicked() {
            smoothing.shows_stages = !smoothing.shows_stages;
        }
        ui.separator();
        for (text, colour, hint) in [
            (
                "f(x)",
                palette.faint,
                "f(x) = x²·(1 − ¼·cos 10x) up to |x| = π: ours, as the paper prints a picture and no formula",
            ),
            (
                "f smoothed by the noise",
                palette.train,
                "g(x) = E[f(x − ηω)], f convolved with the noise: what SGD descends on average (Section 1)",
            ),
            (
                "basin of x* = 0",
                palette.directions[0],
                "where descent on the smoothed function leads to x*",
            ),
            (
                "bad minima",
                palette.test,
                "minima of the smoothed function beside x*, at which SGD may be caught",
            ),
        ] {
            legend(ui, text, colour).on_hover_text(hint);
        }
    });
    ui.add_space(2.0);
}

/// A word of the legend in its colour.
fn legend(ui: &mut Ui, text: &str, colour: Color32) -> egui::Response {
    ui.label(RichText::new(text).color(colour).strong())
}

#[cfg(test)]
mod tests {
    use egui::accesskit::Role;
    use egui::{Event, PointerButton};
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::dynamics::spiky::{Settings, Trial};
    use crate::experiment::kinds::{Kind, Stage};
    use crate::experiment::recipe::Recipe;

    fn view() -> Harness<'static, Smoothing> {
        Harness::builder()
            .with_size(Vec2::new(1280.0, 760.0))
            .with_context_setup(theme::apply)
            .build_ui_state(show, Smoothing::default())
    }

    #[track_caller]
    fn click(view: &mut Harness<Smoothing>, label: &str) {
        view.get_by_role_and_label(Role::Button, label).click();
        view.step();
        view.step();
    }

    #[test]
    fn its_numbers_are_those_of_the_experiment() {
        let Kind::Spiky(spiky) = Recipe::named("spiky").unwrap().measure else {
            panic!("another kind of experiment");
        };
        assert_eq!(spiky.widths, OFFERED);
        let stages = STAGES.map(|(start, width)| Stage { start, width });
        assert_eq!(spiky.stages, stages);
        assert_eq!(
            (spiky.suitable, spiky.start, spiky.near, spiky.close),
            (SUITABLE, START, NEAR, CLOSE)
        );
        assert_eq!(
            (spiky.learning_rate, spiky.steps),
            (trials::LEARNING_RATE, trials::STEPS)
        );
        // With the trials of the experiment: its stages are its panels after the widths.
        for (index, (stage, panel)) in STAGES.into_iter().zip(super::stages()).enumerate() {
            let lasts: Vec<f64> = panel.at(trials::STEPS).collect();
            let expected = (1..=trials::SEEDS).map(|seed| {
                Trial::make(Settings {
                    learning_rate: spiky.learning_rate,
                    half_width: stage.1,
                    start: stage.0,
                    steps: spiky.steps,
                    seed,
                    panel: (spiky.widths.len() + index) as u32,
                })
                .last
            });
            assert_eq!(lasts, expected.collect::<Vec<f64>>());
        }
    }

    #[test]
    fn widths_are_multiples_of_a_grain_within_bounds_and_all_can_be_computed() {
        let mut smoothing = Smoothing::default();
        for (asked, found) in [
            (-1.0, 0.0),
            (0.002, 0.0),
            (0.0031, 0.005),
            (0.1512, 0.15),
            (7.0, WIDEST),
        ] {
            smoothing.set_width(asked);
            assert!((smoothing.width - found).abs() < 1e-12, "{asked}");
            smoothing.compute().unwrap();
            let curve = smoothing.curve.as_ref().unwrap();
            assert_eq!(curve.smoothed.half_width(), smoothing.width);
            assert_eq!(smoothing.trials.as_ref().unwrap().half_width(), smoothing.width);
        }
        // What suits is one-point convex on all starts, no noise not even near the minimum.
        let constants = [SUITABLE, 0.0].map(|width| {
            let curve = Curve::make(width).unwrap();
            (curve.near[0], curve.starts[0], curve.bad.len(), curve.step)
        });
        assert!(constants[0].0 > 1.4 && constants[0].1 > 0.1 && constants[0].2 == 0);
        assert!(constants[1].0 < 0.0 && constants[1].1 < 0.0 && constants[1].2 == 3);
        // The slope is small where the basin ends, and so much larger steps would still be useful there.
        assert!(constants[0].3 > trials::LEARNING_RATE);
    }

    #[test]
    fn slider_buttons_and_the_hand_on_the_plot_set_the_width() {
        let mut view = view();
        view.step();
        assert_eq!(view.state().width, SUITABLE);
        view.get_by_role_and_label(Role::Slider, "Half-width of the noise")
            .set_value_accesskit(0.6);
        view.step();
        assert!((view.state().width - 0.6).abs() < 1e-12);
        click(&mut view, "±0.15");
        assert!((view.state().width - 0.15).abs() < 1e-12);
        view.step();
        view.get_by_label_contains("±1.81");
        let plot = view.get_by_label("Smoothed function").rect();
        let (from, by) = (plot.center(), 60.0);
        view.hover_at(from);
        view.step();
        view.drag_at(from);
        view.step();
        for part in [0.25, 0.5, 0.75, 1.0] {
            view.hover_at(from + Vec2::new(by * part, 10.0));
            view.step();
        }
        // A unit of x is an eighth of the plot's width.
        let expected = 0.15 + 2.0 * REACH * f64::from(by) / f64::from(plot.width());
        let found = view.state().width;
        assert!((found - expected).abs() <= 0.5 / GRAINS + 1e-6, "{found} {expected}");
        view.event(Event::PointerButton {
            pos: from,
            button: PointerButton::Primary,
            pressed: false,
            modifiers: egui::Modifiers::NONE,
        });
        view.remove_cursor();
        view.step();
        view.step();
        assert_eq!(view.state().held, None);
        click(&mut view, "no noise");
        assert_eq!(view.state().width, 0.0);
        view.check_accessibility();
    }

    #[test]
    fn steps_are_scrubbed_and_stages_are_shown() {
        let mut view = view();
        view.step();
        assert_eq!(view.state().clock.step(), trials::STEPS);
        view.get_by_role_and_label(Role::Slider, "Step")
            .set_value_accesskit(17.0);
        view.step();
        view.step();
        assert_eq!(view.state().clock.step(), 17);
        let share = view.state().trials.as_ref().unwrap().within(17, NEAR);
        view.get_by_label(&share.to_string());
        assert!(view.query_by_label("Histogram of stage 1").is_none());
        view.get_by_label("Histogram of the trials");
        click(&mut view, "Stages");
        for stage in 1..=3 {
            view.get_by_label(&format!("Histogram of stage {stage}"));
        }
        let stages = view.state().stages.iter();
        let close: Vec<f64> = stages.map(|stage| stage.within(trials::STEPS, CLOSE).share()).collect();
        assert!(close.windows(2).all(|pair| pair[0] < pair[1]), "{close:?}");
        view.state_mut().play_or_hold();
        view.step();
        view.step();
        assert!((18..trials::STEPS).contains(&view.state().clock.step()));
    }
}
