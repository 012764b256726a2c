//! The page of an escape: curves after the switch, the minima, what the methods came to from there, and the verdict.

use super::Escape;
use super::found::{Count, Measured, Minimum, Switched};
use crate::curvature::Sgd;
use crate::experiment::descent::{Method, Record};
use crate::experiment::kinds::convexity::chart;
use crate::experiment::kinds::curves::columns;
use crate::experiment::kinds::dynamical_stability::{SHARPNESS_AXIS, curve, every, loss_axis, text};
use crate::experiment::outcome::{Figure, Series, Table, Verdict, significant};
use crate::objective::Objective;

impl Escape {
    pub(super) fn figures(&self, objective: &Objective, minima: &[Minimum], foot: &str) -> Vec<Figure> {
        let Some(first) = minima.first() else {
            return Vec::new();
        };
        let curves = |points: fn(&Record) -> &Vec<(f64, f64)>| -> Vec<Series> {
            let each = self.switches.iter().zip(&first.switched);
            each.map(|(method, switched)| curve(method.name(), &switched.record, points))
                .collect()
        };
        let after = format!("After {}, seed {}", self.start.name(), first.seed);
        let loss_axis = loss_axis(objective);
        [
            (
                "losses",
                "train loss",
                loss_axis.as_str(),
                curves(|record| &record.losses),
            ),
            (
                "sharpness",
                "sharpness",
                SHARPNESS_AXIS,
                curves(|record| &record.sharpness),
            ),
            (
                "distances",
                "distance travelled",
                "distance |w − w₀|",
                curves(|record| &record.distances),
            ),
        ]
        .into_iter()
        .map(|(name, title, axis, series)| {
            let axes = ("step after the switch", axis);
            chart(name, format!("{after}: {title}"), axes, series, Vec::new(), foot)
        })
        .collect()
    }

    /// The minima, as in the paper's Table 3.
    pub(super) fn starts(&self, minima: &[Minimum]) -> Table {
        let row = |minimum: &Minimum| {
            vec![
                minimum.seed.to_string(),
                minimum.steps.to_string(),
                significant(minimum.loss, 3),
                significant(minimum.measured.sharpness.value, 4),
                significant(minimum.measured.non_uniformity.value, 4),
                format!("{:.1}", 100.0 * minimum.measured.accuracy),
            ]
        };
        Table {
            caption: format!("Minima that {} finds", self.start.name()),
            header: columns("seed | steps | train loss | sharpness a | non-uniformity s | test accuracy (%)"),
            rows: minima.iter().map(row).collect(),
        }
    }

    pub(super) fn table(&self, minima: &[Minimum]) -> Table {
        let row = |index: usize, method: Method| {
            let all: Vec<&Switched> = minima.iter().map(|minimum| &minimum.switched[index]).collect();
            let count = |is: fn(&Switched) -> bool| {
                let counted = all.iter().filter(|switched| is(switched)).count();
                format!("{counted} of {}", all.len())
            };
            let ends = |value: fn(&Measured) -> f64| -> Vec<f64> {
                all.iter()
                    .filter_map(|switched| switched.end.as_ref().map(value))
                    .collect()
            };
            let records = |value: fn(&Record) -> f64| -> Vec<f64> {
                all.iter().map(|switched| value(&switched.record)).collect()
            };
            let bound = |bound: Option<f64>| match bound {
                Some(bound) if bound.is_finite() => significant(bound, 3),
                _ => "none".to_owned(),
            };
            let bounds = all.first().map(|switched| switched.bounds);
            // Where one has diverged, so has the largest loss.
            let highest = records(|record| record.highest).into_iter().fold(0.0, f64::max);
            vec![
                method.name(),
                bound(bounds.map(Sgd::sharpness_bound)),
                bound(bounds.map(Sgd::non_uniformity_bound)),
                count(|switched| switched.leaves),
                count(|switched| switched.left),
                count(|switched| switched.end.is_none()),
                significant(highest, 2),
                text(&ends(|end| end.sharpness.value), 2),
                text(&ends(|end| end.non_uniformity.value), 2),
                text(&records(Record::distance), 2),
                text(&ends(|end| 100.0 * end.accuracy), 1),
            ]
        };
        let switches = self.switches.iter().enumerate();
        Table {
            caption: format!(
                "What goes on for {} steps: a minimum is left where the train loss has been {} times as large{}",
                self.steps,
                self.burst,
                self.between_looks()
            ),
            header: columns(
                "method | 2/η | bound of s | minimum beyond a bound | left | diverged | largest train loss | sharpness \
                 after | non-uniformity after | distance | test accuracy after (%)",
            ),
            rows: switches.map(|(index, &method)| row(index, method)).collect(),
        }
    }

