//! What is asked of the curvature, and what is known of it: the point it is at, and how it is found.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::along_run::AlongRun;
use super::asking::Asking;
use super::stability::Bounds;
use crate::app::dynamics::{Race, Smoothing};
use crate::app::export::Effect;
use crate::app::look::Picture;
use crate::app::page::Page;
use crate::app::state::State;
use crate::engine::{Anchor, CurvatureRequest, CurvatureView, Request, RunSummary, Step};
use crate::objective::BatchNormPolicy;

/// A tab of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    /// The Hessian's spectrum, and whether SGD stays at the point.
    #[default]
    Spectrum,
    /// Sharpness and non-uniformity of every epoch, and whether SGD stays there.
    AlongRun,
    /// Gradient descent with noise of several shapes over two weights.
    Race,
    /// A spiky function, and what the noise of SGD makes of it.
    Smoothing,
}

impl Tab {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::Spectrum, Self::AlongRun, Self::Race, Self::Smoothing];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spectrum => "Spectrum & stability",
            Self::AlongRun => "Along the run",
            Self::Race => "Noise race",
            Self::Smoothing => "Smoothing",
        }
    }

    /// What is on it.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Spectrum => "the extreme eigenvalues of the Hessian at a point, and whether SGD stays there",
            Self::AlongRun => {
                "sharpness and non-uniformity at every epoch beside what SGD's stability allows there, after How SGD \
                 Selects the Global Minima in Over-parameterized Learning"
            }
            Self::Race => {
                "which noise escapes from a sharp minimum: descent with noise of several shapes over two weights, after \
                 The Anisotropic Noise in SGD; it needs no run"
            }
            Self::Smoothing => {
                "SGD's noise smooths a spiky function, after An Alternative View: When Does SGD Escape Local Minima?; it \
                 needs no run"
            }
        }
    }
}

/// The point that the curvature is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The average; of a checkpoint, the solution opened first.
    Swa,
    /// The end of SGD started from the average; of a checkpoint, the other solution.
    Sgd,
    /// The snapshot after an epoch.
    Epoch,
    /// Where one stands on the stage, at the marked position.
    Marked,
}

impl Point {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::Swa, Self::Sgd, Self::Epoch, Self::Marked];
}

/// The page. Settings of the window: undo leaves them alone.
pub struct Curvature {
    /// What of the page is open.
    pub tab: Tab,
    /// The curvature along the run.
    pub along_run: AlongRun,
    /// The race of noises.
    pub race: Race,
    /// The smoothing of a spiky function.
    pub smoothing: Smoothing,
    /// The point that was chosen; where there is none such, another is taken.
    pub point: Point,
    /// The epoch of [`Point::Epoch`].
    pub epoch: usize,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// Training images that the loss is the mean over, unless it is all.
    pub images: usize,
    /// Whether it is all.
    pub all_images: bool,
    /// How many of the largest eigenvalues.
    pub largest: usize,
    /// How many of the smallest.
    pub smallest: usize,
    /// Seed of start vectors and probes.
    pub seed: u64,
    /// Eigenvectors that are ticked, by their numbers, the one ticked first at the front.
    pub ticked: Vec<usize>,
    /// SGD's hyper-parameters, and the diagram of what they allow.
    pub bounds: Bounds,
    view: Option<Arc<CurvatureView>>,
    /// Names of the eigenvectors found in the open run, by the numbers of their sets.
    sets: BTreeMap<usize, Vec<String>>,
    asking: Asking<CurvatureRequest>,
    /// The spectrum whose non-uniformity is wanted, from so many images.
    uniformity: Option<(CurvatureRequest, usize)>,
}

impl Default for Curvature {
    fn default() -> Self {
        Self {
            tab: Tab::default(),
            along_run: AlongRun::default(),
            race: Race::default(),
            smoothing: Smoothing::default(),
            point: Point::Marked,
            epoch: 0,
            policy: BatchNormPolicy::Running,
            images: 500,
            all_images: false,
            largest: 8,
            smallest: 2,
            seed: 1,
            ticked: Vec::new(),
            bounds: Bounds::default(),
            view: None,
            sets: BTreeMap::new(),
            asking: Asking::default(),
            uniformity: None,
        }
    }
}

