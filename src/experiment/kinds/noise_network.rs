//! Gradient descent with noise of several shapes on a network with some random labels, from a minimum that gradient
//! descent has found: which ones leave it, and where do they come to?

mod shown;
#[cfg(test)]
mod testing;
mod verdict;
mod way;

use serde::Deserialize;

use self::way::{Look, Way};
use super::Experiment;
use super::checks::check_burst;
use super::dynamical_stability::{footnote, settings};
use super::noise_on_networks::{self as noisy, Minimum, Record, Walked};
use crate::data::Progress;
use crate::dynamics::network::Settings;
use crate::dynamics::noise::Noise;
use crate::dynamics::sharpness::Around;
use crate::error::{Error, Result};
use crate::experiment::cost::Descents;
use crate::experiment::descent::Method;
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::Outcome;
use crate::experiment::recipe::Recipe;
use crate::objective::{BatchNormPolicy, Objective, Solution};

/// Dynamics from a minimum on, with their accuracies and their expected sharpness (Zhu et al. Fig. 3; Fig. 1 and 6 with
/// other data and another network).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NoiseNetwork {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// How gradient descent finds the minimum.
    pub minimum: Minimum,
    /// What is compared.
    #[serde(default = "all_dynamics")]
    pub dynamics: Vec<Noise>,
    /// What the dynamics share.
    #[serde(default)]
    pub walk: Settings,
    /// Steps of each.
    pub steps: usize,
    /// Steps from one look at losses, accuracies and sharpness to the next.
    pub every: usize,
    /// How the expected sharpness is estimated.
    #[serde(default)]
    pub around: Around,
    /// A minimum has been left where the train loss has been so many times as large as there.
    #[serde(default = "usual_burst")]
    pub burst: f64,
}

/// Those that the paper says leave come first.
fn all_dynamics() -> Vec<Noise> {
    vec![
        Noise::Sgd,
        Noise::GldFirstEigenvector,
        Noise::GldHessian,
        Noise::GldLeading,
        Noise::GldDiagonal,
        Noise::GldDynamic,
        Noise::GldConstant,
        Noise::Gd,
    ]
}

fn usual_burst() -> f64 {
    10.0
}

/// Whether the paper says that it leaves: its noise lies along the few directions of large curvature.
fn is_aligned(noise: Noise) -> bool {
    match noise {
        Noise::Sgd | Noise::GldLeading | Noise::GldHessian | Noise::GldFirstEigenvector => true,
        Noise::Gd | Noise::GldConstant | Noise::GldDynamic | Noise::GldDiagonal => false,
    }
}

impl Experiment for NoiseNetwork {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        self.minimum.check()?;
        self.walk.check()?;
        self.around.check()?;
        for (name, value) in [("steps", self.steps), ("every", self.every)] {
            if value == 0 {
                return Err(Error::option(name, value, "it must be at least 1"));
            }
        }
        check_burst(self.burst)?;
        let is_there = |aligned: bool| self.dynamics.iter().any(|&noise| is_aligned(noise) == aligned);
        if !(is_there(true) && is_there(false)) {
            let reason = "name two at least of which one leaves minima in the paper and one does not, such as sgd and \
                          gld-dynamic";
            return Err(Error::option("dynamics", "", reason));
        }
        Ok(())
    }

    fn descents(&self) -> Option<Descents<'_>> {
        let looks = (self.steps.div_ceil(self.every.max(1)) + 1) as f64;
        let evaluations = self.dynamics.len() as f64 * looks * (self.around.draws + 2) as f64;
        let renewals = self.steps.div_ceil(self.walk.renew_hessian.max(1)) as f64;
        let products = self.dynamics.iter().map(|noise| match noise {
            Noise::GldHessian => self.walk.hessian_products + self.walk.leading,
            Noise::GldFirstEigenvector => self.walk.hessian_products,
            _ => 0,
        });
        Some(Descents {
            model: &self.model,
            data: &self.data,
            ways: self.ways(),
            gradients: evaluations / 3.0 + noisy::PRODUCT * renewals * products.sum::<usize>() as f64,
        })
    }

    fn settings(&self) -> Vec<[String; 2]> {
        let mut rows = settings(&self.model, &self.data, &[self.minimum.way()]);
        rows.push(self.minimum.setting());
        rows.extend(noisy::settings(&self.walk));
        let Around {
            deviation,
            draws,
            change,
        } = self.around;
        rows.push([
            "expected sharpness".to_owned(),
            format!("{}, δ = {deviation}, {draws} draws", change.formula()),
        ]);
        rows
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let objective = laboratory.objective(&self.model, &self.data)?;
        let mut losses = Vec::new();
        let mut ways: Vec<Way> = Vec::new();
        for (index, &seed) in recipe.seeds.iter().enumerate() {
            let found = self.minimum.find(&objective, seed, laboratory)?;
            losses.push(found.record.loss);
            for (place, &noise) in self.dynamics.iter().enumerate() {
                let record = self.walk_from(&objective, &found.solution, noise, seed, laboratory)?;
                let left = record.has_left(found.record.loss, self.burst);
                if index == 0 {
                    ways.push(Way {
                        noise,
                        records: Vec::new(),
                        left: Vec::new(),
                    });
                }
                ways[place].records.push(record);
                ways[place].left.push(left);
            }
        }
        let how = format!(
            "from GD at a train loss of {} · η = {} · {}",
            self.minimum.loss,
            self.walk.learning_rate,
            self.walk.sigma.name(self.walk.batch_size)
        );
        let foot = footnote(&objective, &how, &recipe.seeds);
        Ok(Outcome {
            figures: self.figures(&objective, &ways, &foot),
            tables: vec![self.table(&ways, &losses)],
            verdict: self.verdict(&ways),
        })
    }
}

