//! A live slice: a coarse pass first, then finer ones, each a sweep that can be dropped at any batch.

use std::time::Instant;

use super::compass::{Compass, MAP_EVALUATIONS};
use super::request::{
    Anchor, CompassView, Distance, Level, LineView, Refining, SliceRequest, SliceView, SurfaceChoice, SurfaceRequest,
    SurfaceView, View,
};
use super::session::Session;
use super::surface::SurfaceJob;
use crate::data::Part;
use crate::error::Result;
use crate::landscape::direction::dot;
use crate::landscape::line::{Line, positions};
use crate::landscape::sweep::{Sweep, SweepRequest};
use crate::landscape::{Curve, LineRecord, Normalisation, Provenance};
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

    /// Multiply-adds a second.
    pub fn rate(self) -> f64 {
        self.rate
    }

    /// Takes one more step into account: `multiply_adds` in `seconds`.
    pub fn learn(&mut self, multiply_adds: f64, seconds: f64) {
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
    lines: Vec<JobLine>,
    level: usize,
    /// Points and images of each pass.
    levels: Vec<(usize, usize)>,
    sweeps: Vec<Sweep<Line>>,
    shown: Vec<LineRecord>,
    shown_level: Option<Level>,
    distance: Distance,
    basis_cosine: Option<f64>,
    epoch: Option<f64>,
    spent: f64,
    speed: Speed,
    compass: Option<Compass>,
    surface: Option<SurfaceJob>,
    /// Whether the next step is the surface's.
    surface_turn: bool,
}

/// A line of the slice.
struct JobLine {
    line: Line,
    provenance: Provenance,
    label: String,
    /// First and last position.
    range: (f64, f64),
    /// Positions that are measured beside the even ones.
    marked: Vec<f64>,
}

/// What a new slice may take over from the one before.
#[derive(Default)]
pub struct Kept {
    compass: Option<Compass>,
    surface: Option<SurfaceJob>,
}

