//! Along a run, at every epoch: does the negative gradient point to where the run ends, and around it, too, and how
//! large a step along it would lead nearer?

mod page;

use serde::{Deserialize, Serialize};

use super::Experiment;
use super::ball::in_ball;
use super::checks::{check_count, check_positive, check_samples};
use super::convexity::{Gradients, batch, footnote};
use super::defaults::usual_samples;
use super::effort::Efforts;
use crate::error::{Error, Result};
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Trained, Which};
use crate::experiment::outcome::Outcome;
use crate::experiment::recipe::Recipe;
use crate::landscape::{Alignment, direction};
use crate::objective::{BatchNormPolicy, Solution, loss_value};
use crate::training::schedule;

/// The inner product of −∇L(w_t) and w_T − w_t at every epoch t of the main phase of several trials, one a seed; the
/// same with the gradients at points of a ball around w_t; the lengths of minibatch gradients (Kleinberg et al. 2018,
/// Sections 5.1 and 5.2, Fig. 5); and the step sizes with which a step from w_t comes nearer to w_T (Theorem 3 and
/// Fig. 4).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnePointConvexity {
    /// The run.
    pub run: String,
    /// First epoch t that the claim is about: the paper leaves out "the starting period", and draws t ≥ 5.
    #[serde(default = "usual_first")]
    pub first: usize,
    /// Batch-norm policy of the gradients; with `batch` they are those that training follows.
    #[serde(default = "batch")]
    pub batch_norm: BatchNormPolicy,
    /// Radius of the ball around w_t, a length in parameter space; 0.5 in the paper.
    #[serde(default = "usual_radius")]
    pub radius: f64,
    /// Points of each ball, uniform in it; 100 in the paper.
    #[serde(default = "usual_draws")]
    pub draws: u64,
    /// Trials, from the first, around which points are drawn; one in the paper.
    #[serde(default = "usual_neighbourhoods")]
    pub neighbourhoods: usize,
    /// Train images for the gradients at those points, from the first; those at w_t itself take all.
    #[serde(default = "usual_samples")]
    pub samples: usize,
}

fn usual_first() -> usize {
    5
}

fn usual_radius() -> f64 {
    0.5
}

fn usual_draws() -> u64 {
    8
}

fn usual_neighbourhoods() -> usize {
    1
}

/// What gradients say at w_t.
#[derive(Serialize, Deserialize)]
struct Passes {
    /// Of −∇L(w_t) and w_T − w_t.
    alignment: Alignment,
    /// Lengths of the minibatches' gradients.
    #[serde(with = "loss_value::list")]
    norms: Vec<f64>,
    /// Inner products with the gradients at points around; none where they are not measured.
    #[serde(with = "loss_value::list")]
    around: Vec<f64>,
}

/// What is found at w_t.
struct Snapshot {
    passes: Passes,
    /// Learning rate η of the epoch that begins here.
    rate: f64,
    /// ‖w_t‖.
    length: f64,
    /// Images a minibatch, of which the last may have fewer.
    batch_size: usize,
    /// Train images.
    images: usize,
}

impl Snapshot {
    /// ⟨−∇L(w_t), w_T − w_t⟩.
    fn product(&self) -> f64 {
        self.passes.alignment.product
    }

    /// Theorem 3's largest useful step, that of gradient descent.
    fn largest_step(&self) -> f64 {
        self.passes.alignment.largest_step
    }

    /// That of SGD, which comes nearer on average below 2⟨−∇L, w_T − w_t⟩/E‖v‖²: as a minibatch's gradient v is ∇L on
    /// average, it is that of gradient descent with E‖v‖² for ‖∇L‖². Minibatches count by their images, as in ∇L.
    fn largest_step_of_sgd(&self) -> f64 {
        let size = |index: usize| self.batch_size.min(self.images.saturating_sub(index * self.batch_size));
        let squares = self.passes.norms.iter().enumerate();
        let squares: f64 = squares.map(|(index, norm)| size(index) as f64 * norm * norm).sum();
        2.0 * self.product() * self.images as f64 / squares
    }
}

/// A trial: what is found at every epoch but the last, where the way to the end is none.
struct Trial {
    seed: u64,
    /// μ of its run.
    momentum: f64,
    snapshots: Vec<Snapshot>,
}

