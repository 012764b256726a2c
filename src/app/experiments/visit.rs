//! From a figure to the stage: the run that its curve is of, and the same look from the same solution.

use std::path::Path;

use super::Experiments;
use crate::app::export::Effect;
use crate::app::look::Picture;
use crate::app::page::Page;
use crate::app::state::State;
use crate::engine::{Anchor, Request};
use crate::experiment::laboratory::{RUNS, Which};
use crate::experiment::outcome::{Place, PlaceView};
use crate::landscape::{Basis, DirectionKind, Normalisation};

/// Reaches that a slice on the stage can have.
const REACHES: (f64, f64) = (0.01, 1000.0);

impl Experiments {
    /// Where to stand in the run that was just opened, if that is what it was opened for.
    fn arrived(&mut self, run: &Path) -> Option<Place> {
        let (path, place) = self.visiting.take()?;
        (path == run).then_some(place)
    }
}

impl State {
    /// Goes to a place: at once where its run is open, otherwise once it is.
    pub fn visit(&mut self, place: Place) -> Vec<Effect> {
        let path = self.experiments.folder.join(RUNS).join(&place.run);
        if self.run.as_ref().is_some_and(|run| !run.checkpoint && run.path == path) {
            self.look_from(&place);
            return Vec::new();
        }
        let text = path.display().to_string();
        self.experiments.visiting = Some((path, place));
        self.playing = false;
        self.pending = Some("opening …");
        vec![Effect::Send(Request::Open(text))]
    }

    /// Goes to the place that the run just opened was opened for.
    pub fn arrive(&mut self) {
        let Some(run) = &self.run else { return };
        if let Some(place) = self.experiments.arrived(&run.path) {
            self.look_from(&place);
        }
    }

    /// Puts what is seen from a place of the open run on the stage.
    fn look_from(&mut self, place: &Place) {
        let Some(run) = &self.run else { return };
        let anchor = match place.solution {
            Which::Last => Anchor::Epoch(run.record.options.epochs),
            Which::Swa => Anchor::Swa,
            Which::Sgd => Anchor::Sgd,
        };
        let random = |(kind, seed): (DirectionKind, u64)| Some(Basis::Random(kind, seed));
        let (picture, first, second) = match place.view {
            PlaceView::Direction(kind, seed) => (Picture::Direction, random((kind, seed)), None),
            PlaceView::Comparison([first, second]) => (Picture::Comparison, random(first), random(second)),
            PlaceView::Interpolation => (Picture::Interpolation, None, None),
            PlaceView::Training(kind, seed) => (Picture::Through, random((kind, seed)), None),
        };
        self.playing = false;
        self.show_picture(picture);
        let look = &mut self.look;
        (look.anchor, look.policy, look.position) = (anchor, place.policy, 0.0);
        look.walk.clear();
        look.surface.reset_place();
        if let Some(first) = first {
            (look.first, look.angle) = (first, 0.0);
            look.reach = place.reach.clamp(REACHES.0, REACHES.1);
            look.normalisation = Normalisation::Unit;
            if let (true, Basis::Random(kind, seed)) = (look.second == first, first) {
                // Two axes that are one span no pad; another draw of the same kind spans one with it.
                look.second = Basis::Random(kind, seed.wrapping_add(1));
            }
        }
        if let Some(second) = second {
            look.second = second;
        }
        self.fit = None;
        self.turn_to(Page::Explore);
    }
}
