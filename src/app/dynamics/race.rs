//! The race of Zhu and others' noises over two weights (*The Anisotropic Noise in Stochastic Gradient Descent*, Fig.
//! 2): all dynamics at once from the sharp minimum, how many of a hundred seeds end at the flat one, and why.

mod charts;
mod controls;
mod made;
mod pictures;

use std::sync::Arc;
use std::time::Duration;

use egui::{Context, RichText, Sense, Ui, UiBuilder, Vec2};

use self::made::{Made, Rules, Success};
use super::aside::Aside;
use super::clock::Clock;
use crate::app::surface::look::Layout;
use crate::app::theme;
use crate::dynamics::race::{COMPARED, STEPS};
use crate::error::Result;
use crate::render::Camera;

/// Steps a second unless told otherwise.
const SPEED: f64 = 60.0;
/// Lowest and highest pictures.
const HEIGHTS: (f32, f32) = (240.0, 720.0);
/// Height of what is below them.
const BELOW: f32 = 186.0;
/// Room between pictures.
const GAP: f32 = 12.0;

/// What is under way, with what it is of.
struct Making {
    of: (Rules, u64),
    task: Aside<Result<Made>>,
}

/// What is seen of the race, and what of it is computed.
pub struct Race {
    rules: Rules,
    seed: u64,
    /// Which of [`COMPARED`] are drawn.
    shown: [bool; COMPARED.len()],
    clock: Clock,
    layout: Layout,
    camera: Camera,
    made: Option<Arc<Made>>,
    making: Option<Making>,
    success: Option<Success>,
    /// Why there is nothing for these rules.
    failed: Option<String>,
}

impl Default for Race {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            seed: 1,
            shown: [true; COMPARED.len()],
            clock: Clock::new(STEPS, SPEED),
            layout: Layout::Both,
            camera: pictures::home(),
            made: None,
            making: None,
            success: None,
            failed: None,
        }
    }
}

impl Race {
    /// Plays, or holds.
    pub fn play_or_hold(&mut self) {
        self.clock.play_or_hold();
    }

    /// Takes what was computed, and asks for what is not there yet. A picture under way is finished even if it is
    /// outdated, so that something moves while a slider is dragged; runs of other seeds are given up at once.
    fn compute(&mut self, context: &Context) {
        let (rules, seed) = (self.rules, self.seed);
        let found = |making: &Making| Some((making.of, making.task.found().next()?));
        if let Some((of, found)) = self.making.as_ref().and_then(found) {
            self.making = None;
            match found {
                Ok(made) => self.made = Some(Arc::new(made)),
                Err(error) if of == (rules, seed) => self.failed = Some(error.to_string()),
                Err(_) => {}
            }
        }
        let is_made = self.made.as_ref().is_some_and(|made| made.is_of(rules, seed));
        if !is_made && self.making.is_none() && self.failed.is_none() {
            let started = Aside::start(context, Duration::ZERO, move |send| {
                send(Made::make(rules, seed));
            });
            match started {
                Ok(task) => {
                    let of = (rules, seed);
                    self.making = Some(Making { of, task });
                }
                Err(error) => self.failed = Some(error.to_string()),
            }
        }
        if self.success.as_ref().is_some_and(|success| !success.is_of(rules)) {
            self.success = None;
        }
        match &mut self.success {
            Some(success) => self.failed = success.receive().or(self.failed.take()),
            None if is_made => match Success::start(context, rules) {
                Ok(success) => self.success = Some(success),
                Err(error) => self.failed = Some(error.to_string()),
            },
            None => {}
        }
    }

    /// Takes other rules or another seed.
    fn choose(&mut self, rules: Rules, seed: u64) {
        if (rules, seed) != (self.rules, self.seed) {
            (self.rules, self.seed, self.failed) = (rules, seed, None);
        }
    }

    /// Numbers of the dynamics that are drawn.
    fn drawn(&self) -> Vec<usize> {
        (0..COMPARED.len()).filter(|&index| self.shown[index]).collect()
    }
}

