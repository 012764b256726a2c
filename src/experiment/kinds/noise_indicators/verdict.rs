//! How much of the claim is borne out by what was seen.

use super::spectrum::Spectrum;
use super::{Found, NoiseIndicators};
use crate::dynamics::indicators::Indicators;
use crate::dynamics::minibatches::Sigma;
use crate::dynamics::noise::Noise;
use crate::dynamics::norms::Norms;
use crate::experiment::kinds::noise_on_networks::looks;
use crate::experiment::outcome::{Answer, Verdict, significant};

/// How much of the claim is borne out. Looks are those that were to be made: what diverged before shows nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    looks: usize,
    /// Looks where more noise lies along the first eigenvector than isotropic noise has.
    aligned: usize,
    /// Looks where Tr(HΣ) is above Tr(H)·Tr(Σ)/D by more than two standard errors of their ratio.
    faster: usize,
    minima: usize,
    ill_conditioned: usize,
    /// Looks late in SGD: all from the minimum on, and those in the second half of the way from initial weights.
    late: usize,
    /// Those of them where the noise is longer than the gradient by more than two standard errors.
    dominated: usize,
}

impl Count {
    fn answer(&self) -> Answer {
        Answer::of(
            self.aligned + self.faster + self.ill_conditioned + self.dominated,
            2 * self.looks + self.minima + self.late,
        )
    }
}

impl NoiseIndicators {
    fn count(&self, found: &Found) -> Count {
        let is_met = |spectrum: &&Spectrum| spectrum.is_ill_conditioned(found.dimensions);
        let a_way = looks(self.steps, self.every).len();
        let all_looks = self.from_start.map(|start| looks(start.steps, start.every));
        let late_looks = all_looks.map_or(0, |looks| looks.iter().filter(|&&step| self.is_late(step)).count());
        let from_minimum = found.ways.iter().filter(|way| way.noise == Noise::Sgd).count();
        let late = self.late(found);
        let mut count = Count {
            looks: a_way * found.ways.len(),
            minima: found.spectra.len(),
            ill_conditioned: found.spectra.iter().filter(is_met).count(),
            late: a_way * from_minimum + late_looks * found.trainings.len(),
            dominated: late.iter().filter(|norms| norms.is_dominated()).count(),
            ..Count::default()
        };
        for look in found.ways.iter().flat_map(|way| &way.record.looks) {
            count.aligned += usize::from(look.indicators.alignment() > 1.0);
            let (ratio, error) = look.indicators.ratio();
            count.faster += usize::from(error.is_some_and(|error| ratio - 2.0 * error > 1.0));
        }
        count
    }

    /// Whether a step of SGD from initial weights is in the second half.
    fn is_late(&self, step: usize) -> bool {
        self.from_start.is_some_and(|start| 2 * step >= start.steps)
    }

    /// Lengths late in SGD, as far as it came.
    fn late(&self, found: &Found) -> Vec<Norms> {
        let from_minimum = found.ways.iter().filter(|way| way.noise == Noise::Sgd);
        let from_minimum = from_minimum.flat_map(|way| &way.record.looks);
        let trained = found.trainings.iter().flat_map(|way| &way.record.looks);
        let trained = trained.filter(|found| self.is_late(found.step));
        from_minimum
            .map(|look| look.lengths.norms)
            .chain(trained.map(|found| found.norms))
            .collect()
    }

    /// The parts of the claim, one after another.
    pub(super) fn verdict(&self, found: &Found) -> Verdict {
        let count = self.count(found);
        let all = |value: fn(&Indicators) -> f64| {
            let looks = found.ways.iter().flat_map(|way| &way.record.looks);
            range(looks.map(|look| value(&look.indicators)))
        };
        let above: Vec<String> = found
            .spectra
            .iter()
            .map(|spectrum| spectrum.above(found.dimensions).to_string())
            .collect();
        let mut measured = format!(
            "Tr(HΣ) is above Tr(H)·Tr(Σ)/D by more than two standard errors at {} of {} looks, {} times as large; â is \
             {}, and along the first eigenvector there is more noise than isotropic noise has at {} of {}, {} times as \
             much. Of the first {} eigenvalues {} are above λ₁/√D, with D = {}, and the last found is below it at {} \
             of {} minima.",
            count.faster,
            count.looks,
            all(|found| found.ratio().0),
            all(|found| found.projection().0),
            count.aligned,
            count.looks,
            all(Indicators::alignment),
            self.eigenvalues,
            above.join(", "),
            found.dimensions,
            count.ill_conditioned,
            count.minima
        );
        if count.late > 0 {
            let by = match self.walk.sigma {
                Sigma::Batches => " by more than two standard errors",
                Sigma::Images => "",
            };
            let from_minimum = found.ways.iter().any(|way| way.noise == Noise::Sgd);
            let from_minimum = from_minimum.then_some("from the minimum on");
            let trained = self
                .from_start
                .map(|_| "in the second half of its way from initial weights");
            let places: Vec<&str> = from_minimum.into_iter().chain(trained).collect();
            measured += &format!(
                " SGD's noise is longer than the gradient, {} above ‖∇L‖{by}, at {} of {} looks {}, {} times as long.",
                Norms::symbol(self.walk.sigma),
                count.dominated,
                count.late,
                places.join(" and "),
                range(self.late(found).iter().map(Norms::ratio))
            );
        }
        for (name, seed, divergence) in divergences(found) {
            measured += &format!(" {name} (seed {seed}) {divergence}.");
        }
        Verdict {
            answer: count.answer(),
            measured,
        }
    }
}