impl NoiseNetwork {
    /// All descents of one seed, with their steps.
    fn ways(&self) -> Vec<(Method, usize)> {
        let Settings {
            learning_rate,
            batch_size,
            ..
        } = self.walk;
        let method = |noise: &Noise| match noise {
            Noise::Sgd => Method::Sgd {
                learning_rate,
                batch_size,
            },
            _ => Method::GradientDescent { learning_rate },
        };
        let dynamics = self.dynamics.iter().map(|noise| (method(noise), self.steps));
        std::iter::once(self.minimum.way()).chain(dynamics).collect()
    }

    /// A dynamics from a minimum on, or as it went before.
    fn walk_from(
        &self,
        objective: &Objective,
        start: &Solution,
        noise: Noise,
        seed: u64,
        laboratory: &mut Laboratory,
    ) -> Result<Record<Look>> {
        let what = format!("{} (seed {seed})", noise.name());
        let looks = self.looks();
        let made = format!("{what}: {:?}, {:?}, looks {looks:?}", self.walk, self.around);
        let walked = Walked {
            objective,
            start,
            noise,
            settings: self.walk,
            seed,
            looks: &looks,
        };
        walked.go(laboratory, (&what, &made), |solution, step, told| {
            self.look(objective, solution, step, seed, told).map(Some)
        })
    }

    /// Steps after which is looked.
    fn looks(&self) -> Vec<usize> {
        noisy::looks(self.steps, self.every)
    }

    fn look(
        &self,
        objective: &Objective,
        solution: &Solution,
        step: usize,
        seed: u64,
        progress: Progress,
    ) -> Result<Look> {
        let measured = objective.evaluate(&solution.parameters, &solution.statistics, BatchNormPolicy::Running)?;
        let measured = measured.first().copied();
        let measured = measured.ok_or_else(|| Error::Request("nothing was measured".to_owned()))?;
        let found = self.around.sharpness(objective, solution, seed, progress)?;
        let is_finite = found.mean.is_finite() && found.standard_error.is_none_or(f64::is_finite);
        Ok(Look {
            step,
            measured,
            sharpness: is_finite.then_some(found),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::testing::kind;
    use super::*;

    #[test]
    fn what_cannot_be_asked_for_is_named_and_the_effort_told() {
        let recipe = Recipe::named("noise-network").unwrap();
        let told = |kind: NoiseNetwork| kind.check(&recipe).unwrap_err().to_string();
        assert!(kind().check(&recipe).is_ok());
        let alone = NoiseNetwork {
            dynamics: vec![Noise::Sgd, Noise::GldLeading],
            ..kind()
        };
        assert!(told(alone).starts_with("dynamics: name two at least"));
        assert!(told(NoiseNetwork { every: 0, ..kind() }).starts_with("every"));
        assert!(told(NoiseNetwork { burst: 1.0, ..kind() }).starts_with("burst"));
        let ways = kind().ways();
        assert_eq!(ways.len(), 3);
        assert!(matches!(ways[1].0, Method::Sgd { batch_size: 20, .. }) && ways[1].1 == 10);
        // Only losses and sharpness: neither of the two has a Hessian.
        let gradients = kind().descents().unwrap().gradients;
        assert_eq!(gradients, 2.0 * 4.0 * 1002.0 / 3.0);
    }
}
