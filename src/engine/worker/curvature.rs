//! The worker and the curvature at a point.

use super::Worker;
use crate::engine::curvature::{CurvatureJob, CurvatureRequest, CurvatureView};

impl Worker {
    /// Whether there is something left to be found.
    pub(super) fn finds_curvature(&self) -> bool {
        self.curvature.as_ref().is_some_and(CurvatureJob::has_work)
    }

    /// Begins to find the curvature at the point as it is now, or goes on with it. What fails is told with it.
    pub(super) fn start_curvature(&mut self, request: CurvatureRequest) {
        let known = self.curvature.take();
        // A point of another run than the one that is open by now is no longer looked at.
        let Some(session) = self.session.as_mut().filter(|_| request.session == self.sessions) else {
            return;
        };
        let trainer = self.training.as_ref().map(|training| &training.trainer);
        match known.filter(|job| job.is_of(&request, session, trainer)) {
            Some(mut job) => {
                if let Err(error) = job.go_on(request) {
                    job.fail(error.to_string());
                }
                self.curvature = Some(job);
            }
            None => match CurvatureJob::new(session, request.clone(), trainer) {
                Ok(job) => self.curvature = Some(job),
                Err(error) => {
                    let failed = CurvatureView::failed(request, error.to_string());
                    self.slots.curvature.set(Some(failed));
                }
            },
        }
        self.show_curvature();
    }

    /// Ends what was being found where computing failed under it.
    pub(super) fn lose_curvature(&mut self) {
        if self.finds_curvature()
            && let Some(mut job) = self.curvature.take()
        {
            job.fail("the device failed while computing; start it again".to_owned());
            self.slots.curvature.set(Some(job.view()));
        }
    }

    /// Leaves what was found and what is under way as it is.
    pub(super) fn hold_curvature(&mut self) {
        if let Some(job) = &mut self.curvature {
            job.hold();
        }
        self.show_curvature();
    }

    /// Does one batch.
    pub(super) fn curvature_step(&mut self) {
        let (Some(job), Some(session)) = (&mut self.curvature, &mut self.session) else {
            return;
        };
        let news = job.step(session).unwrap_or_else(|error| {
            job.fail(error.to_string());
            true
        });
        if news {
            self.show_curvature();
        }
    }

    fn show_curvature(&self) {
        if let Some(job) = &self.curvature {
            self.slots.curvature.set(Some(job.view()));
        }
        (self.wake)();
    }
}
