//! The pages of the window, and the switch between them in the bar at the top.

use egui::{Button, Key, Ui};

use super::command::Command;
use super::state::State;

/// A page of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// The stage.
    #[default]
    Explore,
    /// The curvature at a point and along the run, and what noise does to descent.
    Curvature,
    /// The papers' figures and tables.
    Experiments,
}

impl Page {
    /// All, in the order of the switch.
    pub const ALL: [Self; 3] = [Self::Explore, Self::Curvature, Self::Experiments];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Explore => "Explore",
            Self::Curvature => "Curvature",
            Self::Experiments => "Experiments",
        }
    }

    /// What is on it.
    fn explanation(self) -> &'static str {
        match self {
            Self::Explore => {
                "the stage: look into the valleys of the run that is open (the other page's key leads back to it)"
            }
            Self::Curvature => {
                "the Hessian at a point and along the run: its spectrum, and whether SGD stays there (C)"
            }
            Self::Experiments => "the papers' figures and tables, made anew on this machine (E)",
        }
    }

    /// The key that opens it, and leads back from it.
    pub fn key(self) -> Option<Key> {
        match self {
            Self::Explore => None,
            Self::Curvature => Some(Key::C),
            Self::Experiments => Some(Key::E),
        }
    }
}

impl State {
    /// Puts a page in the window.
    pub fn turn_to(&mut self, page: Page) {
        self.page = page;
        self.playing &= page == Page::Explore;
        self.experiments.enlarged = None;
    }
}

/// The switch.
pub fn switch(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    for page in Page::ALL {
        let here = state.page == page;
        let button = ui.add(Button::selectable(here, page.name()));
        if button.on_hover_text(page.explanation()).clicked() && !here {
            commands.push(Command::Page(page));
        }
    }
}
