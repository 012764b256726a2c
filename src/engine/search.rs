//! A search for asymmetric directions: random ones through a point, drawn one after the other and measured batch by
//! batch wherever nothing on its way to the stage waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::request::{Anchor, Step};
use super::session::Session;
use crate::data::Part;
use crate::error::{Error, Result};
use crate::landscape::asymmetry::{Draw, Summary};
use crate::landscape::line::positions;
use crate::landscape::sweep::SweepRequest;
use crate::landscape::{Certificate, DirectionKind, Line, Memory, Profile, Sweep, direction};
use crate::objective::{BatchNormPolicy, Objective, Solution};
use crate::training::Trainer;

/// Positions along every direction, and images of each split used at every one.
const POINTS: usize = 41;
const IMAGES: usize = 1000;
/// Directions that are named.
const BEST: usize = 5;
/// Time between two views while one direction is being measured.
const VIEW_INTERVAL: Duration = Duration::from_millis(100);

/// A search among random directions of unit length through a point.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRequest {
    /// The run it is of ([`super::RunSummary::session`]); a request for a run no longer open is refused.
    pub session: u64,
    /// Where the walk starts. Weights that are being trained are taken as they are when the search begins.
    pub anchor: Anchor,
    /// Steps from there to the point w.
    pub walk: Vec<Step>,
    /// How directions are drawn.
    pub kind: DirectionKind,
    /// Seed of the first; the others have the seeds after it.
    pub first_seed: u64,
    /// Number of directions, from 1 to [`SearchRequest::MOST_DRAWS`].
    pub draws: u64,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// Positions reach from −reach to reach, in lengths of parameter space.
    pub reach: f64,
    /// Shortest interval that a certificate may be about, a distance of more than 0 and at most `reach`.
    pub width: f64,
}

impl SearchRequest {
    /// Directions of one search at most.
    pub const MOST_DRAWS: u64 = 100_000;

    /// Seed of the last direction.
    pub fn last_seed(&self) -> u64 {
        self.first_seed.saturating_add(self.draws.saturating_sub(1))
    }

    /// Refuses what no direction could answer, or no memory hold.
    fn check(&self) -> Result<()> {
        let (draws, most) = (self.draws, Self::MOST_DRAWS);
        if !(1..=most).contains(&draws) {
            return Err(Error::Request(format!(
                "a search draws 1 to {most} directions, and {draws} is not among these"
            )));
        }
        if self.first_seed.checked_add(draws - 1).is_none() {
            return Err(Error::Request(format!(
                "there are no {draws} seeds from {} on; begin with a smaller one",
                self.first_seed
            )));
        }
        let (reach, width) = (self.reach, self.width);
        let fits = reach.is_finite() && width > 0.0 && width <= reach;
        if !fits {
            return Err(Error::Request(format!(
                "no interval of distances up to {reach} is at least {width} long; ask for a length above 0 and within \
                 the range"
            )));
        }
        Ok(())
    }
}

/// A search as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchView {
    /// What was asked.
    pub request: SearchRequest,
    /// Name of the point w.
    pub origin: String,
    /// Directions measured.
    pub done: u64,
    /// Positions along each.
    pub points: usize,
    /// Images of each split used at every position, from its start.
    pub images: [usize; 2],
    /// What the directions measured so far amount to: train loss, slopes from its differences, and the best five.
    pub summary: Summary,
    /// Share of all directions that is measured, 0..1, the one under way in part.
    pub progress: f64,
    /// Whether it goes on no more: all directions are measured, or it was stopped.
    pub finished: bool,
    /// Seconds left at the speed so far, all else that was done meanwhile included; nothing before the first step and
    /// after the last.
    pub seconds_left: Option<f64>,
}

/// A search under way.
pub struct SearchJob {
    request: SearchRequest,
    origin: Arc<Solution>,
    name: String,
    /// The direction under way.
    sweep: Sweep<Line>,
    /// Its own: all directions meet in one point, and nothing else of them is measured again.
    memory: Memory,
    images: [usize; 2],
    draws: Vec<Draw>,
    summary: Summary,
    started: Instant,
    shown: Instant,
}

impl SearchJob {
    /// Prepares the search at the point as it is now; nothing is evaluated yet.
    ///
    /// # Errors
    /// When the request makes no sense, the point cannot be reached, or the network has no parameters for such a
    /// direction.
    pub fn new(session: &mut Session, request: SearchRequest, trainer: Option<&Trainer>) -> Result<Self> {
        request.check()?;
        let (origin, name) = session.point(request.anchor, &request.walk, trainer)?;
        let objective = &session.objective;
        let sweep = sweep(objective, &origin, &request, request.first_seed)?;
        let data = objective.data();
        let now = Instant::now();
        Ok(Self {
            origin,
            name,
            sweep,
            memory: Memory::default(),
            images: Part::BOTH.map(|part| data.split(part).len().min(IMAGES)),
            draws: Vec::new(),
            summary: Summary::of(&[], BEST),
            started: now,
            shown: now,
            request,
        })
    }

    /// Whether every direction is measured.
    pub fn is_finished(&self) -> bool {
        self.draws.len() as u64 >= self.request.draws
    }

    /// Does one batch at one or several points. True when there is something new to show.
    ///
    /// # Errors
    /// As [`Sweep::step`].
    pub fn step(&mut self, objective: &Objective) -> Result<bool> {
        if self.is_finished() {
            return Ok(false);
        }
        self.sweep.step(objective, &mut self.memory)?;
        if self.sweep.is_finished() {
            let profile = Profile::of(&self.sweep.curve(), Part::Train);
            let seed = self.request.first_seed + self.draws.len() as u64;
            self.draws.push(Draw {
                seed,
                certificate: Certificate::of(&profile, self.request.width),
            });
            self.summary = Summary::of(&self.draws, BEST);
            if !self.is_finished() {
                self.sweep = sweep(objective, &self.origin, &self.request, seed + 1)?;
            }
        } else if self.shown.elapsed() < VIEW_INTERVAL {
            return Ok(false);
        }
        self.shown = Instant::now();
        Ok(true)
    }

    /// What is known now.
    pub fn view(&self) -> SearchView {
        let done = self.draws.len() as u64;
        let finished = self.is_finished();
        let progress = if finished {
            1.0
        } else {
            let (images, all) = self.sweep.progress();
            (done as f64 + images as f64 / all.max(1) as f64) / self.request.draws as f64
        };
        let spent = self.started.elapsed().as_secs_f64();
        SearchView {
            request: self.request.clone(),
            origin: self.name.clone(),
            done,
            points: POINTS,
            images: self.images,
            summary: self.summary.clone(),
            progress,
            finished,
            seconds_left: (progress > 0.0 && !finished).then(|| spent * (1.0 - progress) / progress),
        }
    }

    /// What is known where it ends now.
    pub fn stopped(&self) -> SearchView {
        SearchView {
            finished: true,
            seconds_left: None,
            ..self.view()
        }
    }
}

/// The curve along the random direction of a seed.
fn sweep(objective: &Objective, origin: &Arc<Solution>, request: &SearchRequest, seed: u64) -> Result<Sweep<Line>> {
    // Not by the session, which keeps the directions of the pad: a search would push them out.
    let unit = direction::random(objective.graph(), request.kind, seed)?;
    Ok(Sweep::new(
        objective,
        SweepRequest {
            slice: Line::ray(origin.clone(), Arc::new(unit)),
            positions: positions(-request.reach, request.reach, POINTS),
            policy: request.policy,
            samples: IMAGES,
        },
    ))
}
