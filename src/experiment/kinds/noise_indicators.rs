//! Whether the noise of SGD lies along the few directions of large curvature, and whether it dominates the gradient:
//! the first eigenvalues of the Hessian at a minimum, and along SGD and gradient descent from there how much of the
//! noise they see and how long it is.

mod shown;
mod spectrum;
#[cfg(test)]
mod testing;
mod verdict;
mod way;

use serde::Deserialize;

use self::spectrum::{Spectrum, at_minima};
use self::way::{Lengths, Look, Way};
use super::Experiment;
use super::dynamical_stability::{footnote, settings};
use super::noise_on_networks::{self as noisy, Minimum};
use crate::dynamics::network::Settings;
use crate::dynamics::noise::Noise;
use crate::error::{Error, Result};
use crate::experiment::cost::Descents;
use crate::experiment::descent::Method;
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::Outcome;
use crate::experiment::recipe::Recipe;

/// A residual of an eigenpair that is small enough, as a share of λ₁.
const TOLERANCE: f64 = 1e-3;
/// Products for each of many eigenvalues at most, and some more.
const PRODUCTS: (usize, usize) = (3, 30);
/// Products for λ₁ at most.
const FIRST_PRODUCTS: usize = 30;

/// The conditions of Proposition 1, and what follows from them, at a minimum and from there on (Zhu et al. Fig. 5); and
/// how long the noise is beside the gradient, which the paper's Eq. 18 rests on (Fig. 7).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NoiseIndicators {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// How gradient descent finds the minimum.
    pub minimum: Minimum,
    /// What goes on from there.
    #[serde(default = "sgd_and_gradient_descent")]
    pub dynamics: Vec<Noise>,
    /// What the dynamics share. Σ and the Hessian are taken alike.
    #[serde(default)]
    pub walk: Settings,
    /// Steps of each.
    pub steps: usize,
    /// Steps from one look at Σ and the Hessian to the next.
    pub every: usize,
    /// Probes of random signs for Tr(H) and Tr(HΣ): a product with the Hessian each.
    #[serde(default = "usual_probes")]
    pub probes: usize,
    /// How many of the first eigenvalues at the minimum are found.
    #[serde(default = "usual_eigenvalues")]
    pub eigenvalues: usize,
    /// SGD from the initial weights on, too, where lengths alone are looked at; none is made without.
    #[serde(default)]
    pub from_start: Option<FromStart>,
}

/// SGD from a seed's initial weights, with the learning rate and the batches of the dynamics.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FromStart {
    /// Its steps.
    pub steps: usize,
    /// Steps from one look at the noise to the next.
    pub every: usize,
}

fn sgd_and_gradient_descent() -> Vec<Noise> {
    vec![Noise::Sgd, Noise::Gd]
}

fn usual_probes() -> usize {
    12
}

fn usual_eigenvalues() -> usize {
    20
}

/// What was found with all seeds.
struct Found {
    /// The first eigenvalues at every seed's minimum.
    spectra: Vec<Spectrum>,
    /// The dynamics from there.
    ways: Vec<Way<Look>>,
    /// SGD from every seed's initial weights.
    trainings: Vec<Way<Lengths>>,
    /// D.
    dimensions: usize,
}

