//! The page of sharpness along training: curves by step under their bounds, a row a descent, and the verdict.

use super::SharpnessAlongTraining;
use super::found::{CLOSE, Count, Family, Found};
use crate::experiment::kinds::convexity::chart;
use crate::experiment::kinds::curves::columns;
use crate::experiment::kinds::dynamical_stability::{NON_UNIFORMITY_AXIS, SHARPNESS_AXIS, STEP_AXIS, curve, text};
use crate::experiment::outcome::{Figure, Series, Table, Verdict, significant};

impl SharpnessAlongTraining {
    /// The curves of the first seed.
    pub(super) fn figures(&self, loss_axis: &str, families: &[Family], foot: &str) -> Vec<Figure> {
        let Some(first) = families.first() else {
            return Vec::new();
        };
        let line = |label: String, points: Vec<(f64, f64)>| Series {
            label,
            points,
            dashed: false,
        };
        let level = |label: String, value: f64, found: &Found| Series {
            label,
            points: vec![(0.0, value), (found.record.steps as f64, value)],
            dashed: true,
        };
        let mut sharpness: Vec<Series> = first
            .gradient_descents()
            .map(|found| curve(found.method.name(), &found.record, |record| &record.sharpness))
            .collect();
        sharpness.extend(first.gradient_descents().map(|found| {
            let bound = found.bounds.sharpness_bound();
            level(format!("2/η = {}", significant(bound, 2)), bound, found)
        }));
        let mut non_uniformity: Vec<Series> = first
            .sgd()
            .map(|found| line(found.method.name(), found.non_uniformities()))
            .collect();
        non_uniformity.extend(first.sgd().map(|found| {
            let bound = found.bounds.non_uniformity_bound();
            level(format!("bound {}", significant(bound, 3)), bound, found)
        }));
        let shares = first
            .found
            .iter()
            .map(|found| line(found.method.name(), found.shares()));
        let losses = first.found.iter().map(|found| {
            let name = format!("{}: {}", found.method.name(), found.record.end.name());
            curve(name, &found.record, |record| &record.losses)
        });
        let seed = first.seed;
        [
            (
                "sharpness",
                "Sharpness along gradient descent",
                SHARPNESS_AXIS,
                sharpness,
            ),
            (
                "non-uniformity",
                "Non-uniformity along SGD",
                NON_UNIFORMITY_AXIS,
                non_uniformity,
            ),
            (
                "shares",
                "Sharpness as a share of 2/η",
                "a·η/2, which is 1 at the bound",
                shares.collect(),
            ),
            ("losses", "Train loss", loss_axis, losses.collect()),
        ]
        .into_iter()
        .map(|(name, title, axis, series)| {
            let title = format!("{title}, seed {seed}");
            chart(name, title, (STEP_AXIS, axis), series, Vec::new(), foot)
        })
        .collect()
    }

