//! Whether the noise of SGD lies along the few directions of large curvature: the first eigenvalues of the Hessian at a
//! minimum, and along SGD and gradient descent from there how much of the noise they see.

use serde::{Deserialize, Serialize};

use super::Experiment;
use super::convexity::chart;
use super::curves::columns;
use super::dynamical_stability::{STEP_AXIS, footnote, settings};
use super::noise_on_networks::{self as noisy, Minimum, curve_with_errors, error_text, over_seeds};
use crate::curvature::{Effort, HessianOperator, LanczosOptions, extreme_eigenpairs};
use crate::dynamics::indicators::{Indicators, WithError};
use crate::dynamics::minibatches::Minibatches;
use crate::dynamics::network::{Settings, Walk, derivatives, with_hessian};
use crate::dynamics::noise::Noise;
use crate::error::{Error, Result};
use crate::experiment::cost::Descents;
use crate::experiment::descent::Method;
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Figure, Outcome, Series, Table, Verdict, significant};
use crate::experiment::recipe::Recipe;
use crate::objective::{Objective, Solution};

/// A residual of an eigenpair that is small enough, as a share of λ₁.
const TOLERANCE: f64 = 1e-3;
/// Products for each of many eigenvalues at most, and some more.
const PRODUCTS: (usize, usize) = (3, 30);
/// Products for λ₁ at most.
const FIRST_PRODUCTS: usize = 30;

/// The conditions of Proposition 1, and what follows from them, at a minimum and from there on (Zhu et al. Fig. 5).
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

/// What is known after some steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Look {
    step: usize,
    indicators: Indicators,
}

/// The looks of a dynamics from one seed's minimum, as far as it came.
struct Way {
    seed: u64,
    noise: Noise,
    looks: Vec<Look>,
}

/// The first eigenvalues at one seed's minimum, the largest first, and the largest of their residuals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Spectrum {
    values: Vec<f64>,
    residual: f64,
}

impl Spectrum {
    /// λ₁·D^(−½): what all but a few eigenvalues are below, for some d > ½ in the place of ½ (Eq. 15).
    fn limit(&self, dimensions: usize) -> f64 {
        self.values.first().copied().unwrap_or(f64::NAN) / (dimensions as f64).sqrt()
    }

    /// How many are above it.
    fn above(&self, dimensions: usize) -> usize {
        let limit = self.limit(dimensions);
        self.values.iter().filter(|&&value| value > limit).count()
    }

    /// Whether all others are below it: the last that was found is.
    fn is_ill_conditioned(&self, dimensions: usize) -> bool {
        self.values.last().is_some_and(|&value| value <= self.limit(dimensions))
    }
}

/// Something of a look, with its name.
type Value = (&'static str, fn(&Indicators) -> WithError);

/// How much of the claim is borne out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    looks: usize,
    /// Looks where more noise lies along the first eigenvector than isotropic noise has.
    aligned: usize,
    /// Looks where Tr(HΣ) is above Tr(H)·Tr(Σ)/D by more than two standard errors of their ratio.
    faster: usize,
    minima: usize,
    ill_conditioned: usize,
}

impl Count {
    fn of(ways: &[Way], spectra: &[Spectrum], dimensions: usize) -> Self {
        let mut count = Self {
            minima: spectra.len(),
            ..Self::default()
        };
        for look in ways.iter().flat_map(|way| &way.looks) {
            count.looks += 1;
            count.aligned += usize::from(look.indicators.alignment() > 1.0);
            let (ratio, error) = look.indicators.ratio();
            count.faster += usize::from(error.is_some_and(|error| ratio - 2.0 * error > 1.0));
        }
        let is_met = |spectrum: &&Spectrum| spectrum.is_ill_conditioned(dimensions);
        count.ill_conditioned = spectra.iter().filter(is_met).count();
        count
    }