impl Experiment for NoiseIndicators {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        self.minimum.check()?;
        self.walk.check()?;
        for (name, value, least) in [
            ("steps", self.steps, 1),
            ("every", self.every, 1),
            ("probes", self.probes, 2),
            ("eigenvalues", self.eigenvalues, 2),
        ] {
            if value < least {
                return Err(Error::option(name, value, format!("it must be at least {least}")));
            }
        }
        if let Some(FromStart { steps, every }) = self.from_start
            && (steps == 0 || every == 0)
        {
            let value = format!("{{ steps = {steps}, every = {every} }}");
            return Err(Error::option("from-start", value, "both must be at least 1"));
        }
        match self.dynamics.is_empty() {
            true => Err(Error::option("dynamics", "[]", "name one at least, such as sgd")),
            false => Ok(()),
        }
    }

    fn descents(&self) -> Option<Descents<'_>> {
        let count = |steps: usize, every: usize| (steps.div_ceil(every.max(1)) + 1) as f64;
        let looks = self.dynamics.len() as f64 * count(self.steps, self.every);
        let at_looks = looks * (self.probes + FIRST_PRODUCTS) as f64;
        let products = at_looks + ((PRODUCTS.0 + 1) * self.eigenvalues) as f64;
        let lengths = self.from_start.map_or(0.0, |start| count(start.steps, start.every));
        Some(Descents {
            model: &self.model,
            data: &self.data,
            ways: self.descended(),
            gradients: looks + lengths + noisy::PRODUCT * products,
        })
    }

    fn settings(&self) -> Vec<[String; 2]> {
        let mut rows = settings(&self.model, &self.data, &[self.minimum.way()]);
        rows.push(self.minimum.setting());
        rows.extend(noisy::settings(&self.walk));
        let names: Vec<&str> = self.dynamics.iter().map(|noise| noise.name()).collect();
        rows.push([
            "dynamics".to_owned(),
            format!("{}, {} steps each", names.join(", "), self.steps),
        ]);
        rows.push(["probes of a trace".to_owned(), self.probes.to_string()]);
        rows.extend(self.from_start.map(|start| {
            let what = "SGD from initial weights".to_owned();
            [what, format!("{} steps, a look every {}", start.steps, start.every)]
        }));
        rows
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let objective = laboratory.objective(&self.model, &self.data)?;
        let mut found = Found {
            spectra: Vec::new(),
            ways: Vec::new(),
            trainings: Vec::new(),
            dimensions: objective.graph().parameter_count(),
        };
        for &seed in &recipe.seeds {
            let minimum = self.minimum.find(&objective, seed, laboratory)?.solution;
            let spectrum = self.spectrum(&objective, &minimum, seed, laboratory)?;
            found.spectra.push(spectrum);
            for &noise in &self.dynamics {
                let way = self.way(&objective, &minimum, noise, seed, laboratory)?;
                found.ways.push(way);
            }
            if let Some(start) = self.from_start {
                let training = self.training(&objective, start, seed, laboratory)?;
                found.trainings.push(training);
            }
        }
        let walk = format!(
            "η = {} · {}",
            self.walk.learning_rate,
            self.walk.sigma.name(self.walk.batch_size)
        );
        let from_minimum = format!("from GD at a train loss of {} · {walk}", self.minimum.loss);
        let feet = [from_minimum, format!("SGD from initial weights · {walk}")]
            .map(|how| footnote(&objective, &how, &recipe.seeds));
        let mut tables = vec![shown::along(&found.ways)];
        if !found.trainings.is_empty() {
            tables.push(shown::trained(&found.trainings));
        }
        tables.push(at_minima(&found.spectra, &recipe.seeds, found.dimensions));
        Ok(Outcome {
            figures: self.figures(&found, &recipe.seeds, &feet),
            tables,
            verdict: self.verdict(&found),
        })
    }
}

impl NoiseIndicators {
    /// All descents of one seed, with their steps.
    fn descended(&self) -> Vec<(Method, usize)> {
        let learning_rate = self.walk.learning_rate;
        let batch_size = self.walk.batch_size;
        let sgd = Method::Sgd {
            learning_rate,
            batch_size,
        };
        let method = |noise: &Noise| match noise {
            Noise::Sgd => sgd,
            _ => Method::GradientDescent { learning_rate },
        };
        let dynamics = self.dynamics.iter().map(|noise| (method(noise), self.steps));
        let training = self.from_start.map(|start| (sgd, start.steps));
        std::iter::once(self.minimum.way())
            .chain(dynamics)
            .chain(training)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::kind;
    use super::*;

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        let recipe = Recipe::named("noise-indicators").unwrap();
        let told = |kind: NoiseIndicators| kind.check(&recipe).unwrap_err().to_string();
        assert!(kind().check(&recipe).is_ok());
        assert!(told(NoiseIndicators { probes: 1, ..kind() }).starts_with("probes"));
        let nothing = NoiseIndicators {
            dynamics: Vec::new(),
            ..kind()
        };
        assert!(told(nothing).starts_with("dynamics"));
        for (steps, every) in [(0, 1), (1, 0)] {
            let from_start = Some(FromStart { steps, every });
            let told = told(NoiseIndicators { from_start, ..kind() });
            assert!(told.starts_with("from-start"), "{told}");
        }
    }

    #[test]
    fn the_effort_is_of_all_ways_and_looks() {
        // Three looks from initial weights, where one gradient is taken each; two dynamics with two looks each.
        assert_eq!(kind().descended().len(), 4);
        let products = 4.0 * 33.0 + 4.0 * 3.0;
        let gradients = |kind: &NoiseIndicators| kind.descents().unwrap().gradients;
        assert_eq!(gradients(&kind()), 4.0 + 3.0 + noisy::PRODUCT * products);
        let alone = NoiseIndicators {
            from_start: None,
            ..kind()
        };
        assert_eq!(alone.descended().len(), 3);
        assert_eq!(gradients(&kind()) - gradients(&alone), 3.0);
        assert_eq!(kind().settings().len(), alone.settings().len() + 1);
    }
}