impl Experiment for OnePointConvexity {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        check_positive("radius", self.radius)?;
        check_count("draws", self.draws)?;
        check_samples(self.samples)?;
        if self.neighbourhoods == 0 {
            return Err(Error::option("neighbourhoods", 0, "it must be at least 1"));
        }
        let epochs = recipe.runs.get(&self.run).map_or(0, |stage| stage.options(0).epochs);
        match self.first < epochs {
            true => Ok(()),
            false => Err(Error::option(
                "first",
                self.first,
                format!("it must be below the {epochs} epochs of the run `{}`", self.run),
            )),
        }
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        let efforts = Efforts::of(recipe);
        let epochs = efforts.epochs(&self.run);
        let seeds = recipe.seeds.len();
        // Around some of the seeds' trajectories only.
        let around = seeds.min(self.neighbourhoods) as f64 / seeds.max(1) as f64 * self.draws as f64;
        vec![
            efforts.gradients(&self.run, epochs, self.batch_norm, usize::MAX),
            efforts.gradients(&self.run, around * epochs, self.batch_norm, self.samples),
        ]
    }

    /// Makes it, with a trial for every seed.
    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let (mut trials, mut feet) = (Vec::new(), [String::new(), String::new()]);
        for (index, &seed) in recipe.seeds.iter().enumerate() {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let draws = if index < self.neighbourhoods { self.draws } else { 0 };
            let snapshots = self.snapshots(&trained, draws, laboratory)?;
            trials.push(Trial {
                seed,
                momentum: trained.folder.record().options.momentum,
                snapshots,
            });
            let foot = |samples| footnote(&trained, self.batch_norm, samples, &recipe.seeds);
            feet = [usize::MAX, self.samples].map(foot);
        }
        Ok(Outcome {
            figures: self.figures(&trials, &feet),
            tables: vec![self.table(&trials)],
            verdict: self.verdict(&trials),
        })
    }
}

impl OnePointConvexity {
    fn snapshots(&self, trained: &Trained, draws: u64, laboratory: &mut Laboratory) -> Result<Vec<Snapshot>> {
        let (epochs, options) = (trained.epochs(), &trained.folder.record().options);
        let end = trained.solution(Which::Last)?;
        let all = epochs.saturating_mul((draws as usize).saturating_add(1));
        let mut gradients = Gradients::new(trained, &self.run, self.batch_norm, all);
        let mut how = format!("way to the end, {} images", gradients.images(usize::MAX));
        if draws > 0 {
            let (radius, images) = (self.radius, gradients.images(self.samples));
            how += &format!("; {draws} points within {radius}, {images} images");
        }
        let mut snapshots = Vec::with_capacity(epochs);
        for epoch in 0..epochs {
            let here = trained.snapshot(epoch)?;
            let (ends, count) = ([end.parameters.as_slice()], draws as usize + 1);
            let passes = gradients.kept(
                (&here, epoch),
                &ends,
                (&how, count),
                laboratory,
                |gradients, laboratory| self.passes((&here, epoch), &end, draws, gradients, laboratory),
            )?;
            snapshots.push(Snapshot {
                passes,
                rate: schedule::learning_rate(options, epoch + 1),
                length: direction::dot(&here.parameters, &here.parameters).sqrt(),
                batch_size: options.batch_size,
                images: gradients.images(usize::MAX),
            });
        }
        Ok(snapshots)
    }

    /// What gradients say at a snapshot of the way to its end, and at so many points around it.
    fn passes(
        &self,
        (here, epoch): (&Solution, usize),
        end: &Solution,
        draws: u64,
        gradients: &mut Gradients,
        laboratory: &mut Laboratory,
    ) -> Result<Passes> {
        let pass = gradients.at(here, epoch, usize::MAX, laboratory)?;
        let mut around = Vec::new();
        for draw in 1..=draws {
            // Other points at every epoch.
            let number = (epoch as u64).wrapping_mul(draws).wrapping_add(draw);
            let beside = here.moved(&in_ball(here.parameters.len(), self.radius, number), 1.0);
            let pass = gradients.at(&beside, epoch, self.samples, laboratory)?;
            // As in the paper, with the way from w_t itself and not from the point beside it.
            around.push(Alignment::new(&pass.gradient, &here.parameters, &end.parameters).product);
        }
        Ok(Passes {
            alignment: Alignment::new(&pass.gradient, &here.parameters, &end.parameters),
            norms: pass.norms,
            around,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn around_no_trajectory_a_part_of_the_claim_would_not_be_seen() {
        let recipe = Recipe::named("one-point-convexity").unwrap();
        let Kind::OnePointConvexity(kind) = recipe.measure.clone() else {
            panic!("one-point convexity");
        };
        assert!(kind.check(&recipe).is_ok());
        let none = OnePointConvexity {
            neighbourhoods: 0,
            ..kind
        };
        let told = none.check(&recipe).unwrap_err().to_string();
        assert!(
            told.starts_with("neighbourhoods") && told.contains("at least 1"),
            "{told}"
        );
    }
}
