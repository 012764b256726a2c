//! A live slice: a coarse pass first, then finer ones, each a sweep that can be dropped at any batch.

use std::time::Instant;

use super::compass::{Compass, MAP_EVALUATIONS};
use super::request::{CompassView, Distance, Level, LineView, Refining, SliceRequest, SliceView, View};
use super::session::Session;
use crate::data::Part;
use crate::error::Result;
use crate::landscape::direction::dot;
use crate::landscape::line::{Line, positions};
use crate::landscape::sweep::{Sweep, SweepRequest};
use crate::landscape::{Curve, LineRecord, Provenance};
use crate::network::cost;
use crate::objective::{Evaluation, Objective};
use crate::training::Trainer;

/// Points and images of the passes after the first. Each grid holds the one before it.
const LEVELS: [(usize, usize); 4] = [(33, 256), (33, 1024), (33, usize::MAX), (65, usize::MAX)];
/// The first pass answers a drag: as many images as can be evaluated at this many points, or at the fewer where that
/// would be too few images, within the time.
const FIRST_POINTS: [usize; 2] = [17, 9];
const FIRST_SECONDS: f64 = 0.035;
/// Most images of each split in the first pass, and few for it.
const FIRST_IMAGES: [usize; 2] = [128, 48];

/// How fast the objective is evaluated here: learnt from the slices so far.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Multiply-adds a second.
    rate: f64,
}

impl Speed {
    /// A cautious guess.
    pub fn new(objective: &Objective) -> Self {
        Self {
            rate: objective.expected_rate(),
        }
    }

    /// Takes one more step into account: `multiply_adds` in `seconds`.
    fn learn(&mut self, multiply_adds: f64, seconds: f64) {
        if multiply_adds > 0.0 && seconds > 0.0 {
            self.rate += 0.1 * (multiply_adds / seconds - self.rate);
        }
    }
}

/// Seconds after which the points of a slow first pass are shown as they come.
const PATIENCE: f64 = 0.5;

/// A slice being refined.
pub struct SliceJob {
    request: SliceRequest,
    lines: Vec<(Line, Provenance, String)>,
    level: usize,
    /// Points and images of each pass.
    levels: Vec<(usize, usize)>,
    sweeps: Vec<Sweep>,
    shown: Vec<LineRecord>,
    shown_level: Option<Level>,
    distance: Distance,
    basis_cosine: Option<f64>,
    epoch: Option<f64>,
    spent: f64,
    speed: Speed,
    compass: Option<Compass>,
}

impl SliceJob {
    /// Prepares the slice; nothing is evaluated yet. A map `kept` from the slice before is used where it is of the
    /// same plane. While weights are trained only the first pass is made: by
    /// the second the point has moved on.
    pub fn new(
        session: &mut Session,
        request: SliceRequest,
        trainer: Option<&Trainer>,
        moving: bool,
        kept: Option<Compass>,
    ) -> Result<Self> {
        let (origin, name) = session.point(request.anchor, &request.walk, trainer)?;
        let lines = session.lines(request.view, &origin)?;
        let objective = session.objective.clone();
        let [first_solution, _] = session.names();
        let lines: Vec<_> = lines
            .into_iter()
            .map(|(line, label)| {
                let from = if matches!(request.view, View::Interpolation) {
                    &first_solution
                } else {
                    &name
                };
                let provenance = Provenance {
                    run: Some(session.path().display().to_string()),
                    ..Provenance::new(&objective, from, &label, request.policy, usize::MAX, session.seed())
                };
                (line, provenance, label)
            })
            .collect();
        let distance = distance(&lines[0].0, session.start());
        let basis_cosine = match request.view {
            View::Direction(turn) => Some((turn.first, turn.second)),
            View::Comparison(first, second) => Some((first, second)),
            View::Interpolation => None,
        }
        .and_then(|(a, b)| Some(dot(&session.basis(a).ok()?, &session.basis(b).ok()?)));
        let compass = match request.compass {
            Some(axes) if !moving => match kept.filter(|kept| kept.is_of(&origin, &request)) {
                Some(kept) => Some(kept),
                None => Some(Compass::new(session, axes, &origin, &request)?),
            },
            _ => None,
        };
        let mut job = Self {
            levels: levels(&objective, &request, lines.len(), session.speed, moving),
            lines,
            level: 0,
            sweeps: Vec::new(),
            shown: Vec::new(),
            shown_level: None,
            distance,
            basis_cosine,
            epoch: trainer.filter(|_| moving).map(Trainer::epochs_done),
            spent: 0.0,
            speed: session.speed,
            compass,
            request,
        };
        job.prepare(&objective);
        Ok(job)
    }