    fn answer(&self) -> Answer {
        Answer::of(
            self.aligned + self.faster + self.ill_conditioned,
            2 * self.looks + self.minima,
        )
    }
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
        match self.dynamics.is_empty() {
            true => Err(Error::option("dynamics", "[]", "name one at least, such as sgd")),
            false => Ok(()),
        }
    }

    fn descents(&self) -> Option<Descents<'_>> {
        let looks = self.dynamics.len() as f64 * (self.steps.div_ceil(self.every.max(1)) + 1) as f64;
        let at_looks = looks * (self.probes + FIRST_PRODUCTS) as f64;
        let products = at_looks + ((PRODUCTS.0 + 1) * self.eigenvalues) as f64;
        Some(Descents {
            model: &self.model,
            data: &self.data,
            ways: self.ways(),
            gradients: looks + noisy::PRODUCT * products,
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
        rows
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let objective = laboratory.objective(&self.model, &self.data)?;
        let (mut ways, mut spectra) = (Vec::new(), Vec::new());
        for &seed in &recipe.seeds {
            let minimum = self.minimum.find(&objective, seed, laboratory)?.solution;
            spectra.push(self.spectrum(&objective, &minimum, seed, laboratory)?);
            for &noise in &self.dynamics {
                let looks = self.way(&objective, &minimum, noise, seed, laboratory)?;
                ways.push(Way { seed, noise, looks });
            }
        }
        let how = format!(
            "from GD at a train loss of {} · η = {} · {}",
            self.minimum.loss,
            self.walk.learning_rate,
            self.walk.sigma.name(self.walk.batch_size)
        );
        let foot = footnote(&objective, &how, &recipe.seeds);
        let dimensions = objective.graph().parameter_count();
        Ok(Outcome {
            figures: self.figures(&ways, &spectra, &recipe.seeds, &foot),
            tables: vec![along(&ways), at_minima(&spectra, &recipe.seeds, dimensions)],
            verdict: self.verdict(&ways, &spectra, dimensions),
        })
    }
}