impl Curvature {
    /// Begins with another run. What is asked of a point stays as it is set.
    pub fn open(&mut self, run: &RunSummary) {
        *self = Self {
            tab: self.tab,
            along_run: self.along_run.of_another_run(),
            race: std::mem::take(&mut self.race),
            smoothing: std::mem::take(&mut self.smoothing),
            epoch: run.snapshots.saturating_sub(1),
            policy: self.policy,
            images: self.images,
            all_images: self.all_images,
            largest: self.largest,
            smallest: self.smallest,
            seed: self.seed,
            bounds: Bounds::of(run),
            ..Self::default()
        };
    }

    /// Training images that the loss is to be the mean over, at most.
    pub fn wanted_images(&self) -> usize {
        if self.all_images { usize::MAX } else { self.images }
    }

    /// Takes a newer view.
    pub fn see(&mut self, view: Option<Arc<CurvatureView>>) {
        let set = |view: &Option<Arc<CurvatureView>>| view.as_ref()?.eigenvectors.as_ref().map(|set| set.number);
        if set(&self.view) != set(&view) {
            self.ticked.clear();
        }
        if let Some(found) = view.as_ref().and_then(|view| view.eigenvectors.as_ref()) {
            self.sets.entry(found.number).or_insert_with(|| found.names.clone());
        }
        self.view = view;
    }

    /// The name of an eigenvector that was found in the open run.
    pub fn eigenvector_name(&self, set: usize, index: usize) -> Option<&str> {
        self.sets.get(&set)?.get(index).map(String::as_str)
    }

    /// Set, number and name of the eigenvectors that were found last.
    pub fn eigenvectors(&self) -> impl Iterator<Item = (usize, usize, &str)> {
        let newest = self.sets.last_key_value().into_iter();
        newest.flat_map(|(&set, names)| {
            let numbered = names.iter().enumerate();
            numbered.map(move |(index, name)| (set, index, name.as_str()))
        })
    }
}

impl State {
    /// Plays or holds what moves on the page's tab; false where nothing does.
    pub fn play_or_hold_curvature(&mut self) -> bool {
        match (self.page, self.curvature.tab) {
            (Page::Curvature, Tab::Race) => self.curvature.race.play_or_hold(),
            (Page::Curvature, Tab::Smoothing) => self.curvature.smoothing.play_or_hold(),
            _ => return false,
        }
        true
    }

    /// Whether there is such a point.
    pub fn has_point(&self, point: Point) -> bool {
        self.place(point).is_some()
    }

    /// The point that the page is about: the one chosen, or the first there is.
    pub fn curvature_point(&self) -> Option<Point> {
        let chosen = self.curvature.point;
        let mut points = std::iter::once(chosen).chain(Point::ALL);
        points.find(|&point| self.has_point(point))
    }

    /// How a point is reached.
    fn place(&self, point: Point) -> Option<(Anchor, Vec<Step>)> {
        let run = self.run.as_ref()?;
        match point {
            Point::Swa => run.swa.then(|| (Anchor::Swa, Vec::new())),
            Point::Sgd => run.sgd.then(|| (Anchor::Sgd, Vec::new())),
            Point::Epoch => {
                let epoch = self.curvature.epoch.min(self.last_epoch());
                (run.snapshots > 0).then(|| (Anchor::Epoch(epoch), Vec::new()))
            }
            Point::Marked => self.marked_point(),
        }
    }

