//! Evaluation at many positions as a machine that does one batch a step, at several points where the device does better
//! so, and the memory of points already measured.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::curve::Curve;
use super::line::Line;
use crate::error::Result;
use crate::objective::{BatchNormPolicy, Evaluation, Measurement, Objective, Solution};

/// Measurements remembered at most; the oldest are forgotten first.
const REMEMBERED: usize = 50_000;

/// Numbers of points looked up in the memory in one step, so that it can be cancelled soon.
const LOOKED_AT: usize = 1 << 22;

/// A function from positions to points of parameter space: a line, a plane, a trajectory.
pub trait Slice {
    /// What names a point: one number, two numbers, a step.
    type Position: Copy + std::fmt::Debug;

    /// The parameters `[d]` at a position.
    ///
    /// # Errors
    /// When they have to be read from a file, and cannot be.
    fn point(&self, position: Self::Position) -> Result<Vec<f32>>;

    /// The solution whose statistics the policy `running` holds there.
    ///
    /// # Errors
    /// As [`Slice::point`].
    fn statistics(&self, position: Self::Position) -> Result<Arc<Solution>>;
}

/// What is evaluated.
#[derive(Clone, Debug)]
pub struct SweepRequest<S: Slice> {
    /// The function.
    pub slice: S,
    /// Positions, in the order in which they are reported.
    pub positions: Vec<S::Position>,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// Images used of each split, from its start.
    pub samples: usize,
}

/// Points already measured, by their content: a point reached twice, by whatever line, is measured once.
#[derive(Debug, Default)]
pub struct Memory {
    values: HashMap<u64, Measurement>,
    order: VecDeque<u64>,
}

impl Memory {
    fn key(point: &[f32], statistics: &[f32], policy: BatchNormPolicy, samples: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        bytemuck::cast_slice::<f32, u8>(point).hash(&mut hasher);
        // Only `running` depends on the statistics that came with the origin.
        if policy == BatchNormPolicy::Running {
            bytemuck::cast_slice::<f32, u8>(statistics).hash(&mut hasher);
        }
        (policy, samples).hash(&mut hasher);
        hasher.finish()
    }

    fn keep(&mut self, key: u64, value: Measurement) {
        if self.values.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }
}

/// The evaluation of a slice at positions that are asked for one after the other.
#[derive(Debug)]
pub struct Sweep<S: Slice> {
    request: SweepRequest<S>,
    values: Vec<Option<Measurement>>,
    pending: VecDeque<usize>,
    current: Option<Current>,
    points_at_once: usize,
    images_per_point: usize,
    asked: usize,
    measured: usize,
    evaluated: usize,
}

/// Points under evaluation.
#[derive(Debug)]
struct Current {
    /// Index of each position, and its key in the memory.
    points: Vec<(usize, u64)>,
    evaluation: Evaluation,
}

impl<S: Slice> Sweep<S> {
    /// Prepares a sweep of which nothing is asked yet.
    pub fn idle(objective: &Objective, mut request: SweepRequest<S>) -> Self {
        // More images than there are is all of them: asked for either way, it is one measurement in memory.
        let data = objective.data();
        request.samples = request.samples.min(data.train.len().max(data.test.len()));
        Self {
            values: vec![None; request.positions.len()],
            pending: VecDeque::new(),
            current: None,
            points_at_once: objective.points_at_once(request.samples),
            images_per_point: Evaluation::images(objective, request.policy, request.samples),
            asked: 0,
            measured: 0,
            evaluated: 0,
            request,
        }
    }

    /// Asks for positions by their indices, in this order, after what was asked before. What is known is not asked.
    pub fn ask(&mut self, indices: impl IntoIterator<Item = usize>) {
        let before = self.pending.len();
        let values = &self.values;
        self.pending
            .extend(indices.into_iter().filter(|&index| values[index].is_none()));
        self.asked += self.pending.len() - before;
    }

    /// Takes values that are known already.
    pub fn know(&mut self, known: impl IntoIterator<Item = (usize, Measurement)>) {
        for (index, value) in known {
            self.measured += usize::from(self.values[index].replace(value).is_none());
        }
    }

    /// What was asked.
    pub fn request(&self) -> &SweepRequest<S> {
        &self.request
    }

    /// One entry a position, where measured.
    pub fn values(&self) -> &[Option<Measurement>] {
        &self.values
    }

    /// Whether every position asked for is measured.
    pub fn is_finished(&self) -> bool {
        self.pending.is_empty() && self.current.is_none()
    }

    /// Number of positions measured or known.
    pub fn measured(&self) -> usize {
        self.measured
    }

    /// Number of positions asked for and not measured.
    pub fn pending(&self) -> usize {
        self.pending.len() + self.current.as_ref().map_or(0, |current| current.points.len())
    }

    /// Images evaluated and in all that was asked: an image counts once for every point and pass over it.
    pub fn progress(&self) -> (usize, usize) {
        let total = self.images_per_point * self.asked;
        let current = self.current.as_ref();
        let remaining = self.images_per_point * self.pending.len()
            + current.map_or(0, |current| current.points.len() * current.evaluation.remaining());
        (total.saturating_sub(remaining), total)
    }

    /// Images evaluated so far, without those of points that were remembered.
    pub fn evaluated(&self) -> usize {
        self.evaluated
    }

