//! A descent step by step, with what is recorded on the way.

use super::{Descent, Method, ROUGH, ROUGHER, Record};
use crate::curvature::sharpness;
use crate::data::Part;
use crate::error::{Error, Result};
use crate::landscape::direction::distance;
use crate::objective::{BatchNormPolicy, Evaluation, Objective, Solution};
use crate::training::{Batches, End, FullBatch, GradientDescent, Lbfgs, PlainSgd, Until};

/// A train loss so many times as large as the first one has diverged. It need not leave the finite numbers: a network
/// all of whose ReLUs are closed can swing for ever.
const BLOWN_UP: f64 = 1e8;

/// A descent under way.
pub(super) struct Way<'a> {
    objective: &'a Objective,
    from: &'a Solution,
    descent: &'a Descent,
    record: Record,
    /// The first train loss.
    first: Option<f64>,
    /// Told the share done; says whether to go on.
    tell: &'a mut dyn FnMut(f64) -> Result<()>,
}

impl<'a> Way<'a> {
    pub(super) fn new(
        objective: &'a Objective,
        from: &'a Solution,
        descent: &'a Descent,
        tell: &'a mut dyn FnMut(f64) -> Result<()>,
    ) -> Self {
        Self {
            objective,
            from,
            descent,
            record: Record {
                end: End::Steps,
                steps: 0,
                loss: f64::INFINITY,
                highest: f64::NEG_INFINITY,
                losses: Vec::new(),
                distances: Vec::new(),
                sharpness: Vec::new(),
                non_uniformity: Vec::new(),
            },
            first: None,
            tell,
        }
    }

    /// Goes to the end.
    pub(super) fn go(self) -> Result<(Vec<f32>, Record)> {
        let start = self.from.parameters.clone();
        match self.descent.method {
            Method::GradientDescent { learning_rate } => self.full_batch(GradientDescent::new(start, learning_rate)?),
            Method::LimitedBfgs { memory } => self.full_batch(Lbfgs::new(start, memory)?),
            Method::Sgd {
                learning_rate,
                batch_size,
            } => {
                let images = self.objective.data().train.len();
                let batches = Batches::new(images, batch_size, self.descent.seed)?;
                self.batch_by_batch(PlainSgd::new(start, learning_rate, batches)?)
            }
        }
    }

    fn until(&self) -> Until {
        Until {
            loss: self.descent.loss,
            gradient: 0.0,
            steps: self.descent.steps,
        }
    }

    fn full_batch(mut self, mut machine: impl FullBatch) -> Result<(Vec<f32>, Record)> {
        let (objective, until) = (self.objective, self.until());
        let mut steps = 0;
        loop {
            // A step leaves the point that it looked at.
            let before = self.is_due(steps).then(|| machine.parameters().to_vec());
            let (tell, done) = (&mut self.tell, share(steps, self.descent.steps));
            // A step of L-BFGS can evaluate many times.
            let mut function = |parameters: &[f32]| -> Result<(f64, Vec<f32>)> {
                tell(done)?;
                objective.gradient(&plain(parameters), BatchNormPolicy::Running, Part::Train)
            };
            let look = machine.step(&mut function, &until)?;
            self.rise(look.loss);
            if let Some(end) = look.end {
                return self.finish(machine.parameters(), (look.steps, look.loss), end);
            }
            if self.has_blown_up(look.loss) {
                return self.finish(machine.parameters(), (look.steps, look.loss), End::Diverged);
            }
            if let Some(before) = before {
                self.see(&before, (steps, look.loss))?;
            }
            steps += 1;
        }
    }