    pub(super) fn table(&self, families: &[Family]) -> Table {
        let share = |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{share:.3}"));
        let row = |seed: u64, found: &Found| {
            let (bounds, end) = (found.bounds, found.end.as_ref());
            let bound = Some(bounds.non_uniformity_bound()).filter(|bound| bound.is_finite());
            let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| significant(value, 4));
            vec![
                seed.to_string(),
                found.method.name(),
                format!("{} after {} steps", found.record.end.name(), found.record.steps),
                number(end.map(|end| end.sharpness.value)),
                end.map_or("–".to_owned(), |end| significant(end.sharpness.residual, 1)),
                significant(bounds.sharpness_bound(), 3),
                share(found.first_share()),
                share(found.highest_share()),
                share(found.last_share()),
                number(found.non_uniformity()),
                bound.map_or("none".to_owned(), |bound| significant(bound, 4)),
                share(found.non_uniformity_share()),
            ]
        };
        Table {
            caption: format!(
                "From the initial weights to a train loss of {}; a dash where it does not arrive in {} steps, or where \
                 it is not measured or the search has not converged. The bound of s is √(B(n − 1)/(n − B))/η",
                self.loss, self.steps
            ),
            header: columns(
                "seed | method | end | sharpness a | residual of a | 2/η | a·η/2 at the start | highest on the way | \
                 at the end | non-uniformity s | bound of s | s over its bound",
            ),
            rows: families
                .iter()
                .flat_map(|family| family.found.iter().map(|found| row(family.seed, found)))
                .collect(),
        }
    }

    pub(super) fn verdict(&self, families: &[Family]) -> Verdict {
        let count = Count::of(families, self.tolerance);
        let percent = 100.0 * self.tolerance;
        let descents = |share: fn(&Found) -> Option<f64>| -> Vec<f64> {
            let all = families.iter().flat_map(Family::gradient_descents);
            all.filter_map(share).collect()
        };
        let shares: Vec<String> = self
            .batch_sizes
            .iter()
            .enumerate()
            .map(|(index, size)| {
                let of = |family: &Family| family.sgd().nth(index)?.non_uniformity_share();
                let shares: Vec<f64> = families.iter().filter_map(of).collect();
                format!("{} for B = {size}", text(&shares, 2))
            })
            .collect();
        let ends: Vec<f64> = families
            .iter()
            .flat_map(Family::sgd)
            .filter_map(Found::last_share)
            .collect();
        let flat = ends.iter().filter(|share| **share <= 1.0 + self.tolerance).count();
        Verdict {
            answer: count.answer(),
            measured: format!(
                "Of {} gradient descents {} arrive, and {} end near 2/η, at {:.0} % of it or more and at most \
                 {percent:.0} % above it: a·η/2 is {} at the start, {} at its highest, and {} at the end. Of {} \
                 descents by SGD {} arrive, the non-uniformity of {} is known, and {} end with one within its bound, \
                 within {percent:.0} %: as a share of it {}. Of {} pairs of neighbouring batch sizes the smaller has \
                 the smaller non-uniformity in {} (what does not arrive, or whose search has not converged, counts as \
                 not borne out). No part of the claim is that gradient descent is higher near 2/η than at its start, \
                 as {} are, nor that the sharpness of SGD ends within the same share of 2/η, as in {flat} of {}. The \
                 bound of the non-uniformity follows from a condition that is sufficient for stability: SGD can be \
                 stable beyond it.",
                count.descents,
                count.arrived,
                count.near,
                100.0 * (1.0 - CLOSE),
                text(&descents(Found::first_share), 2),
                text(&descents(Found::highest_share), 2),
                text(&descents(Found::last_share), 3),
                count.bounded,
                count.bounded_arrived,
                count.known,
                count.within_non_uniformity,
                shares.join(", "),
                count.pairs,
                count.ordered,
                count.climbed,
                ends.len(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{descent, family, kind, sgd};
    use super::*;
    use crate::experiment::outcome::{Answer, Content};

    /// The second seed has nothing measured of SGD on the way.
    fn families() -> [Family; 2] {
        let all = |spreads: [f64; 2]| {
            vec![
                descent(0.5, [0.5, 5.0, 4.0]),
                descent(1.0, [0.5, 1.5, 1.9]),
                sgd(1, Some(spreads[0])),
                sgd(25, Some(spreads[1])),
            ]
        };
        let mut second = all([2.2, 12.0]);
        for found in &mut second {
            found.record.non_uniformity.clear();
        }
        let first = family(all([1.8, 11.0]));
        let second = Family { seed: 2, found: second };
        [first, second]
    }

    #[test]
    fn a_page_has_the_first_seeds_curves_under_their_bounds_and_a_row_a_descent() {
        let figures = kind().figures("train loss", &families(), "");
        let names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
        assert_eq!(names, ["sharpness", "non-uniformity", "shares", "losses"]);
        let series = |index: usize| match &figures[index].content {
            Content::Chart { series, .. } => series.clone(),
            _ => panic!("a chart"),
        };
        let labels: Vec<String> = series(0).into_iter().map(|one| one.label).collect();
        assert_eq!(labels, ["GD, η = 0.5", "GD, η = 1", "2/η = 4.0", "2/η = 2.0"]);
        assert_eq!(series(0)[2].points, [(0.0, 4.0), (80.0, 4.0)]);
        assert!(series(0)[2].dashed && !series(0)[0].dashed);
        let spreads = series(1);
        assert_eq!(spreads[0].points, [(0.0, 1.0), (60.0, 3.0), (80.0, 1.8)]);
        assert_eq!((spreads.len(), spreads[2].label.as_str()), (4, "bound 2.00"));
        assert_eq!(series(2)[0].points, [(0.0, 0.125), (50.0, 1.25)]);
        assert_eq!((series(2).len(), series(3).len()), (4, 4));
        let rows = kind().table(&families()).rows;
        assert_eq!(rows.len(), 8);
        assert_eq!(rows[0][1..4], ["GD, η = 0.5", "arrived after 80 steps", "4.000"]);
        assert_eq!(rows[0][6..], ["0.125", "1.250", "1.000", "–", "none", "–"]);
        assert_eq!(rows[6][1], "SGD, η = 0.5, B = 1");
        assert_eq!(rows[6][9..], ["2.200", "2.000", "1.100"]);
        let table = kind().table(&families());
        assert!(table.rows.iter().all(|row| row.len() == table.header.len()));
        assert!(kind().figures("train loss", &[], "").is_empty());
    }

    #[test]
    fn a_verdict_has_its_numbers() {
        let found = kind().verdict(&families());
        assert_eq!(found.answer, Answer::PartlyShown);
        for words in [
            "Of 4 gradient descents 4 arrive, and 4 end near 2/η, at 90 % of it or more and at most 5 % above it",
            "at the start, 1.00 ± 0.29 at its highest, and 0.975 ± 0.029 at the end",
            "Of 4 descents by SGD 4 arrive, the non-uniformity of 4 is known, and 3 end",
            "as a share of it 1.00 ± 0.14 for B = 1, 1.00 ± 0.06 for B = 25",
            "Of 2 pairs",
            "non-uniformity in 2 (what",
            "as 4 are, nor",
            "of 2/η, as in 4 of 4",
        ] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        let none = kind().verdict(&[]);
        assert!(none.answer == Answer::NotShown && none.measured.contains("– at the start"));
    }
}