    /// Does one batch, or takes some points from memory. True when there are new values.
    ///
    /// # Errors
    /// When the device fails, a batch could not be normalised, or a point could not be read.
    pub fn step(&mut self, objective: &Objective, memory: &mut Memory) -> Result<bool> {
        let mut remembered = false;
        if self.current.is_none() {
            match self.start(objective, memory, &mut remembered)? {
                Some(current) => self.current = Some(current),
                None => return Ok(remembered),
            }
        }
        let Some(current) = &mut self.current else {
            return Ok(false);
        };
        let before = current.evaluation.remaining();
        let measured = current.evaluation.step(objective)?;
        self.evaluated += current.points.len() * (before - current.evaluation.remaining());
        let Some(measured) = measured else {
            return Ok(remembered);
        };
        for (&(index, key), &measured) in current.points.iter().zip(&measured) {
            self.measured += usize::from(self.values[index].replace(measured).is_none());
            memory.keep(key, measured);
        }
        self.current = None;
        Ok(true)
    }

    /// The next points that can be evaluated together, those that are remembered aside.
    fn start(&mut self, objective: &Objective, memory: &Memory, remembered: &mut bool) -> Result<Option<Current>> {
        let (policy, samples) = (self.request.policy, self.request.samples);
        let (mut points, mut values) = (Vec::new(), Vec::new());
        let mut shared: Option<Arc<Solution>> = None;
        let mut looked_at = 0;
        while points.len() < self.points_at_once
            && looked_at < LOOKED_AT
            && let Some(&index) = self.pending.front()
        {
            let position = self.request.positions[index];
            let statistics = self.request.slice.statistics(position)?;
            // Points evaluated together share the statistics that `running` holds.
            if policy == BatchNormPolicy::Running
                && shared.as_ref().is_some_and(|shared| !Arc::ptr_eq(shared, &statistics))
            {
                break;
            }
            let point = self.request.slice.point(position)?;
            self.pending.pop_front();
            let key = Memory::key(&point, &statistics.statistics, policy, samples);
            looked_at += point.len();
            if let Some(&known) = memory.values.get(&key) {
                self.measured += usize::from(self.values[index].replace(known).is_none());
                *remembered = true;
            } else {
                points.push((index, key));
                values.extend(point);
                shared = Some(statistics);
            }
        }
        let Some(shared) = shared else { return Ok(None) };
        let evaluation = Evaluation::new(objective, &values, &shared.statistics, policy, samples)?;
        Ok(Some(Current { points, evaluation }))
    }
}

impl Sweep<Line> {
    /// Prepares the whole of a line: its origin and ends first, then halfway between what is known.
    pub fn new(objective: &Objective, request: SweepRequest<Line>) -> Self {
        let order = coarse_to_fine(&request.positions);
        let mut sweep = Self::idle(objective, request);
        sweep.ask(order);
        sweep
    }

    /// What is known so far.
    pub fn curve(&self) -> Curve {
        Curve {
            positions: self.request.positions.clone(),
            values: self.values.clone(),
        }
    }

    /// Runs to the end, telling `progress` (images done, in all) after every batch; it stops the sweep by saying no.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] when told to stop; what [`Sweep::step`] can fail with.
    pub fn run(mut self, objective: &Objective, mut progress: impl FnMut(usize, usize) -> bool) -> Result<Curve> {
        let mut memory = Memory::default();
        while !self.is_finished() {
            self.step(objective, &mut memory)?;
            let (done, total) = self.progress();
            if !progress(done, total) {
                return Err(crate::Error::Cancelled);
            }
        }
        Ok(self.curve())
    }
}

/// Indices of positions in the order in which they tell most: the one nearest to 0, the two ends, and then always the
/// middle of the widest gaps.
fn coarse_to_fine(positions: &[f64]) -> Vec<usize> {
    let mut sorted: Vec<usize> = (0..positions.len()).collect();
    sorted.sort_by(|&a, &b| positions[a].total_cmp(&positions[b]));
    let Some(last) = sorted.len().checked_sub(1) else {
        return sorted;
    };
    let distance = |place: &usize| positions[sorted[*place]].abs();
    let centre = (0..=last)
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
        .unwrap_or(0);
    let mut places = vec![centre, 0, last];
    let mut gaps = VecDeque::from([(0, centre), (centre, last)]);
    while let Some((from, to)) = gaps.pop_front() {
        if to - from > 1 {
            let middle = from.midpoint(to);
            places.push(middle);
            gaps.extend([(from, middle), (middle, to)]);
        }
    }
    let mut seen = vec![false; sorted.len()];
    places.retain(|&place| !std::mem::replace(&mut seen[place], true));
    places.into_iter().map(|place| sorted[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_and_the_ends_come_first_and_nothing_twice() {
        let positions: Vec<f64> = (0..=8).map(|i| f64::from(4 - i)).collect();
        let order = coarse_to_fine(&positions);
        let first: Vec<f64> = order.iter().take(5).map(|&i| positions[i]).collect();
        assert_eq!(first, [0.0, -4.0, 4.0, -2.0, 2.0]);
        for count in 0..20 {
            let positions: Vec<f64> = (0..count).map(|i| f64::from(i * i) - 7.0).collect();
            let mut order = coarse_to_fine(&positions);
            order.sort_unstable();
            assert_eq!(order, (0..count as usize).collect::<Vec<_>>());
        }
    }
}