    fn level_of(&self, objective: &Objective, index: usize) -> Level {
        let (points, samples) = self.levels[index];
        let count = |part| objective.data().split(part).len().min(samples);
        Level {
            points,
            train_images: count(Part::Train),
            test_images: count(Part::Test),
            full: points >= LEVELS[LEVELS.len() - 2].0 && samples >= all_images(objective),
        }
    }

    fn prepare(&mut self, objective: &Objective) {
        let (points, samples) = self.levels[self.level];
        let mut grid = positions(self.request.range.0, self.request.range.1, points);
        let marked = self.request.marked;
        let inside = |position: f64| (self.request.range.0..=self.request.range.1).contains(&position);
        let mut extra = vec![marked];
        if matches!(self.request.view, View::Interpolation) {
            extra.extend([0.0, 1.0]);
        }
        for position in extra {
            if inside(position) && self.level > 0 && !grid.iter().any(|p| (p - position).abs() < 1e-9) {
                grid.push(position);
            }
        }
        grid.sort_by(f64::total_cmp);
        self.sweeps = self
            .lines
            .iter()
            .map(|(line, _, _)| {
                Sweep::new(
                    objective,
                    SweepRequest {
                        line: line.clone(),
                        positions: grid.clone(),
                        policy: self.request.policy,
                        samples,
                    },
                )
            })
            .collect();
    }

    /// Whether the first pass is still to come: it goes before everything else.
    pub fn is_urgent(&self) -> bool {
        self.shown_level.is_none()
    }

    /// Whether nothing is left to evaluate.
    pub fn is_finished(&self) -> bool {
        self.level >= self.levels.len() && self.compass.as_ref().is_none_or(Compass::is_finished)
    }

    /// Does one batch at one or several points. True when there is something new to show.
    pub fn step(&mut self, session: &mut Session) -> Result<bool> {
        let objective = session.objective.clone();
        // The pad's map comes once the next pass would take longer than it.
        let (points, samples) = self.levels.get(self.level).copied().unwrap_or((usize::MAX, usize::MAX));
        let map_first =
            points.saturating_mul(samples.saturating_mul(2)) > MAP_EVALUATIONS || self.level >= self.levels.len();
        if let Some(compass) = self.compass.as_mut().filter(|c| map_first && !c.is_finished()) {
            return compass.step(&objective);
        }
        let Some(index) = self.sweeps.iter().position(|sweep| !sweep.is_finished()) else {
            return Ok(false);
        };
        let started = Instant::now();
        let before = self.sweeps[index].evaluated();
        let gained = self.sweeps[index].step(&objective, &mut session.memory)?;
        let (seconds, images) = (started.elapsed().as_secs_f64(), self.sweeps[index].evaluated() - before);
        self.spent += seconds;
        let multiply_adds = images as f64 * cost::multiply_adds(objective.graph()) as f64;
        session.speed.learn(multiply_adds, seconds);
        self.speed = session.speed;
        if self.sweeps.iter().all(Sweep::is_finished) {
            self.show(&objective);
            self.level += 1;
            if self.level < self.levels.len() {
                self.prepare(&objective);
            } else {
                self.sweeps.clear();
            }
            return Ok(true);
        }
        // A quick first pass is shown whole: half of it would look like another curve. Nobody waits for a slow one.
        Ok(gained && (self.shown_level.is_some() || self.is_slow()))
    }

    /// Whether the first pass takes so long that its points are shown one by one.
    fn is_slow(&self) -> bool {
        self.shown_level.is_none() && self.spent > PATIENCE
    }

    fn show(&mut self, objective: &Objective) {
        let level = self.level_of(objective, self.level);
        self.shown = self.records(level);
        self.shown_level = Some(level);
    }

    /// What this pass has measured so far.
    fn records(&self, level: Level) -> Vec<LineRecord> {
        self.sweeps
            .iter()
            .zip(&self.lines)
            .map(|(sweep, (_, provenance, label))| LineRecord {
                label: label.clone(),
                provenance: Provenance {
                    train_images: level.train_images,
                    test_images: level.test_images,
                    ..provenance.clone()
                },
                curve: sweep.curve().clone(),
            })
            .collect()
    }