/// Names and seeds of what diverged, and when.
fn divergences(found: &Found) -> Vec<(String, u64, String)> {
    let from_minimum = found.ways.iter().filter_map(|way| {
        let name = format!("{} from the minimum", way.noise.name());
        Some((name, way.seed, way.divergence()?))
    });
    let trained = found.trainings.iter().filter_map(|way| {
        let name = format!("{} from initial weights", way.noise.name());
        Some((name, way.seed, way.divergence()?))
    });
    from_minimum.chain(trained).collect()
}

/// The smallest and the largest of some values.
fn range(values: impl Iterator<Item = f64>) -> String {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let of = |end: Option<&f64>| end.map_or_else(|| "–".to_owned(), |&value| significant(value, 3));
    format!("{} to {}", of(values.first()), of(values.last()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, kind};
    use super::*;

    #[test]
    fn each_part_of_the_claim_counts() {
        // λ₁/√D = 4/√2 = 2.83. Σ = diag(s²)/2; its ratio is (4s₁² + s₂²)·2/(5·(s₁² + s₂²)), and E‖ε‖ = (s₁ + s₂)/2.
        let told = kind().verdict(&found([[2.0, 1.0], [3.0, 1.0]], 0.125, 2.0));
        assert_eq!(told.answer, Answer::Shown, "{}", told.measured);
        for words in [
            "standard errors at 2 of 2 looks, 1.36 to 1.48 times",
            "has at 2 of 2, 1.60 to 1.80 times",
            "Of the first 3 eigenvalues 2 are above λ₁/√D, with D = 2, and the last found is below it at 1 of 1 minima",
            "SGD's noise is longer than the gradient, E‖ε‖ above ‖∇L‖ by more than two standard errors, at 4 of 4 \
             looks from the minimum on and in the second half of its way from initial weights, 12.0 to 16.0 times",
        ] {
            assert!(told.measured.contains(words), "{words} in {}", told.measured);
        }
        let told = kind().verdict(&found([[1.0, 2.0], [3.0, 1.0]], 0.125, 2.0));
        assert_eq!(told.answer, Answer::PartlyShown);
        assert!(told.measured.contains("at 1 of 2 looks"), "{}", told.measured);
        let told = kind().verdict(&found([[1.0, 2.0], [0.0, 1.0]], 10.0, 3.0));
        assert_eq!(told.answer, Answer::NotShown, "{}", told.measured);
        assert!(told.measured.contains("at 0 of 4 looks"), "{}", told.measured);
    }

    #[test]
    fn a_long_gradient_counts_late_in_sgd_alone() {
        // The noise of the last looks is 2 long with an error of 1/√3: two of them leave 0.85.
        let deviations = [[2.0, 1.0], [3.0, 1.0]];
        let dominated = |found: &Found| {
            let count = kind().count(found);
            (count.dominated, count.late)
        };
        assert_eq!(dominated(&found(deviations, 0.8, 2.0)), (4, 4));
        assert_eq!(dominated(&found(deviations, 0.9, 2.0)), (1, 4));
        // Before the second half nothing is asked.
        let mut early = found(deviations, 0.125, 2.0);
        early.trainings[0].record.looks[0].norms.gradient = 100.0;
        assert_eq!(dominated(&early), (4, 4));
        early.trainings[0].record.looks[1].norms.gradient = 100.0;
        assert_eq!(dominated(&early), (3, 4));
        // Nor of gradient descent, which has no noise.
        let mut without = found(deviations, 0.125, 2.0);
        without.ways[0].noise = Noise::Gd;
        without.trainings.clear();
        assert_eq!(dominated(&without), (0, 0));
        let told = kind().verdict(&without);
        assert_eq!(told.answer, Answer::Shown);
        assert!(!told.measured.contains("gradient"), "{}", told.measured);
    }

    #[test]
    fn what_diverged_is_told_and_shows_nothing_after() {
        let mut lost = found([[2.0, 1.0], [3.0, 1.0]], 0.125, 2.0);
        lost.ways[0].record.looks.pop();
        lost.ways[0].record.diverged = Some(3);
        lost.trainings[0].record.looks.clear();
        lost.trainings[0].record.diverged = Some(0);
        let told = kind().verdict(&lost);
        assert_eq!(told.answer, Answer::PartlyShown);
        for words in [
            "standard errors at 1 of 2 looks, 1.36 to 1.36 times",
            "at 1 of 4 looks from the minimum on",
            "initial weights, 12.0 to 12.0 times",
            "SGD from the minimum (seed 1) diverged after 3 steps.",
            "SGD from initial weights (seed 1) diverged after 0 steps.",
        ] {
            assert!(told.measured.contains(words), "{words} in {}", told.measured);
        }
    }
}