    fn batch_by_batch(mut self, mut machine: PlainSgd) -> Result<(Vec<f32>, Record)> {
        let (objective, until) = (self.objective, self.until());
        loop {
            let steps = machine.steps();
            let done = share(steps, self.descent.steps);
            let is_last = steps >= until.steps;
            if self.is_due(steps) || is_last {
                (self.tell)(done)?;
                let (loss, _) = evaluated(objective, machine.parameters(), Part::Train)?;
                if !loss.is_finite() {
                    return self.finish(machine.parameters(), (steps, loss), End::Diverged);
                }
                // Where curvature alone is due no end is sought: measuring it must not move where the descent ends.
                if self.is_loss_due(steps) || is_last {
                    self.rise(loss);
                    // No batch tells the length of the whole gradient.
                    if let Some(end) = until.reached(loss, f64::MAX, steps) {
                        return self.finish(machine.parameters(), (steps, loss), end);
                    }
                    if self.has_blown_up(loss) {
                        return self.finish(machine.parameters(), (steps, loss), End::Diverged);
                    }
                }
                self.see(machine.parameters(), (steps, loss))?;
            }
            let tell = &mut self.tell;
            let mut function = |parameters: &[f32], batch: &[usize]| -> Result<(f64, Vec<f32>)> {
                tell(done)?;
                let found = objective.gradient_of(parameters, batch, None)?;
                Ok((found.loss, found.gradient))
            };
            let look = machine.step(&mut function)?;
            if let Some(end) = look.end {
                return self.finish(machine.parameters(), (steps, look.loss), end);
            }
        }
    }

    fn has_blown_up(&mut self, loss: f64) -> bool {
        loss > BLOWN_UP * *self.first.get_or_insert(loss)
    }

    /// Takes in a train loss over all images. One that is no number is the end, which knows it as infinite.
    fn rise(&mut self, loss: f64) {
        self.record.highest = self.record.highest.max(loss);
    }

    /// Whether something is recorded after so many steps.
    fn is_due(&self, steps: usize) -> bool {
        self.is_loss_due(steps) || self.is_sharpness_due(steps) || self.is_non_uniformity_due(steps)
    }

    fn is_loss_due(&self, steps: usize) -> bool {
        steps.is_multiple_of(self.descent.every.max(1))
    }

    fn is_sharpness_due(&self, steps: usize) -> bool {
        let every = self.descent.sharpness_every;
        every.is_some_and(|every| steps.is_multiple_of(every.max(1)))
    }

    fn is_non_uniformity_due(&self, steps: usize) -> bool {
        let every = self.descent.non_uniformity_every;
        every.is_some_and(|every| steps.is_multiple_of(every.max(1)))
    }

    /// Records what is due at a point.
    fn see(&mut self, parameters: &[f32], (steps, loss): (usize, f64)) -> Result<()> {
        if self.is_loss_due(steps) {
            self.record.losses.push((steps as f64, loss));
            let distance = distance(&self.from.parameters, parameters);
            self.record.distances.push((steps as f64, distance));
        }
        if self.is_sharpness_due(steps) {
            self.measure_sharpness(parameters, steps)?;
        }
        if self.is_non_uniformity_due(steps) {
            let (tell, done) = (&mut self.tell, share(steps, self.descent.steps));
            let mut told = |_: f64| tell(done).is_ok();
            let point = plain(parameters);
            let found = sharpness::non_uniformity(self.objective, &point, usize::MAX, ROUGHER, &mut told);
            let value = or_nothing(found.map(|found| found.value))?;
            self.record.non_uniformity.push((steps as f64, value));
        }
        Ok(())
    }

    fn measure_sharpness(&mut self, parameters: &[f32], steps: usize) -> Result<()> {
        let (tell, done) = (&mut self.tell, share(steps, self.descent.steps));
        let mut told = |_: f64| tell(done).is_ok();
        let found = sharpness::sharpness(self.objective, &plain(parameters), usize::MAX, ROUGH, &mut told);
        let value = or_nothing(found.map(|found| found.value))?;
        self.record.sharpness.push((steps as f64, value));
        Ok(())
    }

    /// The end, with all that is recorded of it.
    fn finish(mut self, parameters: &[f32], (steps, loss): (usize, f64), end: End) -> Result<(Vec<f32>, Record)> {
        let is_lost = end == End::Diverged;
        let loss = if is_lost { f64::INFINITY } else { loss };
        self.rise(loss);
        self.record.losses.push((steps as f64, loss));
        if !is_lost {
            let distance = distance(&self.from.parameters, parameters);
            self.record.distances.push((steps as f64, distance));
            if self.descent.sharpness_every.is_some() {
                self.measure_sharpness(parameters, steps)?;
            }
        }
        (self.record.end, self.record.steps, self.record.loss) = (end, steps, loss);
        Ok((parameters.to_vec(), self.record))
    }
}

