//! Whether those dynamics leave a minimum that are said to, and come to flatter and better ones.

use std::cmp::Ordering;

use super::way::{Look, Way, sharpness, test_accuracy};
use super::{NoiseNetwork, is_aligned};
use crate::experiment::kinds::noise_on_networks::{error_text, over_seeds, side};
use crate::experiment::outcome::{Answer, Verdict};

/// Comparisons of a dynamics that the paper says leaves with one that it says stays.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    shown: usize,
    reversed: usize,
    all: usize,
}

impl Count {
    fn enter(&mut self, side: Option<Ordering>) {
        self.all += 1;
        match side {
            Some(Ordering::Greater) => self.shown += 1,
            Some(Ordering::Less) => self.reversed += 1,
            _ => (),
        }
    }

    fn text(&self) -> String {
        match self.reversed {
            0 => format!("{} of {}", self.shown, self.all),
            reversed => format!("{} of {} ({reversed} the other way round)", self.shown, self.all),
        }
    }
}

impl NoiseNetwork {
    /// Every dynamics that is said to leave beside every one that is said to stay.
    pub(super) fn verdict(&self, ways: &[Way]) -> Verdict {
        let (mut escapes, mut flatter, mut better) = (Count::default(), Count::default(), Count::default());
        let of = |aligned: bool| ways.iter().filter(move |way| is_aligned(way.noise) == aligned);
        for one in of(true) {
            for other in of(false) {
                for (one, other) in one.left.iter().zip(&other.left) {
                    let order = one.cmp(other);
                    escapes.enter((order != Ordering::Equal).then_some(order));
                }
                let differences = |value: fn(&Look) -> f64| -> Vec<f64> {
                    let pairs = one.values(self.steps, value).into_iter();
                    pairs
                        .zip(other.values(self.steps, value))
                        .map(|(one, other)| one - other)
                        .collect()
                };
                // Flatter is less sharp.
                flatter.enter(side(&differences(sharpness)).map(Ordering::reverse));
                better.enter(side(&differences(test_accuracy)));
            }
        }
        let ends: Vec<String> = ways
            .iter()
            .map(|way| {
                let left = way.left.iter().filter(|&&left| left).count();
                format!(
                    "{} left {left} of {}, sharpness {}, test accuracy {} %",
                    way.noise.name(),
                    way.left.len(),
                    error_text(over_seeds(&way.values(self.steps, sharpness)), 4),
                    error_text(over_seeds(&way.values(self.steps, test_accuracy)), 1)
                )
            })
            .collect();
        Verdict {
            answer: Answer::of(
                escapes.shown + flatter.shown + better.shown,
                escapes.all + flatter.all + better.all,
            ),
            measured: format!(
                "Of the pairs of a dynamics that is said to leave and one that is said to stay, the first left and the \
                 second stayed in {}; after {} steps the first is flatter in {} and has the better test accuracy in \
                 {}, by Student's intervals of 95 % over the seeds. {}.",
                escapes.text(),
                self.steps,
                flatter.text(),
                better.text(),
                ends.join("; ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kind, lost, way};
    use super::*;
    use crate::dynamics::noise::Noise;

    #[test]
    fn each_part_of_the_claim_counts() {
        let stays = || way(Noise::Gd, 0.02, 0.5, 0.1);
        let found = kind().verdict(&[way(Noise::Sgd, 1.0, 0.6, 0.05), stays()]);
        assert_eq!(found.answer, Answer::Shown, "{}", found.measured);
        for words in [
            "stayed in 3 of 3;",
            "flatter in 1 of 1 and has the better test accuracy in 1 of 1,",
            "SGD left 3 of 3, sharpness 0.0510 ± 0.0006, test accuracy 60.1 ± 0.1 %",
        ] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        // As flat as each other, within their errors, and the other one better.
        let found = kind().verdict(&[way(Noise::Sgd, 1.0, 0.4, 0.1), stays()]);
        assert_eq!(found.answer, Answer::PartlyShown);
        assert!(
            found
                .measured
                .contains("flatter in 0 of 1 and has the better test accuracy in 0 of 1 (1 the other"),
            "{}",
            found.measured
        );
        // That nothing leaves bears nothing out.
        let found = kind().verdict(&[way(Noise::Sgd, 0.02, 0.4, 0.2), stays()]);
        assert_eq!(found.answer, Answer::NotShown, "{}", found.measured);
    }

    #[test]
    fn nothing_is_shown_by_an_end_that_was_never_reached() {
        let mut leaves = way(Noise::Sgd, 1.0, 0.6, 0.05);
        leaves.records[1] = lost();
        let found = kind().verdict(&[leaves, way(Noise::Gd, 0.02, 0.5, 0.1)]);
        assert_eq!(found.answer, Answer::PartlyShown);
        assert!(found.measured.contains("stayed in 3 of 3;"), "{}", found.measured);
        assert!(found.measured.contains("flatter in 0 of 1 and"), "{}", found.measured);
    }
}