impl NoiseIndicators {
    /// All descents of one seed, with their steps.
    fn ways(&self) -> Vec<(Method, usize)> {
        let learning_rate = self.walk.learning_rate;
        let batch_size = self.walk.batch_size;
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

    fn spectrum(
        &self,
        objective: &Objective,
        minimum: &Solution,
        seed: u64,
        laboratory: &mut Laboratory,
    ) -> Result<Spectrum> {
        let (per_value, more) = PRODUCTS;
        let effort = Effort {
            steps: per_value * self.eigenvalues + more,
            tolerance: TOLERANCE,
            seed: 1,
        };
        let (images, largest) = (self.walk.hessian_images, self.eigenvalues);
        let made = format!("the first {largest} eigenvalues, {effort:?}, {images} images");
        let what = format!("first {largest} eigenvalues (seed {seed})");
        let numbers: [&[u8]; 1] = [bytemuck::cast_slice(&minimum.parameters)];
        laboratory.remember(objective, &made, &numbers, |laboratory| {
            let mut done = 0.0;
            let mut told = |share: f64| {
                let of_all = (done + share) / (effort.steps + largest) as f64;
                done += share.floor();
                laboratory.report(&what, of_all.min(1.0)).is_ok()
            };
            let derivatives = derivatives(objective, minimum, images)?;
            let mut hessian = HessianOperator::new(&derivatives, &mut told);
            let options = LanczosOptions {
                largest,
                smallest: 0,
                copies: false,
                effort,
            };
            let found = extreme_eigenpairs(&mut hessian, options, &mut |_| true)?;
            Ok(Spectrum {
                values: found.largest.iter().map(|pair| pair.value).collect(),
                residual: found.largest.iter().map(|pair| pair.residual).fold(0.0, f64::max),
            })
        })
    }

    /// A dynamics from a minimum on, or as it went before.
    fn way(
        &self,
        objective: &Objective,
        minimum: &Solution,
        noise: Noise,
        seed: u64,
        laboratory: &mut Laboratory,
    ) -> Result<Vec<Look>> {
        let what = format!("{} (seed {seed})", noise.name());
        let made = format!(
            "{what}: {:?}, {} steps, {} probes every {}",
            self.walk, self.steps, self.probes, self.every
        );
        let (_, looks) = laboratory.point(objective, &made, &minimum.parameters, |laboratory| {
            let minibatches = Minibatches::new(objective, self.walk.batch_size, self.walk.sigma, seed)?;
            let mut walk = Walk::new(objective, minimum.clone(), noise, self.walk, seed)?;
            let mut looks = Vec::new();
            for step in 0..=self.steps {
                let share = step as f64 / self.steps as f64;
                let mut told = |_: f64| laboratory.report(&what, share).is_ok();
                if step.is_multiple_of(self.every) || step == self.steps {
                    let found = self.indicators(objective, &minibatches, walk.solution(), seed, &mut told)?;
                    // It has diverged, even if it could go on.
                    let Some(indicators) = found else {
                        break;
                    };
                    looks.push(Look { step, indicators });
                }
                if step < self.steps && !walk.step(&mut told)? {
                    break;
                }
            }
            objective.release_gradients();
            Ok((walk.solution().parameters.clone(), looks))
        })?;
        Ok(looks)
    }

    /// None where a gradient or the Hessian is not finite.
    fn indicators(
        &self,
        objective: &Objective,
        minibatches: &Minibatches,
        solution: &Solution,
        seed: u64,
        told: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Option<Indicators>> {
        let (gradient, sigma) = minibatches.covariance(solution, told)?;
        if !gradient.iter().all(|entry| entry.is_finite()) {
            return Ok(None);
        }
        let effort = Effort {
            steps: FIRST_PRODUCTS,
            tolerance: TOLERANCE,
            seed,
        };
        let derivatives = derivatives(objective, solution, self.walk.hessian_images)?;
        with_hessian(&derivatives, told, |hessian| {
            Indicators::measure(hessian, &sigma, self.probes, effort)
        })
    }

    fn figures(&self, ways: &[Way], spectra: &[Spectrum], seeds: &[u64], foot: &str) -> Vec<Figure> {
        let Some(first) = ways.first().map(|way| way.seed) else {
            return Vec::new();
        };
        let one_seed = || ways.iter().filter(move |way| way.seed == first);
        let curves = |solid: Value, dashed: Value| -> Vec<Series> {
            one_seed()
                .flat_map(|way| {
                    [(solid, false), (dashed, true)].map(|((what, value), is_dashed)| {
                        let points = way.looks.iter().map(|look| (look.step as f64, value(&look.indicators)));
                        curve_with_errors(&format!("{} {what}", way.noise.name()), points, is_dashed, true)
                    })
                })
                .collect()
        };
        let eigenvalues = spectra.iter().zip(seeds).map(|(spectrum, seed)| Series {
            label: format!("seed {seed}"),
            points: (1_u32..).map(f64::from).zip(spectrum.values.iter().copied()).collect(),
            dashed: false,
        });
        let after = format!("from the minimum of gradient descent on, seed {first}, with one standard error");
        vec![
            chart(
                "traces",
                format!("How fast SGD's noise leaves, and isotropic noise of its size: {after}"),
                (STEP_AXIS, "Tr(HΣ) and Tr(H)·Tr(Σ)/D"),
                curves(
                    ("Tr(HΣ)", Indicators::aligned),
                    ("Tr(H)·Tr(Σ)/D", Indicators::isotropic),
                ),
                Vec::new(),
                foot,
            ),
            chart(
                "projection",
                format!("Noise along the first eigenvector of the Hessian: {after}"),
                (STEP_AXIS, "projection coefficient â"),
                curves(
                    ("â", Indicators::projection),
                    ("â of isotropic noise", Indicators::isotropic_projection),
                ),
                Vec::new(),
                foot,
            ),
            chart(
                "eigenvalues",
                format!("First {} eigenvalues of the Hessian at the minimum", self.eigenvalues),
                ("number of the eigenvalue", "λ"),
                eigenvalues.collect(),
                Vec::new(),
                foot,
            ),
        ]
    }

    fn verdict(&self, ways: &[Way], spectra: &[Spectrum], dimensions: usize) -> Verdict {
        let count = Count::of(ways, spectra, dimensions);
        let all = |value: fn(&Indicators) -> f64| {
            let looks = ways.iter().flat_map(|way| &way.looks);
            let mut values: Vec<f64> = looks.map(|look| value(&look.indicators)).collect();
            values.sort_by(f64::total_cmp);
            let of = |end: Option<&f64>| end.map_or_else(|| "–".to_owned(), |&value| significant(value, 3));
            format!("{} to {}", of(values.first()), of(values.last()))
        };
        let above: Vec<String> = spectra
            .iter()
            .map(|spectrum| spectrum.above(dimensions).to_string())
            .collect();
        Verdict {
            answer: count.answer(),
            measured: format!(
                "Tr(HΣ) is above Tr(H)·Tr(Σ)/D by more than two standard errors at {} of {} looks, {} times as large; \
                 â is {}, and along the first eigenvector there is more noise than isotropic noise has at {} of {}, {} \
                 times as much. Of the first {} eigenvalues {} are above λ₁/√D, with D = {dimensions}, and the last \
                 found is below it at {} of {} minima.",
                count.faster,
                count.looks,
                all(|found| found.ratio().0),
                all(|found| found.projection().0),
                count.aligned,
                count.looks,
                all(Indicators::alignment),
                self.eigenvalues,
                above.join(", "),
                count.ill_conditioned,
                count.minima
            ),
        }
    }
}

/// A row a look.
fn along(ways: &[Way]) -> Table {
    let value = |(value, error): WithError| match error {
        Some(error) => format!("{} ± {}", significant(value, 3), significant(error, 2)),
        None => significant(value, 3),
    };
    let row = |way: &Way, look: &Look| {
        let found = &look.indicators;
        vec![
            way.seed.to_string(),
            way.noise.name().to_owned(),
            look.step.to_string(),
            value(found.aligned()),
            value(found.isotropic()),
            value(found.ratio()),
            value(found.projection()),
            significant(found.alignment(), 3),
            value((found.sharpness, Some(found.residual))),
        ]
    };
    Table {
        caption: "Along the dynamics from the minimum: estimates with their standard errors, and λ₁ with its residual"
            .to_owned(),
        header: columns(
            "seed | dynamics | step | Tr(HΣ) | Tr(H)·Tr(Σ)/D | ratio | â = u₁ᵀΣu₁·Tr(H)/(λ₁·Tr(Σ)) | u₁ᵀΣu₁·D/Tr(Σ) \
             | λ₁",
        ),
        rows: ways
            .iter()
            .flat_map(|way| way.looks.iter().map(move |look| row(way, look)))
            .collect(),
    }
}

/// A row a minimum.
fn at_minima(spectra: &[Spectrum], seeds: &[u64], dimensions: usize) -> Table {
    let row = |(spectrum, seed): (&Spectrum, &u64)| {
        let first = spectrum.values.first().copied().unwrap_or(f64::NAN);
        let last = spectrum.values.last().copied().unwrap_or(f64::NAN);
        vec![
            seed.to_string(),
            significant(first, 4),
            significant(last, 3),
            significant(last / first, 2),
            significant(spectrum.residual, 2),
            significant(spectrum.limit(dimensions), 3),
            spectrum.above(dimensions).to_string(),
        ]
    };
    let shares: Vec<f64> = spectra
        .iter()
        .filter_map(|spectrum| Some(spectrum.values.last()? / spectrum.values.first()?))
        .collect();
    Table {
        caption: format!(
            "Eigenvalues of the Hessian at the minima; the last found is {} of the first",
            error_text(over_seeds(&shares), 4)
        ),
        header: columns("seed | λ₁ | last found | its share | largest residual | λ₁/√D | found above it"),
        rows: spectra.iter().zip(seeds).map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;

    use super::*;
    use crate::curvature::SymmetricOperator;
    use crate::dynamics::covariance::GradientCovariance;

    /// diag(4, 1).
    struct Axes;

    impl SymmetricOperator for Axes {
        fn dimension(&self) -> usize {
            2
        }

        fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
            Ok(vec![4.0 * vector[0], vector[1]])
        }
    }

    /// Noise along the axes with these deviations.
    fn indicators(first: f64, second: f64) -> Indicators {
        let gradients = DMatrix::from_row_slice(2, 4, &[first, -first, 0.0, 0.0, 0.0, 0.0, second, -second]);
        let effort = Effort {
            steps: 2,
            tolerance: 1e-3,
            seed: 1,
        };
        Indicators::measure(&mut Axes, &GradientCovariance::of(&gradients), 3, effort).unwrap()
    }

    fn kind() -> NoiseIndicators {
        NoiseIndicators {
            model: "lenet".to_owned(),
            data: "builtin".to_owned(),
            minimum: Minimum {
                learning_rate: 0.1,
                loss: 0.01,
                steps: 10,
            },
            dynamics: sgd_and_gradient_descent(),
            walk: Settings::default(),
            steps: 10,
            every: 5,
            probes: 3,
            eigenvalues: 3,
        }
    }

    fn ways(deviations: [[f64; 2]; 2]) -> Vec<Way> {
        let looks = deviations.iter().enumerate();
        let looks = looks.map(|(index, &[first, second])| Look {
            step: 5 * index,
            indicators: indicators(first, second),
        });
        vec![Way {
            seed: 1,
            noise: Noise::Sgd,
            looks: looks.collect(),
        }]
    }

    fn spectrum(last: f64) -> Vec<Spectrum> {
        vec![Spectrum {
            values: vec![4.0, 3.5, last],
            residual: 2e-3,
        }]
    }

    #[test]
    fn each_part_of_the_claim_counts() {
        // λ₁/√D = 4/√2 = 2.83. Σ = diag(s²)/2; its ratio is (4s₁² + s₂²)·2/(5·(s₁² + s₂²)).
        let found = kind().verdict(&ways([[2.0, 1.0], [3.0, 1.0]]), &spectrum(2.0), 2);
        assert_eq!(found.answer, Answer::Shown, "{}", found.measured);
        for words in [
            "standard errors at 2 of 2 looks, 1.36 to 1.48 times",
            "has at 2 of 2, 1.60 to 1.80 times",
            "Of the first 3 eigenvalues 2 are above λ₁/√D, with D = 2, and the last found is below it at 1 of 1 minima",
        ] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        let found = kind().verdict(&ways([[1.0, 2.0], [3.0, 1.0]]), &spectrum(2.0), 2);
        assert_eq!(found.answer, Answer::PartlyShown);
        assert!(found.measured.contains("at 1 of 2 looks"), "{}", found.measured);
        let found = kind().verdict(&ways([[1.0, 2.0], [0.0, 1.0]]), &spectrum(3.0), 2);
        assert_eq!(found.answer, Answer::NotShown, "{}", found.measured);
    }

    #[test]
    fn figures_and_tables_have_a_point_and_a_row_for_every_look() {
        let (ways, spectra) = (ways([[2.0, 1.0], [3.0, 1.0]]), spectrum(2.0));
        let figures = kind().figures(&ways, &spectra, &[1], "foot");
        let names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
        assert_eq!(names, ["traces", "projection", "eigenvalues"]);
        let table = along(&ways);
        assert_eq!((table.rows.len(), table.rows[0].len()), (2, table.header.len()));
        // (4·2 + ½)·2/(5·2.5).
        assert!(table.rows[0][5].starts_with("1.36 ± "), "{:?}", table.rows[0]);
        let table = at_minima(&spectra, &[1], 2);
        assert_eq!(table.rows[0], columns("1 | 4.000 | 2.00 | 0.50 | 0.0020 | 2.83 | 2"));
        assert!(table.caption.ends_with("is 0.5000 of the first"));
    }

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
        assert_eq!(kind().ways().len(), 3);
        // Two dynamics with three looks each.
        let products = 6.0 * 33.0 + 4.0 * 3.0;
        assert_eq!(kind().descents().unwrap().gradients, 6.0 + noisy::PRODUCT * products);
    }
}