    /// Where one stands on the stage, up to the marked position. Between two solutions one stands at neither.
    fn marked_point(&self) -> Option<(Anchor, Vec<Step>)> {
        let look = &self.look;
        let mut walk = look.walk.clone();
        match look.picture {
            Picture::Interpolation => return None,
            Picture::Comparison => {}
            Picture::Direction | Picture::Through if look.position == 0.0 => {}
            Picture::Direction | Picture::Through => walk.push(Step {
                turn: look.turn(),
                position: look.position,
            }),
            Picture::Plane if look.surface.mark == [0.0; 2] => {}
            Picture::Plane => {
                let (turn, position) = self.surface.as_ref()?.turn(look.surface.mark)?;
                walk.push(Step { turn, position });
            }
        }
        Some((look.anchor, walk))
    }

    /// What the page is about; nothing where there is no point.
    pub fn curvature_wanted(&self) -> Option<CurvatureRequest> {
        let (anchor, walk) = self.place(self.curvature_point()?)?;
        let asked = &self.curvature;
        let spectrum = CurvatureRequest {
            session: self.run.as_ref()?.session,
            anchor,
            walk,
            policy: asked.policy,
            images: asked.wanted_images(),
            largest: asked.largest,
            smallest: asked.smallest,
            seed: asked.seed,
            uniformity: None,
        };
        let uniformity = asked.uniformity.as_ref().filter(|(of, _)| *of == spectrum);
        Some(CurvatureRequest {
            uniformity: uniformity.map(|(_, images)| *images),
            ..spectrum
        })
    }

    /// What is known of that.
    pub fn curvature_view(&self) -> Option<Arc<CurvatureView>> {
        let wanted = self.curvature_wanted()?.spectrum();
        let view = self.curvature.view.clone();
        view.filter(|view| view.request.spectrum() == wanted)
    }

    /// What to ask the worker for, where it is another than before: the curvature at the page's point while that is
    /// looked at, and nothing, within, once it is left. A hand on a slider has not chosen yet.
    pub fn curvature_request(&mut self, context: &egui::Context) -> Option<Option<CurvatureRequest>> {
        let wanted = match self.page {
            Page::Curvature if self.curvature.tab == Tab::Spectrum => self.curvature_wanted(),
            Page::Explore | Page::Curvature | Page::Experiments => None,
        };
        let held = context.input(|input| input.pointer.any_down());
        let asking = &mut self.curvature.asking;
        asking.next(wanted, held, |stopped, wanted| stopped == wanted)
    }

    /// Whether the curvature at the page's point is being found.
    pub fn is_finding_curvature(&self) -> bool {
        self.curvature.asking.is_asked() && self.curvature_view().is_none_or(|view| !view.finished)
    }

    /// Lets the worker be asked again for what the tab is about.
    pub fn start_curvature(&mut self) {
        match self.curvature.tab {
            Tab::AlongRun => self.start_along_run(),
            Tab::Spectrum | Tab::Race | Tab::Smoothing => self.curvature.asking.again(),
        }
    }

    /// Stops what is being found for the tab; what is found stays.
    pub fn stop_curvature(&mut self) -> Vec<Effect> {
        if self.curvature.tab == Tab::AlongRun {
            return self.stop_along_run();
        }
        if !self.is_finding_curvature() {
            return Vec::new();
        }
        self.curvature.asking.stop();
        vec![Effect::Send(Request::Curvature(None))]
    }