    /// What is said of the steps of SGD that nobody looks at, where there are any.
    fn between_looks(&self) -> String {
        let has_sgd = self.switches.iter().any(|method| matches!(method, Method::Sgd { .. }));
        match every(self.steps) {
            every if has_sgd && every > 1 => format!(
                "; a step of SGD sees a batch alone, and the loss over all images is looked at every {every} steps of \
                 it, so that a burst between two looks is not seen"
            ),
            _ => String::new(),
        }
    }

    pub(super) fn verdict(&self, minima: &[Minimum], none: &[String]) -> Verdict {
        let count = Count::of(minima, none.len(), self.tolerance);
        let of = |value: fn(&Measured) -> f64| -> Vec<f64> { minima.iter().map(|one| value(&one.measured)).collect() };
        let one = |index: usize, method: Method| {
            let all = minima.iter().map(|minimum| &minimum.switched[index]);
            let left = all.clone().filter(|switched| switched.left).count();
            let ends = all.filter_map(|switched| Some(switched.end?.sharpness.value));
            let after: Vec<f64> = ends.collect();
            format!(
                "{}: left {left} of {}, sharpness after {}",
                method.name(),
                minima.len(),
                text(&after, 2)
            )
        };
        let switches = self.switches.iter().enumerate();
        let each: Vec<String> = switches.map(|(index, &method)| one(index, method)).collect();
        Verdict {
            answer: count.answer(),
            measured: format!(
                "{}The minima have sharpness {} and non-uniformity {}. Of {} switches {} went as the bounds say: \
                 away where the minimum is beyond one, and otherwise not. Of {} that left, {} settled at a flatter \
                 place within their bounds (up to {:.0} % beyond). {}.",
                none.concat(),
                text(&of(|measured| measured.sharpness.value), 2),
                text(&of(|measured| measured.non_uniformity.value), 2),
                count.switches,
                count.predicted,
                count.left,
                count.settled,
                100.0 * self.tolerance,
                each.join("; "),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kind, measured, minimum, switched};
    use super::*;
    use crate::experiment::outcome::Answer;

    #[test]
    fn a_page_has_every_method_and_the_first_seeds_curves() {
        let all = || {
            let stays = switched(0.2, (false, false), Some(measured(8.1, 30.0)));
            let lost = switched(0.5, (true, true), None);
            [minimum(1, vec![stays, lost])]
        };
        let found = kind().verdict(&all(), &[]);
        for words in [
            "sharpness 8.00 and non-uniformity 30.00",
            "Of 2 switches 2 went",
            "Of 1 that left, 0 settled",
            "GD, η = 0.2: left 0 of 1, sharpness after 8.10; GD, η = 0.5: left 1 of 1, sharpness after –.",
        ] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        let rows = kind().table(&all()).rows;
        assert_eq!(
            rows[0][..6],
            ["GD, η = 0.2", "10.0", "none", "0 of 1", "0 of 1", "0 of 1"]
        );
        assert_eq!(rows[1][3..8], ["1 of 1", "1 of 1", "1 of 1", "0.10", "–"]);
        assert_eq!(kind().starts(&all()).rows[0][..3], ["1", "70", "0.000100"]);
        assert!(kind().table(&all()).caption.ends_with("10 times as large"));
        let none = kind().verdict(&[], &["The start does not arrive. ".to_owned()]);
        assert!(none.answer == Answer::NotShown && none.measured.starts_with("The start does not arrive. The minima"));
    }
    #[test]
    fn what_a_burst_of_sgd_can_be_missed_by_is_said() {
        let sgd = Method::Sgd {
            learning_rate: 0.2,
            batch_size: 4,
        };
        let caption = |method: Method, steps: usize| {
            let kind = Escape {
                switches: vec![method],
                steps,
                ..kind()
            };
            kind.table(&[]).caption
        };
        // Of 1500 steps 500 are recorded, and of up to 500 all.
        let caught = caption(sgd, 1500);
        assert!(
            caught.contains("every 3 steps of it") && caught.contains("not seen"),
            "{caught}"
        );
        for caught in [caption(sgd, 500), caption(kind().start, 1500)] {
            assert!(caught.ends_with("10 times as large"), "{caught}");
        }
    }
}
