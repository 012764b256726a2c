//! A live surface: the loss in a plane, or along a direction through the whole of training. A coarse pass first, then
//! finer ones that look only where the surface asks for it, and beside them the trajectory and the solutions as seen
//! from the plane, each with its own loss.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::request::{Anchor, SliceRequest, Step, SurfaceChoice, SurfaceRefining, SurfaceRequest, SurfaceView};
use super::session::Session;
use super::slice::Speed;
use crate::error::Result;
use crate::landscape::line::positions;
use crate::landscape::survey::{Survey, SurveyRequest, TOLERANCE};
use crate::landscape::sweep::{Slice, SweepRequest};
use crate::landscape::{
    Grid, Landmarks, Normalisation, Plane, Projected, Provenance, Quantity, SurfaceRecord, Sweep, Through,
};
use crate::network::cost;
use crate::objective::{BatchNormPolicy, Evaluation, Objective, Solution};

/// Nodes along an axis, images and tolerance of the passes after the first. Each grid holds the one before it.
const PASSES: [Pass; 3] = [
    Pass::new(33, 256, 0.01),
    Pass::new(65, 1024, TOLERANCE),
    Pass::new(65, usize::MAX, TOLERANCE),
];
/// Seconds that the first pass may take, its nodes along an axis, or the fewer where that would leave too few images.
const FIRST_SECONDS: f64 = 0.5;
const FIRST_NODES: [usize; 2] = [17, 9];
/// Most images of each split in the first pass, and few for it.
const FIRST_IMAGES: [usize; 2] = [128, 48];
/// Time between two pictures of a surface that grows.
const PICTURE_INTERVAL: Duration = Duration::from_millis(60);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Pass {
    nodes: usize,
    samples: usize,
    tolerance: f64,
}

impl Pass {
    const fn new(nodes: usize, samples: usize, tolerance: f64) -> Self {
        Self {
            nodes,
            samples,
            tolerance,
        }
    }
}

/// From two positions to a point.
#[derive(Clone, Debug)]
enum Surface {
    Plane(Arc<Plane>),
    Through(Through),
}

impl Slice for Surface {
    type Position = [f64; 2];

    fn point(&self, position: [f64; 2]) -> Result<Vec<f32>> {
        match self {
            Self::Plane(plane) => Ok(plane.point(position)),
            Self::Through(through) => through.point(position),
        }
    }

    fn statistics(&self, position: [f64; 2]) -> Result<Arc<Solution>> {
        match self {
            Self::Plane(plane) => Slice::statistics(&**plane, position),
            Self::Through(through) => through.statistics(position),
        }
    }
}

/// A surface being refined.
pub struct SurfaceJob {
    request: SurfaceRequest,
    policy: BatchNormPolicy,
    anchor: Anchor,
    walk: Vec<Step>,
    origin: Arc<Solution>,
    surface: Surface,
    /// Everything but the values.
    record: SurfaceRecord,
    passes: Vec<Pass>,
    pass: usize,
    survey: Survey<Surface>,
    /// What each pass has measured so far.
    grids: Vec<Grid>,
    landmarks: Landmarks,
    /// Where they lie as seen from the plane, as far as that is known.
    feet: Vec<Projected>,
    /// Their own losses on the images of the pass.
    own: Sweep<Landmarks>,
    shown: Instant,
    has_news: bool,
}