/// The race, with all that is to be chosen above it. It takes the width there is, and of the height what it needs.
pub fn show(ui: &mut Ui, race: &mut Race) {
    race.compute(ui.ctx());
    race.clock.row(ui);
    controls::rows(ui, race);
    if let Some(failed) = &race.failed {
        let palette = theme::palette(ui.ctx());
        ui.label(RichText::new(failed).color(palette.warning));
    }
    let width = ui.available_width();
    let height = ui.available_height() - BELOW - 2.0 * ui.spacing().item_spacing.y;
    let size = Vec2::new(width, height.clamp(HEIGHTS.0, HEIGHTS.1));
    let (place, _) = ui.allocate_exact_size(size, Sense::hover());
    let (below, _) = ui.allocate_exact_size(Vec2::new(width, BELOW), Sense::hover());
    let drawn = race.drawn();
    let mut stage = ui.new_child(UiBuilder::new().id_salt("pictures").max_rect(place));
    match race.made.clone() {
        Some(made) => pictures::show(&mut stage, race, &made, &drawn),
        None if race.failed.is_none() => {
            stage.centered_and_justified(Ui::spinner);
        }
        None => {}
    }
    let (left, right) = below.split_left_right_at_fraction(0.45);
    let mut bars = ui.new_child(UiBuilder::new().id_salt("success").max_rect(left));
    charts::success(&mut bars, race, &drawn);
    let right = right.with_min_x(right.left() + GAP);
    let mut chart = ui.new_child(UiBuilder::new().id_salt("indicator").max_rect(right));
    charts::indicator(&mut chart, race, &drawn);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use egui::accesskit::Role;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::dynamics::noise::Noise;
    use crate::dynamics::proportion::Proportion;
    use crate::dynamics::race::{LEARNING_RATE, Run, Settings};
    use crate::dynamics::surface::Samples;

    const PATIENCE: Duration = Duration::from_secs(120);

    fn view() -> Harness<'static, Race> {
        Harness::builder()
            .with_size(Vec2::new(1280.0, 760.0))
            .with_context_setup(theme::apply)
            .build_ui_state(show, Race::default())
    }

    #[track_caller]
    fn until(view: &mut Harness<Race>, what: &str, condition: impl Fn(&Race) -> bool) {
        let start = Instant::now();
        while !condition(view.state()) {
            assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
            view.step();
            std::thread::sleep(Duration::from_millis(2));
        }
        // What was just received is drawn once.
        view.step();
    }

    fn is_made(race: &Race) -> bool {
        race.made.as_ref().is_some_and(|made| made.is_of(race.rules, race.seed))
    }

    #[track_caller]
    fn click(view: &mut Harness<Race>, label: &str) {
        view.get_by_role_and_label(Role::Button, label).click();
        view.step();
        view.step();
    }

    #[track_caller]
    fn slide(view: &mut Harness<Race>, label: &str, value: f64) {
        view.get_by_role_and_label(Role::Slider, label)
            .set_value_accesskit(value);
        view.step();
    }

    /// The runs that are drawn are those that the library makes.
    #[track_caller]
    fn check_runs(race: &Race, change: impl Fn(&mut Settings)) {
        let made = race.made.as_ref().unwrap();
        for (index, noise) in COMPARED.into_iter().enumerate() {
            let mut settings = Settings::published(noise, race.seed);
            change(&mut settings);
            let run = Run::make(settings).unwrap();
            assert_eq!(made.runs[index], run, "{}", noise.name());
            // The way over the relief has every step's place.
            let relief = made.relief(race.camera, [0.0; 4], false, 1.0);
            for step in [0, 1, 77, STEPS] {
                let expected = relief.on_surface(run.trajectory[step]).unwrap();
                assert_eq!(made.place(index, step), Some(expected), "{} at {step}", noise.name());
            }
        }
    }

    #[test]
    fn what_is_drawn_are_the_runs_of_the_seed_and_the_rules_that_are_chosen() {
        let mut view = view();
        until(&mut view, "the first runs", is_made);
        check_runs(view.state(), |_| {});
        assert_eq!(view.state().clock.step(), STEPS);
        slide(&mut view, "Step", 120.0);
        assert_eq!(view.state().clock.step(), 120);
        let first = view.state().made.clone().unwrap();
        click(&mut view, "Next seed");
        assert_eq!(view.state().seed, 2);
        until(&mut view, "the runs of the next seed", is_made);
        check_runs(view.state(), |_| {});
        assert_ne!(view.state().made.as_ref().unwrap().runs, first.runs);
        assert_eq!(view.state().clock.step(), 120);
        slide(&mut view, "Learning rate", 0.012);
        let rate = view.state().rules.learning_rate;
        assert!((rate - 0.012).abs() < 1e-9, "{rate}");
        until(&mut view, "the runs with another learning rate", is_made);
        check_runs(view.state(), |settings| settings.learning_rate = rate);
        click(&mut view, "As in the paper");
        assert_eq!(view.state().rules.learning_rate, LEARNING_RATE);
        until(&mut view, "the paper's runs", is_made);
        check_runs(view.state(), |_| {});
        view.check_accessibility();
    }

    #[test]
    fn shares_are_counted_over_a_hundred_seeds_and_anew_for_other_rules() {
        let mut view = view();
        let is_counted = |race: &Race| race.success.as_ref().is_some_and(Success::is_complete);
        let share = |race: &Race, noise: Noise| race.success.as_ref().unwrap().share(index(noise));
        until(&mut view, "all shares", is_counted);
        let counted = |change: fn(&mut Settings), noise| {
            Proportion::of((1..=100).map(|seed| {
                let mut settings = Settings::published(noise, seed);
                change(&mut settings);
                Run::make(settings).unwrap().ends_flat()
            }))
        };
        for noise in [Noise::Gd, Noise::GldHessian] {
            assert_eq!(share(view.state(), noise), counted(|_| {}, noise), "{}", noise.name());
        }
        let told = format!("GLD Hessian: {}", share(view.state(), Noise::GldHessian));
        view.get_by_label(&told);
        // Another seed has the same shares.
        click(&mut view, "Next seed");
        assert!(is_counted(view.state()));
        view.state_mut().choose(
            Rules {
                samples: Samples::Paper,
                ..Rules::default()
            },
            2,
        );
        view.step();
        assert!(!is_counted(view.state()));
        until(&mut view, "the shares of the paper's samples", is_counted);
        let found = share(view.state(), Noise::GldFirstEigenvector);
        let expected = counted(|settings| settings.samples = Samples::Paper, Noise::GldFirstEigenvector);
        assert_eq!(found, expected);
    }

    fn index(noise: Noise) -> usize {
        COMPARED.iter().position(|&one| one == noise).unwrap()
    }

    #[test]
    fn it_plays_and_hides_what_is_not_asked_for() {
        let mut view = view();
        until(&mut view, "the first runs", is_made);
        click(&mut view, "Play");
        assert!(view.state().clock.step() < STEPS);
        until(&mut view, "some steps", |race| race.clock.step() > 10);
        click(&mut view, "Pause");
        let held = view.state().clock.step();
        view.step();
        assert_eq!(view.state().clock.step(), held);
        click(&mut view, "Restart");
        assert_eq!(view.state().clock.step(), 0);
        view.state_mut().play_or_hold();
        until(&mut view, "it plays on", |race| race.clock.step() > 0);
        assert_eq!(view.state().drawn(), [0, 1, 2, 3, 4, 5]);
        view.get_by_role_and_label(Role::CheckBox, "GLD const").click();
        view.step();
        view.step();
        assert_eq!(view.state().drawn(), [0, 2, 3, 4, 5]);
        for (button, map, relief) in [("Map", 1, 0), ("Relief", 0, 1), ("Both", 1, 1)] {
            click(&mut view, button);
            let count = |label: &str| view.query_all_by_label(label).count();
            assert_eq!((count("Map of the race"), count("Relief of the race")), (map, relief));
        }
    }

    #[test]
    fn what_cannot_be_computed_is_told_until_something_else_is_chosen() {
        let mut race = Race::default();
        let context = Context::default();
        let wrong = Rules {
            learning_rate: -1.0,
            ..Rules::default()
        };
        race.choose(wrong, 1);
        let start = Instant::now();
        while race.failed.is_none() {
            race.compute(&context);
            assert!(start.elapsed() < PATIENCE);
        }
        assert!(
            race.failed
                .as_ref()
                .is_some_and(|failed| failed.contains("learning-rate"))
        );
        race.compute(&context);
        assert!(race.making.is_none() && race.made.is_none());
        race.choose(Rules::default(), 1);
        race.compute(&context);
        assert!(race.failed.is_none() && race.making.is_some());
    }
}
