//! Evaluation along a line as a machine that does one batch a step, and the memory of points already measured.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::curve::Curve;
use super::line::Line;
use crate::error::Result;
use crate::objective::{BatchNormPolicy, Evaluation, Measurement, Objective};

/// Measurements remembered at most; the oldest are forgotten first.
const REMEMBERED: usize = 50_000;

/// What is evaluated along a line.
#[derive(Clone, Debug)]
pub struct SweepRequest {
    /// The line.
    pub line: Line,
    /// Positions, in the order in which they are reported.
    pub positions: Vec<f64>,
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

/// The evaluation of a line, nearest positions to its origin first.
#[derive(Debug)]
pub struct Sweep {
    request: SweepRequest,
    pending: VecDeque<usize>,
    current: Option<(usize, u64, Evaluation)>,
    curve: Curve,
    batches_per_point: usize,
}

impl Sweep {
    /// Prepares a sweep; nothing is evaluated yet.
    pub fn new(objective: &Objective, mut request: SweepRequest) -> Self {
        // More images than there are is all of them: asked for either way, it is one measurement in memory.
        let data = objective.data();
        request.samples = request.samples.min(data.train.len().max(data.test.len()));
        let mut order: Vec<usize> = (0..request.positions.len()).collect();
        order.sort_by(|&a, &b| request.positions[a].abs().total_cmp(&request.positions[b].abs()));
        let train = objective.batches(crate::data::Part::Train, request.samples).count();
        let test = objective.batches(crate::data::Part::Test, request.samples).count();
        let statistics = if request.policy == BatchNormPolicy::Recompute {
            train
        } else {
            0
        };
        Self {
            curve: Curve {
                values: vec![None; request.positions.len()],
                positions: request.positions.clone(),
            },
            pending: order.into(),
            current: None,
            request,
            batches_per_point: statistics + train + test,
        }
    }

    /// What is known so far.
    pub fn curve(&self) -> &Curve {
        &self.curve
    }

    /// Whether every position is measured.
    pub fn is_finished(&self) -> bool {
        self.pending.is_empty() && self.current.is_none()
    }

    /// Batches done and in all.
    pub fn progress(&self) -> (usize, usize) {
        let total = self.batches_per_point * self.request.positions.len();
        let remaining = self.batches_per_point * self.pending.len()
            + self
                .current
                .as_ref()
                .map_or(0, |(_, _, evaluation)| evaluation.remaining());
        (total.saturating_sub(remaining), total)
    }

    /// Does one batch, or takes any number of points from memory. True when the curve gained a value.
    ///
    /// # Errors
    /// When the device fails, or a batch could not be normalised.
    pub fn step(&mut self, objective: &Objective, memory: &mut Memory) -> Result<bool> {
        let statistics = &self.request.line.origin().statistics;
        let (policy, samples) = (self.request.policy, self.request.samples);
        while self.current.is_none() {
            let Some(index) = self.pending.pop_front() else {
                return Ok(false);
            };
            let point = self.request.line.point(self.request.positions[index]);
            let key = Memory::key(&point, statistics, policy, samples);
            if let Some(&known) = memory.values.get(&key) {
                self.curve.values[index] = Some(known);
                if self.pending.is_empty() {
                    return Ok(true);
                }
                continue;
            }
            let evaluation = Evaluation::new(objective, &point, statistics, policy, samples)?;
            self.current = Some((index, key, evaluation));
        }
        let Some((index, key, evaluation)) = &mut self.current else {
            return Ok(false);
        };
        let Some(measured) = evaluation.step(objective)? else {
            return Ok(false);
        };
        self.curve.values[*index] = Some(measured[0]);
        memory.keep(*key, measured[0]);
        self.current = None;
        Ok(true)
    }

    /// Runs to the end, telling `progress` (batches done, in all) after every batch; it stops the sweep by saying no.
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
        Ok(self.curve)
    }
}
