//! The curvature at a point, found behind the stage: the extreme eigenvalues of the loss's Hessian with their vectors,
//! then its trace, and where it is asked for the non-uniformity of its images. What is known is shown after every
//! product with the Hessian, of which a step makes one batch.

mod along_run;
mod place;
mod product;
mod uniformity;
mod view;

use std::time::{Duration, Instant};

pub use self::along_run::{AlongRunJob, AlongRunRequest, AlongRunView, EpochCurvature, Measured};
use self::place::Place;
use self::product::Products;
use self::uniformity::UniformityJob;
pub use self::view::{CurvatureRequest, CurvatureStage, CurvatureView, EigenvectorSet};
use super::request::Anchor;
use super::session::Session;
use crate::curvature::{Lanczos, Ritz, Spectrum, TraceEstimator};
use crate::data::Part;
use crate::error::Result;
use crate::objective::Evaluation;
use crate::training::Trainer;

/// Samples of the trace.
const TRACE_SAMPLES: usize = 20;
/// Time between two views while one product is being made.
const VIEW_INTERVAL: Duration = Duration::from_millis(100);

/// The search as far as it is.
enum Stage {
    Statistics(Box<Evaluation>),
    Spectrum(Box<Lanczos>),
    Eigenvectors(Box<Lanczos>),
    Trace,
    NonUniformity(Box<UniformityJob>),
    Done,
}

/// A search under way.
pub struct CurvatureJob {
    name: String,
    /// When weights that move were taken.
    moment: Option<f64>,
    place: Place,
    products: Products,
    stage: Stage,
    /// Outlives a product that fails, after which the trace is gone on with.
    trace: TraceEstimator,
    /// All that is known, but for how far it is.
    known: CurvatureView,
    /// Number of images that the known non-uniformity is from.
    uniformity_of: Option<usize>,
    held: bool,
    /// Seconds spent in products of the whole Hessian, and their number.
    spent: (f64, usize),
    shown: Instant,
}

impl CurvatureJob {
    /// Prepares the search at the point as it is now; nothing is evaluated yet.
    ///
    /// # Errors
    /// When the request makes no sense, the point cannot be reached, or the eigenvectors would not fit in memory.
    pub fn new(session: &mut Session, request: CurvatureRequest, trainer: Option<&Trainer>) -> Result<Self> {
        request.check()?;
        let (solution, name) = session.point(request.anchor, &request.walk, trainer)?;
        let moment = moment(session, request.anchor, trainer);
        let all = session.objective.data().split(Part::Train).len();
        let (place, pass) = Place::at(session.objective.clone(), solution, request.policy, request.images)?;
        let stage = match pass {
            Some(pass) => Stage::Statistics(Box::new(pass)),
            None => Stage::Spectrum(Box::new(request.lanczos(place.dimension())?)),
        };
        let trace = TraceEstimator::new(place.dimension(), request.seed)?;
        let known = CurvatureView {
            origin: name.clone(),
            dimension: place.dimension(),
            images: [place.images, all],
            problem: None,
            ..CurvatureView::failed(request, String::new())
        };
        Ok(Self {
            name,
            moment,
            products: Products::new(&place),
            place,
            stage,
            trace,
            known,
            uniformity_of: None,
            held: false,
            spent: (0.0, 0),
            shown: Instant::now(),
        })
    }

    /// Whether there is something left to be found.
    pub fn has_work(&self) -> bool {
        !self.held && !matches!(self.stage, Stage::Done)
    }

    /// Whether it is the search that a request asks for, which then goes on where it is.
    pub fn is_of(&self, request: &CurvatureRequest, session: &Session, trainer: Option<&Trainer>) -> bool {
        self.known.request.spectrum() == request.spectrum()
            && self.moment == moment(session, request.anchor, trainer)
            // What failed before there was a spectrum would fail again.
            && (self.known.problem.is_none() || self.known.eigenvectors.is_some())
    }

    /// Stays where it is.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Goes on with a request of the same spectrum.
    ///
    /// # Errors
    /// When the non-uniformity that it asks for cannot be found, and there is nothing before it.
    pub fn go_on(&mut self, request: CurvatureRequest) -> Result<()> {
        self.held = false;
        self.known.problem = None;
        let other = request.uniformity != self.known.request.uniformity;
        self.known.request = request;
        let is_behind = match self.stage {
            Stage::NonUniformity(_) => other,
            Stage::Done => true,
            _ => false,
        };
        if is_behind {
            self.products = Products::new(&self.place);
            self.stage = Stage::Done;
            // The trace may have failed before it was whole.
            self.stage = match self.trace_samples() < TRACE_SAMPLES {
                true => Stage::Trace,
                false => self.uniformity()?,
            };
        }
        Ok(())
    }

