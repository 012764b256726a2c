//! Time in steps of the dynamics: it is played, held and scrubbed through.

use egui::{DragValue, RichText, Slider, Ui};

use crate::app::source::name;
use crate::app::theme;

/// Slowest and fastest that it plays, in steps a second.
const SPEEDS: (f64, f64) = (1.0, 500.0);
/// Longest time between two frames that is played, in seconds: after a halt it goes on where it was.
const LONGEST: f64 = 0.1;
/// Room beside the slider, for what step it is and for the speed.
const BESIDE: f32 = 300.0;

/// A clock.
pub struct Clock {
    /// In steps, with the share of the step under way.
    now: f64,
    last: usize,
    playing: bool,
    /// Steps a second.
    speed: f64,
}

impl Clock {
    /// At the last of so many steps: there is all to be seen.
    pub fn new(last: usize, speed: f64) -> Self {
        Self {
            now: last as f64,
            last,
            playing: false,
            speed,
        }
    }

    /// The step it is, from 0 to the last.
    pub fn step(&self) -> usize {
        (self.now as usize).min(self.last)
    }

    /// Goes to a step; if it plays, it goes on from there.
    pub fn go_to(&mut self, step: usize) {
        self.now = step.min(self.last) as f64;
    }

    /// Plays, from the beginning if it is at the end; or holds.
    pub fn play_or_hold(&mut self) {
        if !self.playing && self.step() == self.last {
            self.now = 0.0;
        }
        self.playing = !self.playing;
    }

    /// Lets time pass, if it plays. At the end it holds.
    fn pass(&mut self, seconds: f64) {
        if !self.playing {
            return;
        }
        self.now += seconds.min(LONGEST) * self.speed;
        if self.now >= self.last as f64 {
            (self.now, self.playing) = (self.last as f64, false);
        }
    }

    /// Play, restart, the slider, and the speed, in a row; and time passes.
    pub fn row(&mut self, ui: &mut Ui) {
        self.pass(f64::from(ui.input(|input| input.stable_dt)));
        if self.playing {
            ui.ctx().request_repaint();
        }
        let palette = theme::palette(ui.ctx());
        ui.horizontal(|ui| {
            let text = if self.playing { "Pause" } else { "Play" };
            let play = egui::Button::new(RichText::new(text).strong()).min_size(egui::vec2(64.0, 26.0));
            if ui.add(play).on_hover_text("play the steps, or hold").clicked() {
                self.play_or_hold();
            }
            if ui.button("Restart").on_hover_text("back to the start").clicked() {
                self.go_to(0);
            }
            ui.spacing_mut().slider_width = (ui.available_width() - BESIDE).max(120.0);
            let mut step = self.step();
            let slider = ui
                .add(Slider::new(&mut step, 0..=self.last).show_value(false))
                .on_hover_text("scrub through the steps");
            name(&slider, "Step");
            if slider.changed() {
                self.go_to(step);
            }
            let text = RichText::new(format!("step {step} of {}", self.last)).monospace();
            ui.label(text);
            ui.label(RichText::new("·").color(palette.faint));
            let speed = ui
                .add(
                    DragValue::new(&mut self.speed)
                        .range(SPEEDS.0..=SPEEDS.1)
                        .speed(1.0)
                        .max_decimals(0)
                        .suffix(" a second"),
                )
                .on_hover_text("steps a second");
            name(&speed, "Speed");
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_plays_from_the_beginning_to_the_end_and_holds_there() {
        let mut clock = Clock::new(10, 40.0);
        assert_eq!(clock.step(), 10);
        clock.pass(0.05);
        assert_eq!(clock.step(), 10, "it does not play");
        clock.play_or_hold();
        assert_eq!(clock.step(), 0);
        let mut seen = Vec::new();
        while clock.playing {
            clock.pass(0.05);
            seen.push(clock.step());
        }
        assert_eq!(seen, [2, 4, 6, 8, 10]);
        // After a long halt it goes on by a tenth of a second.
        clock.play_or_hold();
        clock.pass(20.0);
        assert_eq!(clock.step(), 4);
        clock.play_or_hold();
        clock.pass(0.05);
        assert_eq!(clock.step(), 4, "it holds");
        clock.play_or_hold();
        clock.pass(0.03);
        assert_eq!(clock.step(), 5, "it goes on where it held");
    }

    #[test]
    fn it_goes_to_steps_that_there_are() {
        let mut clock = Clock::new(10, 40.0);
        for (asked, found) in [(3, 3), (0, 0), (10, 10), (11, 10), (usize::MAX, 10)] {
            clock.go_to(asked);
            assert_eq!(clock.step(), found);
        }
    }
}