impl SurfaceJob {
    /// Prepares the surface that `request` asks for beside its slice through `origin`; nothing is evaluated yet. What a
    /// surface `kept` from before has measured is used where it is of the same points. While weights are trained only
    /// the first pass is made.
    pub fn new(
        session: &mut Session,
        request: &SliceRequest,
        wanted: SurfaceRequest,
        (origin, name): (&Arc<Solution>, &str),
        moving: bool,
        kept: Option<Self>,
    ) -> Result<Self> {
        let kept = kept.filter(|kept| kept.is_of(origin, request.policy, &wanted));
        let objective = session.objective.clone();
        let passes = passes(&objective, request.policy, &wanted, session.speed, moving);
        let kept = match kept {
            // How many images the first pass has depends on the speed of the moment: another number is no reason to
            // begin anew.
            Some(kept)
                if kept.request == wanted && kept.passes.len() == passes.len() && kept.passes[1..] == passes[1..] =>
            {
                return Ok(kept);
            }
            other => other,
        };
        let (surface, mut record) = described(session, wanted.choice, wanted.snapshots, origin)?;
        // A direction as long as the last weights say changes with them.
        let kept = kept.filter(|kept| match (&kept.surface, &surface) {
            (Surface::Through(old), Surface::Through(new)) => old.direction == new.direction,
            _ => true,
        });
        let landmarks = match wanted.choice {
            SurfaceChoice::Plane(plane) => session.landmarks(wanted.snapshots, plane)?,
            SurfaceChoice::Through(_) => Landmarks {
                trajectory: None,
                solutions: Vec::new(),
            },
        };
        let from = match wanted.choice {
            SurfaceChoice::Plane(_) => name,
            SurfaceChoice::Through(_) => "every epoch",
        };
        record.provenance = Provenance {
            run: Some(session.path().display().to_string()),
            ..Provenance::new(
                &objective,
                from,
                &record.label,
                request.policy,
                usize::MAX,
                session.seed(),
            )
        };
        // Passes of the same fineness on the same images go on where they were.
        let grids: Vec<Grid> = passes
            .iter()
            .map(|pass| {
                let mut grid = grid_of(&wanted, pass.nodes);
                if let Some(kept) = &kept {
                    let same = |old: &&Pass| old.nodes == pass.nodes && old.samples == pass.samples;
                    if let Some(place) = kept.passes.iter().position(|old| same(&old)) {
                        grid.take(&kept.grids[place]);
                    }
                }
                grid
            })
            .collect();
        let survey = survey(&objective, &surface, grids[0].clone(), request.policy, passes[0])?;
        let own = own(&objective, &landmarks, request.policy, passes[0]);
        Ok(Self {
            request: wanted,
            policy: request.policy,
            anchor: request.anchor,
            walk: request.walk.clone(),
            origin: origin.clone(),
            surface,
            record,
            passes,
            pass: 0,
            survey,
            grids,
            landmarks,
            feet: Vec::new(),
            own,
            shown: Instant::now(),
            has_news: true,
        })
    }

    /// Whether its points are those that a request asks for, but for how many.
    fn is_of(&self, origin: &Solution, policy: BatchNormPolicy, wanted: &SurfaceRequest) -> bool {
        self.request.choice == wanted.choice
            && self.request.ranges == wanted.ranges
            && self.policy == policy
            && (matches!(wanted.choice, SurfaceChoice::Through(_)) || *origin == *self.origin)
    }

    /// Whether nothing is left to evaluate.
    pub fn is_finished(&self) -> bool {
        self.pass >= self.passes.len()
    }

    /// Whether there is a picture of the whole surface.
    pub fn has_shape(&self) -> bool {
        self.pass > 0 || self.survey.has_shape()
    }

    /// Does one batch, or looks at one landmark. True when there is something new to show.
    pub fn step(&mut self, session: &mut Session) -> Result<bool> {
        self.has_news |= self.advance(session)?;
        Ok(self.has_news)
    }

