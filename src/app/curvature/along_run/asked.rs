//! What is asked of the curvature along the run, and what is known of it.

use std::sync::Arc;

use crate::app::curvature::asking::Asking;
use crate::app::curvature::settings::Tab;
use crate::app::curvature::stability::IMAGES;
use crate::app::export::Effect;
use crate::app::page::Page;
use crate::app::state::State;
use crate::engine::{AlongRunRequest, AlongRunView, Request};
use crate::objective::BatchNormPolicy;

/// The tab. Policy, images of the Hessian and seed are those of the spectrum.
pub struct AlongRun {
    /// Whether the non-uniformity is wanted, too.
    pub uniformity: bool,
    /// Images that it is estimated from.
    pub images: usize,
    view: Option<Arc<AlongRunView>>,
    asking: Asking<AlongRunRequest>,
}

impl Default for AlongRun {
    fn default() -> Self {
        Self {
            uniformity: false,
            images: IMAGES[1],
            view: None,
            asking: Asking::default(),
        }
    }
}

impl AlongRun {
    /// The same of another run.
    pub fn of_another_run(&self) -> Self {
        Self {
            uniformity: self.uniformity,
            images: self.images,
            ..Self::default()
        }
    }

    /// Takes a newer view.
    pub fn see(&mut self, view: Option<Arc<AlongRunView>>) {
        self.view = view;
    }
}

impl State {
    /// Whether the tab of the curvature along the run is in the window.
    pub fn shows_along_run(&self) -> bool {
        self.page == Page::Curvature && self.curvature.tab == Tab::AlongRun
    }

