//! The worker and the curvature, at a point and along the run.

use super::Worker;
use crate::engine::curvature::{AlongRunJob, AlongRunRequest, AlongRunView};
use crate::engine::curvature::{CurvatureJob, CurvatureRequest, CurvatureView};

/// What is told of what was being found when computing failed under it.
const LOST: &str = "the device failed while computing; start it again";

impl Worker {
    /// Whether there is something left to be found.
    pub(super) fn finds_curvature(&self) -> bool {
        self.finds_at_point() || self.measures_along_run()
    }

    fn finds_at_point(&self) -> bool {
        self.curvature.as_ref().is_some_and(CurvatureJob::has_work)
    }

    fn measures_along_run(&self) -> bool {
        self.along_run.as_ref().is_some_and(AlongRunJob::has_work)
    }

    /// Begins to find the curvature at the point as it is now, or goes on with it. What fails is told with it.
    pub(super) fn start_curvature(&mut self, request: CurvatureRequest) {
        let known = self.curvature.take();
        // A point of another run than the one that is open by now is no longer looked at.
        let Some(session) = self.session.as_mut().filter(|_| request.session == self.sessions) else {
            return;
        };
        // Both may fill the memory that there is for a search.
        if let Some(job) = &mut self.along_run {
            job.let_go();
        }
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

    /// Begins to measure the curvature along the run, or goes on with it. What fails is told with it.
    pub(super) fn start_along_run(&mut self, request: AlongRunRequest) {
        let Some(session) = self.session.as_ref().filter(|_| request.session == self.sessions) else {
            return;
        };
        // What was measured is kept even where the request makes no sense.
        if let Some(job) = &mut self.along_run {
            job.hold();
        }
        let job = request.check().and_then(|()| match self.along_run.take() {
            Some(job) => Ok(job.go_on(request)),
            None => AlongRunJob::new(session, request),
        });
        match job {
            Ok(job) => {
                self.along_run = Some(job);
                self.show_along_run();
            }
            Err(error) => {
                let failed = AlongRunView::failed(request, error.to_string());
                self.slots.along_run.set(Some(failed));
                (self.wake)();
            }
        }
    }

    /// Ends what was being found where computing failed under it.
    pub(super) fn lose_curvature(&mut self) {
        if self.finds_at_point()
            && let Some(mut job) = self.curvature.take()
        {
            job.fail(LOST.to_owned());
            self.slots.curvature.set(Some(job.view()));
        }
        if self.measures_along_run()
            && let Some(job) = &mut self.along_run
        {
            job.fail(LOST.to_owned());
            self.slots.along_run.set(Some(job.view()));
        }
    }

    /// Leaves what was found and what is under way as it is.
    pub(super) fn hold_curvature(&mut self) {
        if let Some(job) = &mut self.curvature {
            job.hold();
        }
        self.show_curvature();
    }

    /// Leaves what was measured along the run and what is under way as it is.
    pub(super) fn hold_along_run(&mut self) {
        if let Some(job) = &mut self.along_run {
            job.hold();
        }
        self.show_along_run();
    }

    /// Does one batch, of that at a point where both wait.
    pub(super) fn curvature_step(&mut self) {
        if self.finds_at_point() {
            self.point_step();
        } else {
            self.along_run_step();
        }
    }

    fn point_step(&mut self) {
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

    fn along_run_step(&mut self) {
        let (Some(job), Some(session)) = (&mut self.along_run, &self.session) else {
            return;
        };
        let news = job.step(session).unwrap_or_else(|error| {
            job.fail(error.to_string());
            true
        });
        if news {
            self.show_along_run();
        }
    }

    fn show_curvature(&self) {
        if let Some(job) = &self.curvature {
            self.slots.curvature.set(Some(job.view()));
        }
        (self.wake)();
    }

    fn show_along_run(&self) {
        if let Some(job) = &self.along_run {
            self.slots.along_run.set(Some(job.view()));
        }
        (self.wake)();
    }
}