    fn advance(&mut self, session: &mut Session) -> Result<bool> {
        if self.is_finished() {
            return Ok(false);
        }
        let objective = session.objective.clone();
        // Where the landmarks lie is known soon, and says which part of the plane is worth seeing.
        if self.feet.len() < self.landmarks.count() {
            if let Surface::Plane(plane) = &self.surface {
                self.feet.push(self.landmarks.projected(self.feet.len(), plane)?);
            }
            return Ok(self.feet.len() == self.landmarks.count());
        }
        let started = Instant::now();
        let before = self.survey.evaluated() + self.own.evaluated();
        let had_shape = self.survey.has_shape();
        // The landmarks' own losses come as soon as the surface has a shape.
        let gained = if had_shape && !self.own.is_finished() {
            self.own.step(&objective, &mut session.memory)?
        } else {
            self.survey.step(&objective, &mut session.memory)?
        };
        let images = self.survey.evaluated() + self.own.evaluated() - before;
        session.speed.learn(
            images as f64 * cost::multiply_adds(objective.graph()) as f64,
            started.elapsed().as_secs_f64(),
        );
        if self.survey.is_finished() && self.own.is_finished() {
            self.grids[self.pass] = self.survey.grid();
            self.take_own();
            self.pass += 1;
            if let Some(&pass) = self.passes.get(self.pass) {
                self.survey = survey(
                    &objective,
                    &self.surface,
                    self.grids[self.pass].clone(),
                    self.policy,
                    pass,
                )?;
                self.own = own(&objective, &self.landmarks, self.policy, pass);
            }
            return Ok(true);
        }
        Ok(gained && (self.shown.elapsed() > PICTURE_INTERVAL || self.survey.has_shape() != had_shape))
    }

    fn take_own(&mut self) {
        for (foot, own) in self.feet.iter_mut().zip(self.own.values()) {
            foot.own = own.or(foot.own);
        }
    }

    /// What is known now, where that is more than was shown.
    pub fn news(&mut self, objective: &Objective) -> Option<SurfaceView> {
        std::mem::take(&mut self.has_news).then(|| self.view(objective))
    }

    fn view(&mut self, objective: &Objective) -> SurfaceView {
        self.shown = Instant::now();
        if !self.is_finished() {
            self.grids[self.pass] = self.survey.grid();
            self.take_own();
        }
        // The pass under way, once it tells as much of the surface as the one before.
        let before = self.pass.checked_sub(1).map_or(0, |pass| self.grids[pass].measured());
        let under_way =
            !self.is_finished() && (self.pass == 0 || self.survey.has_shape() && self.survey.measured().0 >= before);
        let shown = if under_way {
            self.pass
        } else {
            self.pass.saturating_sub(1)
        };
        let images = |pass: Pass| images(objective, pass);
        let mut record = self.record.clone();
        record.grid = self.grids[shown].clone();
        [record.provenance.train_images, record.provenance.test_images] = images(self.passes[shown]);
        let steps = self.landmarks.steps().min(self.feet.len());
        record.trajectory = self.feet[..steps].to_vec();
        record.solutions = self.feet[steps..].to_vec();
        let fields = Quantity::ALL
            .into_iter()
            .map(|quantity| Arc::new(record.grid.field(quantity)))
            .collect();
        let refining = self.passes.get(self.pass).map(|&pass| SurfaceRefining {
            nodes: [self.grids[self.pass].first.len(), self.grids[self.pass].second.len()],
            images: images(pass),
            measured: self.survey.measured(),
        });
        SurfaceView {
            request: self.request,
            anchor: self.anchor,
            walk: self.walk.clone(),
            images: images(self.passes[shown]),
            full: self.passes[shown].samples >= all_images(objective),
            fields,
            refining,
            frame: match &self.surface {
                Surface::Plane(plane) => plane.frame(),
                Surface::Through(_) => [[1.0, 0.0], [0.0, 1.0]],
            },
            record,
        }
    }
}

