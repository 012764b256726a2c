//! How much each kind of experiment measures, as far as that is known before.

use super::Kind;
use super::random_rays::BETWEEN_POINTS;
use crate::experiment::averages;
use crate::experiment::cost::{Descents, Effort};
use crate::experiment::recipe::Recipe;
use crate::objective::BatchNormPolicy;

/// Evaluations that a gradient takes.
const GRADIENT: f64 = 3.0;
/// Gradients that a sharpness takes, of three for a product and some twenty products; fewer on the way.
const SHARPNESS: f64 = 60.0;
const ROUGH_SHARPNESS: f64 = 20.0;
/// Gradients that a non-uniformity takes: for some ten steps two products with the Hessian of every image.
const NON_UNIFORMITY: f64 = 60.0;

impl Kind {
    /// The points that it evaluates, by run. What needs no network is done in a moment and counts as nothing.
    pub fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        let seeds = recipe.seeds.len() as f64;
        let on = |run: &'a str, points: f64, policy: BatchNormPolicy, samples: usize| Effort {
            run,
            points: seeds * points,
            gradients: false,
            samples,
            policy,
        };
        // Over all seeds.
        let gradients = |run: &'a str, points: f64, policy: BatchNormPolicy, samples: usize| Effort {
            run,
            points,
            gradients: true,
            samples,
            policy,
        };
        let epochs = |run: &str| recipe.runs.get(run).map_or(0, |stage| stage.options(0).epochs) as f64;
        let lines = |run: &'a str, count: u64, points: usize, policy: BatchNormPolicy| {
            on(run, count as f64 * points as f64, policy, usize::MAX)
        };
        // SGD at every epoch, and its averages at those that are averaged: on test images, after statistics of the
        // training images.
        let averages = |run: &'a str, masks: u32| {
            let options = recipe.runs.get(run).map(|stage| stage.options(0)).unwrap_or_default();
            let averaged = options.epochs.saturating_sub(options.swa_start) + 1;
            let points = (averages::LEAD + averaged) as f64 + f64::from(masks) * averaged as f64;
            on(run, points, BatchNormPolicy::Running, usize::MAX)
        };
        let (running, recompute) = (BatchNormPolicy::Running, BatchNormPolicy::Recompute);
        match self {
            Self::AsymmetricDirection(kind) => {
                // The most asymmetric direction has a gradient at each point beside the loss.
                let slopes = GRADIENT * kind.points as f64;
                vec![
                    lines(&kind.run, kind.draws, kind.points, running),
                    on(&kind.run, slopes, running, usize::MAX),
                ]
            }
            Self::BiasedSolution(kind) => vec![lines(&kind.run, kind.draws, kind.points, running)],
            Self::AveragedParameters(kind) => vec![averages(&kind.run, 2 + kind.draws)],
            Self::BatchNorm(kind) => vec![averages(&kind.with, 1), averages(&kind.without, 1)],
            Self::BatchNormDirections(kind) => vec![lines(&kind.run, 2 * kind.draws, kind.points, kind.batch_norm)],
            Self::BatchSize(kind) => vec![lines(&kind.small, 1, kind.points, recompute)],
            Self::Interpolation(kind) => vec![lines(&kind.run, 1, kind.points, recompute)],
            Self::InterpolationAndRandom(kind) => vec![lines(&kind.run, kind.draws, kind.points, kind.batch_norm)],
            Self::Logistic(_) | Self::NoiseRace(_) | Self::Oscillation(_) | Self::Spiky(_) => Vec::new(),
            // These have no runs, but descents of their own.
            Self::Escape(_) | Self::SharpnessByRate(_) | Self::StabilityDiagram(_) | Self::StabilityToy(_) => {
                Vec::new()
            }
            Self::MinimaSpectrum(kind) => {
                let after = |name: &String| {
                    let from_epoch = recipe.runs.get(name).and_then(|stage| stage.from_epoch);
                    from_epoch.map_or(epochs(&kind.run), |epoch| epoch as f64)
                };
                let together = kind.minima.iter().map(after).fold(0.0, f64::max);
                let ways = kind.minima.iter().map(|name| (name, epochs(name)));
                std::iter::once((&kind.run, together))
                    .chain(ways)
                    .map(|(run, points)| gradients(run, seeds * points, kind.batch_norm, kind.samples))
                    .collect()
            }
            Self::Neighbourhood(kind) => {
                let points = (kind.candidates + kind.draws) as f64 * kind.points as f64;
                vec![on(&kind.run, points, running, kind.samples)]
            }
            Self::OnePointConvexity(kind) => {
                let epochs = epochs(&kind.run);
                let around = recipe.seeds.len().min(kind.neighbourhoods) as f64 * kind.draws as f64;
                vec![
                    gradients(&kind.run, seeds * epochs, kind.batch_norm, usize::MAX),
                    gradients(&kind.run, around * epochs, kind.batch_norm, kind.samples),
                ]
            }
            Self::RandomRays(kind) => {
                let points = kind.draws as f64 * kind.points as f64;
                vec![
                    on(&kind.wider.run, points, kind.batch_norm, kind.samples),
                    on(&kind.narrower.run, points, kind.batch_norm, kind.samples),
                    lines(&kind.wider.run, 1, BETWEEN_POINTS, recompute),
                ]
            }
            Self::Shift(kind) => vec![lines(&kind.run, kind.draws, kind.points, running)],
            Self::Trajectories(kind) => {
                let points = seeds * kind.trajectories as f64 * epochs(&kind.run);
                vec![gradients(&kind.run, points, kind.batch_norm, kind.samples)]
            }
            Self::TrajectorySurface(kind) => {
                let epochs = recipe.runs.get(&kind.run).map_or(0, |stage| stage.options(0).epochs) + 1;
                let points = epochs as f64 * kind.points as f64;
                vec![on(&kind.run, points, kind.batch_norm, kind.samples)]
            }
        }
    }

    /// The descents that it makes by itself for a seed, where it makes some.
    pub fn descents(&self) -> Option<Descents<'_>> {
        match self {
            Self::Escape(kind) => {
                let rough = kind.steps.div_ceil(kind.sharpness_every.max(1)) * kind.switches.len();
                Some(Descents {
                    model: &kind.model,
                    data: &kind.data,
                    ways: kind.ways(),
                    gradients: (kind.switches.len() + 1) as f64 * (SHARPNESS + NON_UNIFORMITY)
                        + rough as f64 * ROUGH_SHARPNESS,
                })
            }
            Self::SharpnessByRate(kind) => Some(Descents {
                model: &kind.model,
                data: &kind.data,
                ways: kind.ways(),
                gradients: kind.learning_rates.len() as f64 * SHARPNESS,
            }),
            Self::StabilityDiagram(kind) => Some(Descents {
                model: &kind.model,
                data: &kind.data,
                ways: kind.ways(),
                gradients: (kind.batch_sizes.len() + 1) as f64 * (SHARPNESS + NON_UNIFORMITY),
            }),
            _ => None,
        }
    }
}