/// What was measured: on the way out of the finite numbers there is nothing, which is NaN.
fn or_nothing(measured: Result<f64>) -> Result<f64> {
    match measured {
        Err(Error::Request(_)) => Ok(f64::NAN),
        other => other,
    }
}

/// A point of a network without batch norm.
fn plain(parameters: &[f32]) -> Solution {
    Solution {
        parameters: parameters.to_vec(),
        statistics: Vec::new(),
    }
}

fn share(done: usize, all: usize) -> f64 {
    (done as f64 / all.max(1) as f64).min(1.0)
}

/// Loss and accuracy of a network without batch norm on a split.
pub(super) fn evaluated(objective: &Objective, parameters: &[f32], part: Part) -> Result<(f64, f64)> {
    let policy = BatchNormPolicy::Running;
    let mut evaluation = Evaluation::of_parts(objective, parameters, &[], policy, usize::MAX, &[part])?;
    loop {
        if let Some(measured) = evaluation.step(objective)? {
            let quality = measured[0].part(part);
            return Ok((quality.loss, quality.accuracy));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::Dataset;
    use crate::network::initialisation::initial_parameters;
    use crate::network::zoo;
    use crate::objective::Compute;
    use crate::training::Look;
    use crate::training::full_batch::Function;

    const STEPS: usize = 5;

    /// A descent of two numbers that recalls its losses rather than evaluate anything.
    struct Told(Vec<f64>, usize);

    impl FullBatch for Told {
        fn parameters(&self) -> &[f32] {
            &[0.0, 0.0]
        }

        fn step(&mut self, _function: &mut Function, until: &Until) -> Result<Look> {
            let (steps, loss) = (self.1, self.0[self.1]);
            self.1 += 1;
            Ok(Look {
                steps,
                loss,
                end: until.reached(loss, 1.0, steps),
            })
        }
    }

    fn objective() -> Objective {
        let data = Arc::new(Dataset::open("two-gaussians:seed=3").unwrap());
        let graph = Arc::new(zoo::build("logistic", data.shape, data.classes.len()).unwrap());
        Objective::new(graph, data, Compute::cpu(), 16).unwrap()
    }

    /// Of which nothing is looked at between its ends.
    fn descent(method: Method) -> Descent {
        Descent {
            method,
            loss: 0.0,
            steps: STEPS,
            every: 100,
            sharpness_every: None,
            non_uniformity_every: None,
            seed: 1,
        }
    }

    #[test]
    fn a_burst_between_two_looks_is_not_missed() {
        let objective = objective();
        let from = plain(&[0.0, 0.0]);
        let descent = descent(Method::GradientDescent { learning_rate: 0.1 });
        let mut tell = |_: f64| -> Result<()> { Ok(()) };
        let way = Way::new(&objective, &from, &descent, &mut tell);
        let (_, record) = way.full_batch(Told(vec![1.0, 2.0, 50.0, 3.0, 2.0, 1.5], 0)).unwrap();
        assert_eq!(record.losses, [(0.0, 1.0), (5.0, 1.5)]);
        assert_eq!((record.highest, record.end), (50.0, End::Steps));
        let way = Way::new(&objective, &from, &descent, &mut tell);
        let (_, record) = way.full_batch(Told(vec![1.0, 2.0, f64::NAN], 0)).unwrap();
        assert_eq!((record.highest, record.end), (f64::INFINITY, End::Diverged));
    }

    #[test]
    fn whether_to_go_on_is_asked_before_every_evaluation() {
        let objective = objective();
        let from = plain(&initial_parameters(objective.graph(), 1));
        for method in [
            Method::GradientDescent { learning_rate: 0.1 },
            Method::LimitedBfgs { memory: 5 },
            Method::Sgd {
                learning_rate: 0.1,
                batch_size: 5,
            },
        ] {
            let descent = descent(method);
            let mut asked = 0;
            let mut tell = |_: f64| {
                asked += 1;
                match asked {
                    1..=3 => Ok(()),
                    _ => Err(Error::Cancelled),
                }
            };
            let stopped = Way::new(&objective, &from, &descent, &mut tell).go();
            assert!(matches!(stopped, Err(Error::Cancelled)), "{method:?}");
            assert_eq!(asked, 4, "{method:?}");
        }
    }
}