    /// Ends with a problem. What was found stays.
    pub fn fail(&mut self, problem: String) {
        self.stage = Stage::Done;
        self.known.problem = Some(problem);
    }

    /// Does one batch. True when there is something new to show.
    ///
    /// # Errors
    /// When the loss or a product is not finite, or the device fails. It is to [`CurvatureJob::fail`] then.
    pub fn step(&mut self, session: &mut Session) -> Result<bool> {
        if let Stage::Statistics(pass) = &mut self.stage {
            if !self.place.find_statistics(pass)? {
                return Ok(self.is_due());
            }
            self.stage = Stage::Spectrum(Box::new(self.known.request.lanczos(self.place.dimension())?));
            return Ok(true);
        }
        if self.products.is_awaited() {
            let started = Instant::now();
            let whole = self.products.step(&self.place)?;
            if !matches!(self.stage, Stage::NonUniformity(_)) {
                self.spent.0 += started.elapsed().as_secs_f64();
                self.spent.1 += usize::from(whole);
            }
            if !whole {
                return Ok(self.is_due());
            }
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        let (stage, news) = self.advanced(stage, session)?;
        self.stage = stage;
        Ok(news)
    }

    /// A stage after what there are products for, and whether that found something.
    fn advanced(&mut self, stage: Stage, session: &mut Session) -> Result<(Stage, bool)> {
        let products = &mut self.products;
        match stage {
            Stage::Spectrum(mut lanczos) => {
                let Some(goes_on) = products.attempt(|products| lanczos.step(products))? else {
                    return Ok((Stage::Spectrum(lanczos), false));
                };
                self.see(lanczos.ritz());
                let next = if goes_on { Stage::Spectrum } else { Stage::Eigenvectors };
                Ok((next(lanczos), true))
            }
            Stage::Eigenvectors(lanczos) => {
                let Some(spectrum) = products.attempt(|products| lanczos.finish(products))? else {
                    return Ok((Stage::Eigenvectors(lanczos), true));
                };
                self.keep(spectrum, session);
                Ok((Stage::Trace, true))
            }
            Stage::Trace => {
                let trace = &mut self.trace;
                let Some(()) = products.attempt(|products| trace.sample(products))? else {
                    return Ok((Stage::Trace, false));
                };
                self.known.trace = self.trace.estimate();
                let next = match self.trace_samples() < TRACE_SAMPLES {
                    true => Stage::Trace,
                    false => self.uniformity()?,
                };
                Ok((next, true))
            }
            Stage::NonUniformity(mut job) => match job.advance(products)? {
                Some(found) => {
                    self.uniformity_of = Some(job.images());
                    self.known.non_uniformity = Some(found);
                    // The products of single images take more memory than what comes next.
                    self.place.objective.release_gradients();
                    Ok((self.uniformity()?, true))
                }
                None => Ok((Stage::NonUniformity(job), true)),
            },
            stage @ (Stage::Statistics(_) | Stage::Done) => Ok((stage, false)),
        }
    }

    /// Samples of the trace so far.
    fn trace_samples(&self) -> usize {
        self.known.trace.map_or(0, |trace| trace.samples)
    }

    /// The stage that the non-uniformity is found in, where it is wanted and not known.
    fn uniformity(&self) -> Result<Stage> {
        match self.known.request.uniformity {
            Some(images) if self.uniformity_of != Some(images) => {
                let job = UniformityJob::new(&self.place, images, self.known.request.seed)?;
                Ok(Stage::NonUniformity(Box::new(job)))
            }
            _ => Ok(Stage::Done),
        }
    }

    fn see(&mut self, ritz: &Ritz) {
        self.known.steps = ritz.steps;
        self.known.converged = ritz.converged;
        self.known.largest.clone_from(&ritz.largest);
        self.known.smallest.clone_from(&ritz.smallest);
    }

    /// Keeps the eigenvectors with the session, and their residuals.
    fn keep(&mut self, spectrum: Spectrum, session: &mut Session) {
        let mut named = Vec::new();
        let ends = [
            ("eigenvector", spectrum.largest, &mut self.known.largest),
            ("lowest eigenvector", spectrum.smallest, &mut self.known.smallest),
        ];
        for (what, pairs, values) in ends {
            for (index, (pair, value)) in pairs.into_iter().zip(values).enumerate() {
                value.residual = pair.residual;
                named.push((format!("{what} {} of {}", index + 1, self.name), pair.vector));
            }
        }
        let names = named.iter().map(|(name, _)| name.clone()).collect();
        let number = session.add_eigenvectors(named);
        self.known.eigenvectors = Some(EigenvectorSet { number, names });
    }

    /// Whether it is time to show how far the product under way is.
    fn is_due(&mut self) -> bool {
        let due = self.shown.elapsed() >= VIEW_INTERVAL;
        if due {
            self.shown = Instant::now();
        }
        due
    }

    /// What is known now.
    pub fn view(&self) -> CurvatureView {
        let pairs = self.known.largest.len() + self.known.smallest.len();
        let (stage, products) = match &self.stage {
            Stage::Statistics(_) => (CurvatureStage::Statistics, None),
            Stage::Spectrum(_) => (CurvatureStage::Spectrum, None),
            Stage::Eigenvectors(_) => {
                let left = pairs.saturating_sub(self.products.made()) + TRACE_SAMPLES;
                (CurvatureStage::Eigenvectors, Some(left))
            }
            Stage::Trace => {
                let left = TRACE_SAMPLES.saturating_sub(self.trace_samples());
                (CurvatureStage::Trace, Some(left))
            }
            Stage::NonUniformity(job) => (job.stage(), None),
            Stage::Done => (CurvatureStage::Done, None),
        };
        let share = self.products.share();
        let (seconds, made) = self.spent;
        let left = |products: usize| seconds / made.max(1) as f64 * (products as f64 - share);
        // After it was asked for, the non-uniformity follows, and what it takes is not known.
        let known = products.filter(|_| made > 0 && self.has_work() && self.known.request.uniformity.is_none());
        CurvatureView {
            stage,
            share,
            finished: !self.has_work(),
            seconds_left: known.map(left),
            ..self.known.clone()
        }
    }
}

/// When the weights at an anchor were what they are: they are trained, or the run has grown.
fn moment(session: &Session, anchor: Anchor, trainer: Option<&Trainer>) -> Option<f64> {
    let grown = || session.folder().map(|folder| folder.snapshots() as f64);
    let trained = trainer.map(Trainer::epochs_done);
    (anchor == Anchor::Current).then(|| trained.or_else(grown)).flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::curvature::Estimate;
    use crate::data::Dataset;
    use crate::network::zoo;
    use crate::objective::{BatchNormPolicy, Compute, Objective, Solution};

    /// A search that has so many samples of the trace, and nothing to do.
    fn job(samples: usize) -> CurvatureJob {
        let data = Arc::new(Dataset::open("two-gaussians").unwrap());
        let graph = Arc::new(zoo::build("mlp:3", data.shape, data.classes.len()).unwrap());
        let place = Place {
            images: data.train.len(),
            solution: Arc::new(Solution {
                parameters: vec![0.1; graph.parameter_count()],
                statistics: Vec::new(),
            }),
            objective: Arc::new(Objective::new(graph, data, Compute::flex(), 8).unwrap()),
            policy: BatchNormPolicy::Running,
        };
        let request = CurvatureRequest {
            session: 1,
            anchor: Anchor::Swa,
            walk: Vec::new(),
            policy: BatchNormPolicy::Running,
            images: 10,
            largest: 1,
            smallest: 0,
            seed: 1,
            uniformity: None,
        };
        CurvatureJob {
            name: "SWA".to_owned(),
            moment: None,
            products: Products::new(&place),
            stage: Stage::Done,
            trace: TraceEstimator::new(place.dimension(), request.seed).unwrap(),
            known: CurvatureView {
                trace: Estimate::of(&vec![1.0; samples]),
                problem: None,
                ..CurvatureView::failed(request, String::new())
            },
            place,
            uniformity_of: None,
            held: false,
            spent: (0.0, 0),
            shown: Instant::now(),
        }
    }

    #[test]
    fn a_trace_that_failed_is_gone_on_with() {
        for (samples, stage) in [
            (0, CurvatureStage::Trace),
            (3, CurvatureStage::Trace),
            (TRACE_SAMPLES, CurvatureStage::Done),
        ] {
            let mut job = job(samples);
            job.stage = Stage::Trace;
            job.fail("a product failed".to_owned());
            assert!(!job.has_work() && job.view().problem.is_some());
            job.go_on(job.known.request.clone()).unwrap();
            let view = job.view();
            assert_eq!((view.stage, view.problem), (stage, None), "{samples} samples");
            assert_eq!(job.has_work(), stage == CurvatureStage::Trace);
            assert_eq!(view.trace.map_or(0, |trace| trace.samples), samples);
        }
    }
}