/// The surface of a choice, and its record without values.
fn described(
    session: &mut Session,
    choice: SurfaceChoice,
    snapshots: usize,
    origin: &Arc<Solution>,
) -> Result<(Surface, SurfaceRecord)> {
    let mut record = SurfaceRecord::default();
    let surface = match choice {
        SurfaceChoice::Plane(choice) => {
            let plane = session.plane(choice, origin)?;
            record.axes = session.axis_names(choice);
            record.label = record.axes.join(" and ");
            record.angle = Some(plane.angle());
            record.lengths = Some(plane.lengths());
            let explained = [choice.first, choice.second].map(|basis| session.explained(basis));
            if let ([Some(first), Some(second)], Normalisation::Unit) = (explained, choice.normalisation) {
                record.explained = Some([first, second]);
            }
            Surface::Plane(Arc::new(plane))
        }
        SurfaceChoice::Through(turn) => {
            let (trajectory, direction) = session.through(turn, snapshots)?;
            record.label = format!("{} through training", session.turn_name(turn));
            record.axes = ["position l of w_t + l·u".to_owned(), "epoch t".to_owned()];
            Surface::Through(Through { trajectory, direction })
        }
    };
    Ok((surface, record))
}

/// Nodes of a pass over the axes of a surface.
fn grid_of(wanted: &SurfaceRequest, nodes: usize) -> Grid {
    let [first, second] = wanted.ranges;
    let along = |(start, end): (f64, f64)| positions(start, end, if start == end { 1 } else { nodes });
    match wanted.choice {
        SurfaceChoice::Plane(_) => Grid::new(along(first), along(second)),
        SurfaceChoice::Through(_) => Grid::new(along(first), (0..wanted.snapshots.max(1)).map(|t| t as f64).collect()),
    }
}

fn survey(
    objective: &Objective,
    surface: &Surface,
    grid: Grid,
    policy: BatchNormPolicy,
    pass: Pass,
) -> Result<Survey<Surface>> {
    Survey::new(
        objective,
        SurveyRequest {
            slice: surface.clone(),
            grid,
            policy,
            samples: pass.samples,
            tolerance: pass.tolerance,
        },
    )
}

fn own(objective: &Objective, landmarks: &Landmarks, policy: BatchNormPolicy, pass: Pass) -> Sweep<Landmarks> {
    let count = landmarks.count();
    let mut sweep = Sweep::idle(
        objective,
        SweepRequest {
            slice: landmarks.clone(),
            positions: (0..count).collect(),
            policy,
            samples: pass.samples,
        },
    );
    // Solutions first: they are the ones that are named.
    sweep.ask((landmarks.steps()..count).chain(0..landmarks.steps()));
    sweep
}

fn images(objective: &Objective, pass: Pass) -> [usize; 2] {
    let data = objective.data();
    [data.train.len(), data.test.len()].map(|count| count.min(pass.samples))
}

fn all_images(objective: &Objective) -> usize {
    let data = objective.data();
    data.train.len().max(data.test.len())
}

/// The passes that differ for this data and this machine.
fn passes(
    objective: &Objective,
    policy: BatchNormPolicy,
    wanted: &SurfaceRequest,
    speed: Speed,
    moving: bool,
) -> Vec<Pass> {
    let [most, few] = FIRST_IMAGES;
    let unit = objective.fewest_images();
    let cost =
        cost::multiply_adds(objective.graph()).max(1) as f64 * Evaluation::images(objective, policy, unit) as f64;
    let images = |nodes: usize| (FIRST_SECONDS * speed.rate() / (cost * (nodes * nodes) as f64)) as usize * unit;
    let [many, less] = FIRST_NODES;
    let (nodes, samples) = match images(many) {
        enough if enough >= few => (many, enough.min(most)),
        _ => (less, images(less).clamp(unit.min(few), few)),
    };
    let mut passes: Vec<Pass> = std::iter::once(Pass::new(nodes, samples, 0.0))
        .chain(PASSES)
        .map(|pass| Pass {
            samples: pass.samples.min(all_images(objective)),
            ..pass
        })
        .collect();
    if matches!(wanted.choice, SurfaceChoice::Through(_)) {
        // Rows are epochs, however fine the pass is: the first one need not see them all.
        passes[0].tolerance = PASSES[0].tolerance;
    }
    passes.dedup();
    if moving {
        passes.truncate(1);
    }
    if let Some(last) = passes.last_mut().filter(|_| wanted.every_node && !moving) {
        last.tolerance = 0.0;
    }
    passes
}