    /// Why the non-uniformity cannot be estimated, where it cannot.
    pub fn without_uniformity(&self) -> Option<&'static str> {
        let asked = &self.curvature;
        let has_batch_norm = self.run.as_ref().is_some_and(|run| run.batch_norm_parameters > 0);
        match asked.policy {
            BatchNormPolicy::Batch if has_batch_norm => {
                Some("under the policy batch an image has no loss of its own: choose running or recompute")
            }
            _ if asked.wanted_images() < 2 => Some("take more images for the Hessian: one alone has no covariance"),
            _ => None,
        }
    }

    /// What the tab is about; nothing where there is no trajectory.
    fn along_run_wanted(&self) -> Option<AlongRunRequest> {
        let run = self.run.as_ref().filter(|run| !run.checkpoint && run.snapshots > 0)?;
        let (asked, tab) = (&self.curvature, &self.curvature.along_run);
        let estimates = tab.uniformity && self.without_uniformity().is_none();
        Some(AlongRunRequest {
            session: run.session,
            policy: asked.policy,
            images: asked.wanted_images(),
            seed: asked.seed,
            uniformity: estimates.then_some(tab.images),
            snapshots: run.snapshots,
        })
    }

    /// What is known of that: of as many epochs or fewer, and with the non-uniformity or before it was asked for.
    pub fn along_run_view(&self) -> Option<Arc<AlongRunView>> {
        let sharpness = |request: AlongRunRequest| AlongRunRequest {
            uniformity: None,
            ..request
        };
        let wanted = sharpness(self.along_run_wanted()?);
        let view = self.curvature.along_run.view.clone();
        view.filter(|view| sharpness(view.request).is_like(&wanted))
    }

    /// What to ask the worker for, where it is another than before: the epochs there are while the tab is looked at,
    /// and nothing, within, once it is left. A hand on a slider has not chosen yet.
    pub fn along_run_request(&mut self, context: &egui::Context) -> Option<Option<AlongRunRequest>> {
        let wanted = self.along_run_wanted().filter(|_| self.shows_along_run());
        let held = context.input(|input| input.pointer.any_down());
        let asking = &mut self.curvature.along_run.asking;
        // What a person stopped stays so when an epoch comes.
        asking.next(wanted, held, AlongRunRequest::is_like)
    }

    /// Whether epochs are being measured.
    pub fn is_measuring_along_run(&self) -> bool {
        let wanted = self.along_run_wanted();
        let is_done = |view: Arc<AlongRunView>| view.finished && Some(view.request) == wanted;
        self.curvature.along_run.asking.is_asked() && !self.along_run_view().is_some_and(is_done)
    }

    /// Lets the worker be asked again.
    pub(in crate::app::curvature) fn start_along_run(&mut self) {
        self.curvature.along_run.asking.again();
    }

    /// Stops it; what was measured stays.
    pub(in crate::app::curvature) fn stop_along_run(&mut self) -> Vec<Effect> {
        if !self.is_measuring_along_run() {
            return Vec::new();
        }
        self.curvature.along_run.asking.stop();
        vec![Effect::Send(Request::AlongRun(None))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::curvature::testing::state;

    #[test]
    fn the_worker_is_asked_once_and_again_for_every_epoch_that_comes() {
        let mut state = state();
        let context = egui::Context::default();
        // Another tab asks for nothing of it.
        assert_eq!(state.along_run_request(&context), None);
        state.curvature.tab = Tab::AlongRun;
        assert!(state.shows_along_run());
        let first = state.along_run_request(&context).unwrap().unwrap();
        assert_eq!(Some(first), state.along_run_wanted());
        assert_eq!((first.session, first.snapshots, first.uniformity), (3, 11, None));
        assert_eq!(state.along_run_request(&context), None);
        assert!(state.is_measuring_along_run());
        let grow = |state: &mut State| state.run.as_mut().unwrap().snapshots += 1;
        grow(&mut state);
        let second = state.along_run_request(&context).unwrap().unwrap();
        assert_eq!(second, AlongRunRequest { snapshots: 12, ..first });

        // Stopped, it stays so when an epoch comes, but not when something else is asked.
        assert_eq!(state.stop_curvature().len(), 1);
        assert!(state.stop_curvature().is_empty() && !state.is_measuring_along_run());
        grow(&mut state);
        assert_eq!(state.along_run_request(&context), None);
        state.start_curvature();
        let third = state.along_run_request(&context).unwrap().unwrap();
        assert_eq!(third.snapshots, 13);
        state.stop_curvature();
        state.curvature.along_run.uniformity = true;
        let fourth = state.along_run_request(&context).unwrap().unwrap();
        assert_eq!(fourth.uniformity, Some(IMAGES[1]));

        // Left, it is told once, and opened again, it begins.
        state.page = Page::Explore;
        assert_eq!(state.along_run_request(&context), Some(None));
        assert_eq!(state.along_run_request(&context), None);
        state.page = Page::Curvature;
        assert_eq!(state.along_run_request(&context), Some(Some(fourth)));
        state.curvature.tab = Tab::Spectrum;
        assert_eq!(state.along_run_request(&context), Some(None));
    }

    #[test]
    fn what_is_known_is_that_of_the_same_numbers() {
        let mut state = state();
        state.curvature.tab = Tab::AlongRun;
        let wanted = state.along_run_wanted().unwrap();
        let known = AlongRunView::failed(wanted, String::new());
        state.curvature.along_run.see(Some(Arc::new(known)));
        assert!(state.along_run_view().is_some() && !state.is_measuring_along_run());
        state.run.as_mut().unwrap().snapshots += 1;
        assert!(state.along_run_view().is_some());
        state.curvature.along_run.uniformity = true;
        assert!(state.along_run_view().is_some());
        state.curvature.images += 1;
        assert!(state.along_run_view().is_none());
        // A checkpoint has no trajectory.
        state.run.as_mut().unwrap().checkpoint = true;
        assert!(state.along_run_wanted().is_none());
    }

    #[test]
    fn the_non_uniformity_is_not_asked_for_where_there_is_none() {
        let mut state = state();
        state.curvature.along_run.uniformity = true;
        let wanted = |state: &State| state.along_run_wanted().unwrap().uniformity;
        assert!(wanted(&state).is_some());
        state.curvature.images = 1;
        assert!(wanted(&state).is_none() && state.without_uniformity().unwrap().contains("no covariance"));
        // All of few are taken at once.
        state.curvature.images = 2;
        assert!(wanted(&state).is_some());
        state.curvature.images = 1;
        state.curvature.all_images = true;
        assert!(wanted(&state).is_some());
        // Without batch norm an image's loss is its own under any policy.
        state.curvature.policy = BatchNormPolicy::Batch;
        assert!(wanted(&state).is_some());
        state.run.as_mut().unwrap().batch_norm_parameters = 4;
        assert!(wanted(&state).is_none() && state.without_uniformity().unwrap().contains("recompute"));
    }
}
