//! Sharpness and non-uniformity by step, from the initial weights on: does gradient descent end at the edge that its
//! learning rate sets, and does SGD stay where its batches let it?

mod found;
mod page;
#[cfg(test)]
mod testing;

use serde::Deserialize;

use self::found::{Ended, Family, Found};
use super::Experiment;
use super::checks::check_positive;
use super::dynamical_stability::{
    NON_UNIFORMITY, ROUGH_SHARPNESS, SHARPNESS, check_end, check_rising, check_tolerance, every, footnote, loss_axis,
    settings, usual_tolerance,
};
use super::solved::on_images;
use crate::error::{Error, Result};
use crate::experiment::cost::Descents;
use crate::experiment::descent::{self, Descent, Method};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::Outcome;
use crate::experiment::recipe::Recipe;
use crate::objective::Objective;

/// Sharpness and non-uniformity while gradient descent and SGD train (Wu et al., Sections 4.1 to 4.3), beside what (9)
/// allows them.
///
/// The bound of the non-uniformity is necessary for the condition (8), which is sufficient for stability. In more than
/// one dimension SGD can be stable beyond it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharpnessAlongTraining {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// Learning rates η of gradient descent, in rising order.
    pub learning_rates: Vec<f64>,
    /// η of SGD.
    pub sgd_learning_rate: f64,
    /// Batch sizes B of SGD, two at least, in rising order, each below the number of train images.
    pub batch_sizes: Vec<usize>,
    /// Train loss at which a descent has arrived.
    pub loss: f64,
    /// Steps at most.
    pub steps: usize,
    /// Steps from one measured sharpness to the next.
    pub sharpness_every: usize,
    /// Steps from one measured non-uniformity of SGD to the next. It takes long, and is measured on the way with the
    /// first seed alone.
    pub non_uniformity_every: usize,
    /// Share by which a bound may be exceeded and count as kept.
    #[serde(default = "usual_tolerance")]
    pub tolerance: f64,
}

impl Experiment for SharpnessAlongTraining {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        check_rising("learning-rates", &self.learning_rates)?;
        check_positive("sgd-learning-rate", self.sgd_learning_rate)?;
        check_rising("batch-sizes", &self.batch_sizes)?;
        if self.batch_sizes.len() < 2 {
            return Err(Error::option("batch-sizes", "", "name two at least, to compare them"));
        }
        for (method, _) in self.ways() {
            method.check()?;
        }
        check_end(self.loss, ("steps", self.steps))?;
        for (name, every) in [
            ("sharpness-every", self.sharpness_every),
            ("non-uniformity-every", self.non_uniformity_every),
        ] {
            if every == 0 {
                return Err(Error::option(name, every, "it must be at least 1"));
            }
        }
        check_tolerance(self.tolerance)
    }

    fn descents(&self) -> Option<Descents<'_>> {
        let (ways, sgd) = (self.ways(), self.batch_sizes.len() as f64);
        let looks = |every: usize| self.steps.div_ceil(every.max(1)) as f64;
        let sharpness = SHARPNESS + looks(self.sharpness_every) * ROUGH_SHARPNESS;
        let non_uniformity = NON_UNIFORMITY + looks(self.non_uniformity_every) * NON_UNIFORMITY;
        Some(Descents {
            model: &self.model,
            data: &self.data,
            gradients: ways.len() as f64 * sharpness + sgd * non_uniformity,
            ways,
        })
    }

    fn settings(&self) -> Vec<[String; 2]> {
        let mut rows = settings(&self.model, &self.data, &self.ways());
        rows.push(["has arrived at a train loss of".to_owned(), self.loss.to_string()]);
        rows.push([
            "sharpness, and non-uniformity of SGD with the first seed, every".to_owned(),
            format!("{} steps, {} steps", self.sharpness_every, self.non_uniformity_every),
        ]);
        rows
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let objective = laboratory.objective(&self.model, &self.data)?;
        let images = objective.data().train.len();
        // Refuses batches of all images, of which there are no bounds of SGD.
        on_images(self.sgd_learning_rate, &self.batch_sizes, images)?;
        let mut families: Vec<Family> = Vec::new();
        for &seed in &recipe.seeds {
            let is_first = families.is_empty();
            let mut found = Vec::new();
            for (method, _) in self.ways() {
                found.extend(self.descend(method, (seed, is_first), &objective, laboratory)?);
            }
            families.push(Family { seed, found });
        }
        let how = format!("from the initial weights to a train loss of {}", self.loss);
        let foot = footnote(&objective, &how, &recipe.seeds);
        Ok(Outcome {
            figures: self.figures(&loss_axis(&objective), &families, &foot),
            tables: vec![self.table(&families)],
            verdict: self.verdict(&families),
        })
    }
}