    /// Has the non-uniformity at the page's point estimated from so many images.
    pub fn estimate_non_uniformity(&mut self, images: usize) {
        self.curvature.uniformity = self.curvature_wanted().map(|wanted| (wanted.spectrum(), images));
        // It is found after the rest.
        self.start_curvature();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::curvature::testing::state;
    use crate::landscape::Basis;

    #[test]
    fn the_point_is_the_one_chosen_or_one_there_is() {
        let mut state = state();
        let reached = |state: &State| {
            state
                .curvature_wanted()
                .map(|wanted| (wanted.anchor, wanted.walk.len()))
        };
        assert_eq!(reached(&state), Some((Anchor::Current, 0)));
        state.look.position = 0.5;
        assert_eq!(reached(&state), Some((Anchor::Current, 1)));
        let step = state.curvature_wanted().unwrap().walk[0];
        assert_eq!((step.position, step.turn), (0.5, state.look.turn()));
        state.look.picture = Picture::Interpolation;
        assert_eq!(reached(&state), Some((Anchor::Swa, 0)));
        state.curvature.point = Point::Epoch;
        assert_eq!(reached(&state), Some((Anchor::Epoch(10), 0)));
        state.curvature.epoch = 4;
        assert_eq!(reached(&state), Some((Anchor::Epoch(4), 0)));
        // There is no end of SGD.
        state.curvature.point = Point::Sgd;
        assert_eq!(reached(&state), Some((Anchor::Swa, 0)));
        state.run = None;
        assert_eq!(reached(&state), None);
    }

    #[test]
    fn the_worker_is_asked_once_until_something_else_is_wanted() {
        let mut state = state();
        let context = egui::Context::default();
        let first = state.curvature_request(&context).unwrap().unwrap();
        assert_eq!(Some(&first), state.curvature_wanted().as_ref());
        assert_eq!(state.curvature_request(&context), None);
        assert!(state.is_finding_curvature());

        // Stopped, it is not asked again before it is started or another point is chosen.
        assert_eq!(state.stop_curvature().len(), 1);
        assert_eq!(state.curvature_request(&context), None);
        assert!(state.stop_curvature().is_empty());
        state.start_curvature();
        assert_eq!(state.curvature_request(&context), Some(Some(first.clone())));
        state.stop_curvature();
        state.curvature.point = Point::Swa;
        let second = state.curvature_request(&context).unwrap().unwrap();
        assert_eq!(second.anchor, Anchor::Swa);

        // The non-uniformity is that of the point it was asked for at.
        state.estimate_non_uniformity(64);
        let third = state.curvature_request(&context).unwrap().unwrap();
        assert_eq!((third.uniformity, third.spectrum()), (Some(64), second));
        state.curvature.point = Point::Marked;
        let fourth = state.curvature_request(&context).unwrap().unwrap();
        assert_eq!(fourth, first);

        // Left, it is told once, and opened again, it begins, even where it was stopped.
        state.page = Page::Explore;
        assert_eq!(state.curvature_request(&context), Some(None));
        assert_eq!(state.curvature_request(&context), None);
        state.page = Page::Curvature;
        assert!(state.curvature_request(&context).is_some());
        state.stop_curvature();
        for (page, asks) in [
            (Page::Curvature, false),
            (Page::Explore, false),
            (Page::Curvature, true),
        ] {
            state.page = page;
            assert_eq!(state.curvature_request(&context).is_some(), asks, "{page:?}");
        }
    }

    #[test]
    fn eigenvectors_are_called_what_they_were_found_as() {
        let mut state = state();
        let request = state.curvature_wanted().unwrap();
        let view = |number: usize, names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let found = crate::engine::EigenvectorSet { number, names };
            Some(Arc::new(CurvatureView {
                eigenvectors: Some(found),
                ..CurvatureView::failed(request.clone(), String::new())
            }))
        };
        state.curvature.see(view(0, &["eigenvector 1 of SWA"]));
        state.curvature.ticked = vec![0];
        state.curvature.see(view(0, &["eigenvector 1 of SWA"]));
        assert_eq!(state.curvature.ticked, [0]);
        state.curvature.see(view(
            1,
            &["eigenvector 1 of epoch 3", "lowest eigenvector 1 of epoch 3"],
        ));
        assert!(state.curvature.ticked.is_empty());
        let name = |set, index| state.basis_name(Basis::Eigenvector { set, index });
        assert_eq!(name(0, 0), "eigenvector 1 of SWA");
        assert_eq!(name(1, 1), "lowest eigenvector 1 of epoch 3");
        assert_eq!(name(2, 0), "eigenvector 1");
        let newest: Vec<_> = state.curvature.eigenvectors().collect();
        let expected = [
            (1, 0, "eigenvector 1 of epoch 3"),
            (1, 1, "lowest eigenvector 1 of epoch 3"),
        ];
        assert_eq!(newest, expected);
    }
}