impl SliceJob {
    /// Prepares the slice; nothing is evaluated yet. Map and surface `kept` from the slice before are used where they
    /// are of the same plane. While weights are trained only the first pass is made: by the second the point has moved
    /// on.
    pub fn new(
        session: &mut Session,
        request: SliceRequest,
        trainer: Option<&Trainer>,
        trains: bool,
        kept: Kept,
    ) -> Result<Self> {
        let moving = trains && request.anchor == Anchor::Current;
        let (origin, name) = session.point(request.anchor, &request.walk, trainer)?;
        let mut lines = session.lines(request.view, &origin)?;
        if let Some(SurfaceChoice::Through(turn)) = request.surface.map(|surface| surface.choice)
            && turn.normalisation != Normalisation::Unit
        {
            // The row of an epoch is along the surface's one direction, whatever length the epoch's own would have.
            let snapshots = request.surface.map_or(0, |surface| surface.snapshots);
            let (_, direction) = session.through(turn, snapshots)?;
            lines = vec![(Line::ray(origin.clone(), direction), session.turn_name(turn))];
        }
        let objective = session.objective.clone();
        let [first_solution, _] = session.names();
        let lines: Vec<_> = lines
            .into_iter()
            .enumerate()
            .map(|(index, (line, label))| {
                let from = if matches!(request.view, View::Interpolation) {
                    &first_solution
                } else {
                    &name
                };
                let provenance = Provenance {
                    run: Some(session.path().display().to_string()),
                    ..Provenance::new(&objective, from, &label, request.policy, usize::MAX, session.seed())
                };
                let (range, marked) = match request.view {
                    View::Marginals(marginals) => (marginals.range(index), vec![marginals.position(index)]),
                    View::Interpolation => (request.range, vec![request.marked, 0.0, 1.0]),
                    _ => (request.range, vec![request.marked]),
                };
                JobLine {
                    line,
                    provenance,
                    label,
                    range,
                    marked,
                }
            })
            .collect();
        let distance = distance(&lines[0].line, session.start());
        let basis_cosine = match request.view {
            View::Direction(turn) => Some((turn.first, turn.second)),
            View::Comparison(first, second, _) => Some((first, second)),
            View::Marginals(_) | View::Interpolation => None,
        }
        .and_then(|(a, b)| {
            let normalisation = request.view.normalisation();
            let mut direction = |basis| session.direction(basis, normalisation, &origin).ok();
            let (a, b) = (direction(a)?, direction(b)?);
            Some(dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt())
        });
        let compass = match request.compass {
            Some(axes) if !moving => match kept.compass.filter(|kept| kept.is_of(&origin, &request)) {
                Some(kept) => Some(kept),
                None => Some(Compass::new(session, axes, &origin, &request)?),
            },
            _ => None,
        };
        // In a plane through weights that move, nothing stays what it is for long enough; the epochs behind them stay.
        let stays = |wanted: &SurfaceRequest| !moving || matches!(wanted.choice, SurfaceChoice::Through(_));
        let surface = match request.surface.filter(stays) {
            Some(wanted) => {
                let origin = (&origin, name.as_str());
                Some(SurfaceJob::new(
                    session,
                    &request,
                    wanted,
                    origin,
                    trains,
                    kept.surface,
                )?)
            }
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
            surface,
            surface_turn: false,
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
        let first_pass = self.level == 0;
        let sweep = |line: &JobLine| {
            let (start, end) = line.range;
            let mut grid = positions(start, end, points);
            for &position in &line.marked {
                let inside = (start..=end).contains(&position);
                if inside && !first_pass && !grid.iter().any(|p| (p - position).abs() < 1e-9) {
                    grid.push(position);
                }
            }
            grid.sort_by(f64::total_cmp);
            Sweep::new(
                objective,
                SweepRequest {
                    slice: line.line.clone(),
                    positions: grid,
                    policy: self.request.policy,
                    samples,
                },
            )
        };
        self.sweeps = self.lines.iter().map(sweep).collect();
    }

    /// Whether the first pass is still to come: it goes before everything else.
    pub fn is_urgent(&self) -> bool {
        self.shown_level.is_none()
    }

    /// Whether nothing is left to evaluate.
    pub fn is_finished(&self) -> bool {
        self.level >= self.levels.len()
            && self.compass.as_ref().is_none_or(Compass::is_finished)
            && self.surface.as_ref().is_none_or(SurfaceJob::is_finished)
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
        if let Some(surface) = self.surface.as_mut().filter(|surface| !surface.is_finished()) {
            // Once the slice answers, the surface gets its shape; then they take turns.
            self.surface_turn = !self.surface_turn;
            let slice_waits = self.level < self.levels.len();
            let first = self.shown_level.is_some() && (!surface.has_shape() || self.surface_turn);
            if first || !slice_waits {
                return surface.step(session);
            }
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
            .map(|(sweep, line)| LineRecord {
                label: line.label.clone(),
                provenance: Provenance {
                    train_images: level.train_images,
                    test_images: level.test_images,
                    ..line.provenance.clone()
                },
                curve: sweep.curve(),
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
                incoming: self.sweeps.get(index).map_or_else(Curve::default, Sweep::curve),
                range: self.lines[index].range,
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

    /// Gives up the slice but keeps what a new one may take over.
    pub fn into_kept(self) -> Kept {
        Kept {
            compass: self.compass,
            surface: self.surface,
        }
    }

    /// Whether a surface goes with it.
    pub fn has_surface(&self) -> bool {
        self.surface.is_some()
    }

    /// The surface as far as it is known, where that is more than was shown.
    pub fn surface_news(&mut self, objective: &Objective) -> Option<SurfaceView> {
        self.surface.as_mut().and_then(|surface| surface.news(objective))
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
    let origin = &line.origin.parameters;
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