impl SharpnessAlongTraining {
    /// All descents of one seed, with their steps at most.
    fn ways(&self) -> Vec<(Method, usize)> {
        let whole = |&learning_rate: &f64| Method::GradientDescent { learning_rate };
        let batches = |&batch_size: &usize| Method::Sgd {
            learning_rate: self.sgd_learning_rate,
            batch_size,
        };
        let descents = self.learning_rates.iter().map(whole);
        let methods = descents.chain(self.batch_sizes.iter().map(batches));
        methods.map(|method| (method, self.steps)).collect()
    }

    /// Goes down with one method; nothing where there is no theory of it.
    fn descend(
        &self,
        method: Method,
        (seed, is_first): (u64, bool),
        objective: &Objective,
        laboratory: &mut Laboratory,
    ) -> Result<Option<Found>> {
        let images = objective.data().train.len();
        let Some(bounds) = method.stability(images)? else {
            return Ok(None);
        };
        let what = format!("{} (seed {seed})", method.name());
        let (every, watched) = match method {
            // An epoch.
            Method::Sgd { batch_size, .. } => (images.div_ceil(batch_size), is_first),
            Method::GradientDescent { .. } | Method::LimitedBfgs { .. } => (every(self.steps), false),
        };
        let way = Descent {
            method,
            loss: self.loss,
            steps: self.steps,
            every,
            sharpness_every: Some(self.sharpness_every),
            non_uniformity_every: watched.then_some(self.non_uniformity_every),
            seed,
        };
        let descended = laboratory.descend(objective, &descent::start(objective, seed)?, &way, &what)?;
        let solution = &descended.solution;
        let end = match descended.record.has_arrived() {
            true => Some(Ended {
                sharpness: laboratory.sharpness(objective, solution, &what)?,
                non_uniformity: match method {
                    Method::Sgd { .. } => Some(laboratory.non_uniformity(objective, solution, &what)?),
                    Method::GradientDescent { .. } | Method::LimitedBfgs { .. } => None,
                },
            }),
            false => None,
        };
        Ok(Some(Found {
            method,
            bounds,
            record: descended.record,
            end,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::kind;
    use super::*;

    #[test]
    fn what_cannot_be_tried_is_told_by_its_name() {
        let recipe = Recipe::named("sharpness-along-training").unwrap();
        assert!(kind().check(&recipe).is_ok());
        assert_eq!(kind().ways().len(), 4);
        let gradients = kind().descents().unwrap().gradients;
        // Two looks at each of four descents, and two at the non-uniformity of two, beside the ends.
        let expected = 4.0 * (SHARPNESS + 2.0 * ROUGH_SHARPNESS) + 2.0 * 3.0 * NON_UNIFORMITY;
        assert_eq!(gradients, expected);
        type Change = fn(&mut SharpnessAlongTraining);
        let wrong: [(&str, Change); 9] = [
            ("learning-rates", |kind| kind.learning_rates = vec![1.0, 0.5]),
            ("sgd-learning-rate", |kind| kind.sgd_learning_rate = 0.0),
            ("batch-sizes", |kind| kind.batch_sizes = vec![4]),
            ("batch-sizes", |kind| kind.batch_sizes = vec![4, 4]),
            ("loss", |kind| kind.loss = 0.0),
            ("steps", |kind| kind.steps = 0),
            ("sharpness-every", |kind| kind.sharpness_every = 0),
            ("non-uniformity-every", |kind| kind.non_uniformity_every = 0),
            ("tolerance", |kind| kind.tolerance = -0.1),
        ];
        for (name, change) in wrong {
            let mut kind = kind();
            change(&mut kind);
            let message = kind.check(&recipe).unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
