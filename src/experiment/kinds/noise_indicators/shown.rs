//! Curves and tables of what was seen along the dynamics.

use super::way::{Lengths, Look, Way};
use super::{Found, NoiseIndicators};
use crate::dynamics::indicators::{Indicators, WithError};
use crate::dynamics::norms::Norms;
use crate::experiment::kinds::convexity::chart;
use crate::experiment::kinds::curves::columns;
use crate::experiment::kinds::dynamical_stability::STEP_AXIS;
use crate::experiment::kinds::noise_on_networks::curve_with_errors;
use crate::experiment::outcome::{Figure, Series, Table, significant};

/// The length of the gradient, on figures.
const GRADIENT: &str = "|gradient|";

/// Something of a look, with its name.
type Value = (&'static str, fn(&Indicators) -> WithError);

impl NoiseIndicators {
    /// Of the first seed: indicators and lengths by step, and the eigenvalues of all. There is a foot for what goes on
    /// from the minima, and one for what starts from initial weights.
    pub(super) fn figures(&self, found: &Found, seeds: &[u64], [foot, foot_of_start]: &[String; 2]) -> Vec<Figure> {
        let Some(first) = found.ways.first().map(|way| way.seed) else {
            return Vec::new();
        };
        let one_seed = || found.ways.iter().filter(move |way| way.seed == first);
        let curves = |solid: Value, dashed: Value| -> Vec<Series> {
            one_seed()
                .flat_map(|way| {
                    [(solid, false), (dashed, true)].map(|((what, value), is_dashed)| {
                        let looks = way.record.looks.iter();
                        let points = looks.map(|look| (look.lengths.step as f64, value(&look.indicators)));
                        curve_with_errors(&format!("{} {what}", way.noise.name()), points, is_dashed, true)
                    })
                })
                .collect()
        };
        let eigenvalues = found.spectra.iter().zip(seeds).map(|(spectrum, seed)| Series {
            label: format!("seed {seed}"),
            points: (1_u32..).map(f64::from).zip(spectrum.values.iter().copied()).collect(),
            dashed: false,
        });
        // The font of figures has no such bars, and no ∇.
        let symbol = Norms::symbol(self.walk.sigma).replace('‖', "|");
        let length_axis = format!("{symbol} and {GRADIENT}");
        let lengths = |way: &Way<Look>| {
            let looks = way.record.looks.iter();
            length_curves(way.noise.name(), &symbol, looks.map(|look| look.lengths))
        };
        let after = format!("from the minimum of gradient descent on, seed {first}, with one standard error");
        let mut figures = vec![
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
                "norms",
                format!("Norms of SGD's noise and of the gradient: {after}"),
                (STEP_AXIS, length_axis.as_str()),
                one_seed().flat_map(lengths).collect(),
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
        ];
        let training = found.trainings.iter().find(|way| way.seed == first);
        figures.extend(training.map(|way| {
            chart(
                "norms-from-start",
                format!("Norms of SGD's noise and of the gradient: from initial weights on, seed {first}"),
                (STEP_AXIS, length_axis.as_str()),
                length_curves(way.noise.name(), &symbol, way.record.looks.iter().copied()).to_vec(),
                Vec::new(),
                foot_of_start,
            )
        }));
        figures
    }
}

/// The length of the noise by step, and dashed that of the gradient.
fn length_curves(name: &str, symbol: &str, lengths: impl Iterator<Item = Lengths> + Clone) -> [Series; 2] {
    let noise = lengths.clone().map(|found| (found.step as f64, found.norms.noise()));
    let gradient = lengths.map(|found| (found.step as f64, (found.norms.gradient, None)));
    [
        curve_with_errors(&format!("{name} {symbol}"), noise, false, true),
        curve_with_errors(&format!("{name} {GRADIENT}"), gradient, true, true),
    ]
}

/// A value with its standard error, where it has one.
fn text((value, error): WithError) -> String {
    match error {
        Some(error) => format!("{} ± {}", significant(value, 3), significant(error, 2)),
        None => significant(value, 3),
    }
}

/// ‖∇L‖, E‖ε‖ and √TrΣ.
fn length_cells(norms: &Norms) -> [String; 3] {
    let expected = norms.expected.map(|found| text((found.mean, found.standard_error)));
    [
        significant(norms.gradient, 3),
        expected.unwrap_or_else(|| "–".to_owned()),
        significant(norms.root_mean_square, 3),
    ]
}

/// A row a look: seed, dynamics, step and `width` cells. Where a dynamics diverged, a row says after how many steps.
fn rows<L>(ways: &[Way<L>], width: usize, cells: impl Fn(&L) -> (usize, Vec<String>)) -> Vec<Vec<String>> {
    let row = |way: &Way<L>, step: String, cells: Vec<String>| {
        let mut row = vec![way.seed.to_string(), way.noise.name().to_owned(), step];
        row.extend(cells);
        row
    };
    let mut rows = Vec::new();
    for way in ways {
        for look in &way.record.looks {
            let (step, cells) = cells(look);
            rows.push(row(way, step.to_string(), cells));
        }
        if let Some(divergence) = way.divergence() {
            rows.push(row(way, divergence, vec!["–".to_owned(); width]));
        }
    }
    rows
}

/// A row a look from the minima on.
pub fn along(ways: &[Way<Look>]) -> Table {
    let header = columns(
        "seed | dynamics | step | Tr(HΣ) | Tr(H)·Tr(Σ)/D | ratio | â = u₁ᵀΣu₁·Tr(H)/(λ₁·Tr(Σ)) | u₁ᵀΣu₁·D/Tr(Σ) | λ₁ \
         | ‖∇L‖ | E‖ε‖ | √Tr(Σ)",
    );
    let row = |look: &Look| {
        let found = &look.indicators;
        let mut cells = vec![
            text(found.aligned()),
            text(found.isotropic()),
            text(found.ratio()),
            text(found.projection()),
            significant(found.alignment(), 3),
            text((found.sharpness, Some(found.residual))),
        ];
        cells.extend(length_cells(&look.lengths.norms));
        (look.lengths.step, cells)
    };
    Table {
        caption: "Along the dynamics from the minimum: estimates with their standard errors, and λ₁ with its residual"
            .to_owned(),
        rows: rows(ways, header.len() - 3, row),
        header,
    }
}

/// A row a look from initial weights on.
pub fn trained(trainings: &[Way<Lengths>]) -> Table {
    let header = columns("seed | dynamics | step | ‖∇L‖ | E‖ε‖ | √Tr(Σ) | noise over gradient");
    let row = |found: &Lengths| {
        let mut cells = length_cells(&found.norms).to_vec();
        cells.push(significant(found.norms.ratio(), 3));
        (found.step, cells)
    };
    Table {
        caption: "Along SGD from initial weights: the gradient, the noise of a batch with its standard error over the \
                  batches, and the root of its expected square"
            .to_owned(),
        rows: rows(trainings, header.len() - 3, row),
        header,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, kind};
    use super::*;

    fn names(kind: &NoiseIndicators, found: &Found) -> Vec<String> {
        let feet = ["foot", "other foot"].map(str::to_owned);
        let figures = kind.figures(found, &[1], &feet);
        figures.into_iter().map(|figure| figure.name).collect()
    }

    #[test]
    fn figures_are_of_what_was_looked_at() {
        let mut found = found([[2.0, 1.0], [3.0, 1.0]], 0.125, 2.0);
        let all = ["traces", "projection", "norms", "eigenvalues", "norms-from-start"];
        assert_eq!(names(&kind(), &found), all);
        found.trainings.clear();
        assert_eq!(names(&kind(), &found), all[..4]);
    }

    #[test]
    fn the_noise_has_bars_and_the_gradient_is_dashed() {
        let found = found([[2.0, 1.0], [3.0, 1.0]], 0.125, 2.0);
        let looks = found.trainings[0].record.looks.iter().copied();
        let [noise, gradient] = length_curves("SGD", "E|ε|", looks);
        assert!(noise.label == "SGD E|ε|" && !noise.dashed && noise.points.len() == 3 * 4);
        assert!(gradient.label == "SGD |gradient|" && gradient.dashed);
        assert_eq!(gradient.points, [(0.0, 0.125), (5.0, 0.125), (10.0, 0.125)]);
        assert!((noise.points[0].1 - 2.0).abs() < 1e-12, "{:?}", noise.points[0]);
    }

    #[test]
    fn tables_have_a_row_for_every_look_and_one_for_a_divergence() {
        let mut found = found([[2.0, 1.0], [3.0, 1.0]], 0.125, 2.0);
        let table = along(&found.ways);
        assert_eq!((table.rows.len(), table.rows[0].len()), (2, table.header.len()));
        // (4·2 + ½)·3/(5·2.5).
        assert!(table.rows[0][5].starts_with("2.04 ± "), "{:?}", table.rows[0]);
        // Lengths 2 and 1, twice each: 1.5 ± √(4·¼/(4·3)), and √2.5.
        assert_eq!(table.rows[0][9..], ["0.125", "1.50 ± 0.29", "1.58"]);
        let table = trained(&found.trainings);
        assert_eq!((table.rows.len(), table.rows[0].len()), (3, table.header.len()));
        assert_eq!(table.rows[2][2..], ["10", "0.125", "2.00 ± 0.58", "2.24", "16.0"]);

        found.ways[0].record.looks.pop();
        found.ways[0].record.diverged = Some(3);
        let table = along(&found.ways);
        assert_eq!(table.rows[1][..4], ["1", "SGD", "diverged after 3 steps", "–"]);
        assert_eq!((table.rows.len(), table.rows[1].len()), (2, table.header.len()));
    }
}
