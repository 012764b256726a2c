//! Its figures: the solutions beside their bounds, and the bounds alone.

use super::{Family, StabilityDiagram};
use crate::curvature::Sgd;
use crate::error::Result;
use crate::experiment::kinds::convexity::chart;
use crate::experiment::kinds::dynamical_stability::{NON_UNIFORMITY_AXIS, SHARPNESS_AXIS};
use crate::experiment::kinds::solved::{Found, on_images};
use crate::experiment::outcome::{Figure, Series};

/// Learning rates, as multiples of η, that bounds are drawn of.
const RATES: [f64; 3] = [0.5, 1.0, 2.0];
/// Room beyond the largest 2/η.
const ROOM: f64 = 1.25;

impl StabilityDiagram {
    /// Solutions of all families on so many train images (Fig. 6), their numbers by batch size (Fig. 5), and the
    /// regions that (9) leaves by batch size and by learning rate (Fig. 3).
    ///
    /// # Errors
    /// As [`Sgd::new`], for twice the learning rate among others.
    pub(super) fn figures(&self, families: &[Family], images: usize, foot: &str) -> Result<Vec<Figure>> {
        let edge = 2.0 / self.learning_rate;
        let methods = families.first().map_or(0, |family| family.found.len());
        let diagram = (0..methods).map(|index| {
            let all: Vec<&Found> = families.iter().map(|family| &family.found[index]).collect();
            let (bound, name) = (all[0].bounds.non_uniformity_bound(), all[0].name());
            let dots = all.iter().filter_map(|found| {
                let solved = found.solution.as_ref()?;
                Some((solved.sharpness.value, solved.non_uniformity.value))
            });
            let (label, points) = match bound.is_finite() {
                true => (format!("{name}, and its bound"), vec![(0.0, bound), (edge, bound)]),
                false => (name, Vec::new()),
            };
            let line = Series {
                label,
                points,
                dashed: true,
            };
            line.with_dots(dots)
        });
        let by_batch = |value: fn(&Found) -> Option<f64>| -> Vec<Series> {
            let curve = |family: &Family| Series {
                label: format!("seed {}", family.seed),
                points: family
                    .found
                    .iter()
                    .filter_map(|found| Some(((found.bounds.batch_size() as f64).log10(), value(found)?)))
                    .collect(),
                dashed: false,
            };
            families.iter().map(curve).collect()
        };
        let bound = |label: &str, value: fn(Sgd) -> f64| {
            let found: &[Found] = families.first().map_or(&[][..], |family| family.found.as_slice());
            let points = found
                .iter()
                .map(|found| ((found.bounds.batch_size() as f64).log10(), value(found.bounds)));
            Series {
                label: label.to_owned(),
                points: points.filter(|(_, bound)| bound.is_finite()).collect(),
                dashed: true,
            }
        };
        let mut non_uniformity = vec![bound("bound", Sgd::non_uniformity_bound)];
        non_uniformity.extend(by_batch(|found| Some(found.solution.as_ref()?.non_uniformity.value)));
        let mut sharpness = vec![bound("2/η", Sgd::sharpness_bound)];
        sharpness.extend(by_batch(|found| Some(found.solution.as_ref()?.sharpness.value)));
        let batch_axis = "log₁₀ of the batch size B";
        let by_batch_size = on_images(self.learning_rate, &self.batch_sizes, images)?;
        let smallest = self.batch_sizes.first().copied().unwrap_or(1);
        let by_rate: Vec<Sgd> = RATES
            .iter()
            .map(|times| Sgd::new(times * self.learning_rate, smallest, images))
            .collect::<Result<_>>()?;
        Ok(vec![
            chart(
                "diagram",
                format!("Sharpness and non-uniformity of solutions, η = {}", self.learning_rate),
                (SHARPNESS_AXIS, NON_UNIFORMITY_AXIS),
                diagram.collect(),
                vec![(edge, "2/η".to_owned())],
                foot,
            ),
            chart(
                "non-uniformity",
                "Non-uniformity of solutions by batch size".to_owned(),
                (batch_axis, NON_UNIFORMITY_AXIS),
                non_uniformity,
                Vec::new(),
                foot,
            ),
            chart(
                "sharpness",
                "Sharpness of solutions by batch size".to_owned(),
                (batch_axis, SHARPNESS_AXIS),
                sharpness,
                Vec::new(),
                foot,
            ),
            chart(
                "regions-by-batch-size",
                format!("Bounds by batch size, η = {}; GD has 2/η alone", self.learning_rate),
                (SHARPNESS_AXIS, NON_UNIFORMITY_AXIS),
                regions(&by_batch_size, |sgd| format!("B = {}", sgd.batch_size())),
                vec![(edge, "2/η".to_owned())],
                foot,
            ),
            chart(
                "regions-by-rate",
                format!("Bounds by learning rate, B = {smallest}"),
                (SHARPNESS_AXIS, NON_UNIFORMITY_AXIS),
                regions(&by_rate, |sgd| format!("η = {}", sgd.learning_rate())),
                Vec::new(),
                foot,
            ),
        ])
    }
}

/// What (9) allows: the largest s at every a, which is its bound up to 2/η and nothing beyond. Gradient descent, whose
/// s has no bound, has no outline.
fn regions(all: &[Sgd], label: fn(Sgd) -> String) -> Vec<Series> {
    let reach = ROOM * all.iter().map(|sgd| sgd.sharpness_bound()).fold(0.0, f64::max);
    let bounded = all.iter().filter(|sgd| sgd.non_uniformity_bound().is_finite());
    let outline = |&sgd: &Sgd| {
        let (edge, top) = (sgd.sharpness_bound(), sgd.non_uniformity_bound());
        Series {
            label: label(sgd),
            points: vec![(0.0, top), (edge, top), (edge, 0.0), (reach, 0.0)],
            dashed: false,
        }
    };
    bounded.map(outline).collect()
}