    /// What is known now; nothing before the first pass is done, unless it is slow.
    pub fn view(&self, objective: &Objective) -> Option<SliceView> {
        let first = self.is_slow().then(|| self.level_of(objective, self.level));
        let level = self.shown_level.or(first)?;
        let partial = first.map_or_else(Vec::new, |level| self.records(level));
        let lines = self
            .shown
            .iter()
            .chain(&partial)
            .enumerate()
            .map(|(index, record)| LineView {
                record: record.clone(),
                incoming: self
                    .sweeps
                    .get(index)
                    .map_or_else(Curve::default, |sweep| sweep.curve().clone()),
            })
            .collect();
        let refining = (self.level < self.levels.len()).then(|| {
            let (done, total) = self.sweeps.iter().fold((0, 0), |(done, total), sweep| {
                let (d, t) = sweep.progress();
                (done + d, total + t)
            });
            Refining {
                level: self.level_of(objective, self.level),
                done: done as f64 / total.max(1) as f64,
                seconds_left: self.seconds_left(objective, total - done),
            }
        });
        Some(SliceView {
            request: self.request.clone(),
            lines,
            level,
            refining,
            distance: self.distance,
            basis_cosine: self.basis_cosine,
            epoch: self.epoch,
        })
    }

    /// What this and all later passes cost, at the speed so far. Points of a pass on the same images are remembered.
    fn seconds_left(&self, objective: &Objective, remaining: usize) -> f64 {
        let later: usize = (self.level + 1..self.levels.len())
            .map(|index| {
                let (points, samples) = self.levels[index];
                let (points_before, samples_before) = self.levels[index - 1];
                let new = if samples == samples_before {
                    points - points_before
                } else {
                    points
                };
                new * self.lines.len() * Evaluation::images(objective, self.request.policy, samples)
            })
            .sum();
        let images = (remaining + later) as f64;
        images * cost::multiply_adds(objective.graph()) as f64 / self.speed.rate
    }

    /// Gives up the slice but keeps the pad's map.
    pub fn into_compass(self) -> Option<Compass> {
        self.compass
    }

    /// The pad's map as far as it is known.
    pub fn compass(&self) -> Option<CompassView> {
        self.compass.as_ref().map(|compass| compass.view().clone())
    }
}

/// Images of the larger split.
fn all_images(objective: &Objective) -> usize {
    let data = objective.data();
    data.train.len().max(data.test.len())
}

/// The passes that differ for this data: small data sets have fewer. While weights move only the first is made.
fn levels(
    objective: &Objective,
    request: &SliceRequest,
    lines: usize,
    speed: Speed,
    moving: bool,
) -> Vec<(usize, usize)> {
    let [most, few] = FIRST_IMAGES;
    let unit = objective.fewest_images();
    let at_a_point = lines * Evaluation::images(objective, request.policy, unit);
    let cost = cost::multiply_adds(objective.graph()).max(1) as f64 * at_a_point as f64;
    let images = |points: usize| (FIRST_SECONDS * speed.rate / (cost * points as f64)) as usize * unit;
    let [many, less] = FIRST_POINTS;
    let first = match images(many) {
        enough if enough >= few => (many, enough.min(most)),
        _ => (less, images(less).clamp(unit.min(few), few)),
    };
    let mut levels: Vec<(usize, usize)> = std::iter::once(first)
        .chain(LEVELS)
        .map(|(points, samples)| (points, samples.min(all_images(objective))))
        .collect();
    levels.dedup();
    if moving {
        levels.truncate(1);
    }
    levels
}

/// Distance from the initial weights along a line.
fn distance(line: &Line, start: &[f32]) -> Distance {
    let origin = &line.origin().parameters;
    let mut distance = Distance::default();
    let at_one = line.point(1.0);
    for ((&w, &moved), &w0) in origin.iter().zip(&at_one).zip(start) {
        let offset = f64::from(w) - f64::from(w0);
        let u = f64::from(moved) - f64::from(w);
        distance.square += offset * offset;
        distance.along += offset * u;
        distance.length_square += u * u;
    }
    distance
}
