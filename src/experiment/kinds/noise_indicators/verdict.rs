//! How much of the claim is borne out by what was seen.

use super::spectrum::Spectrum;
use super::{Found, NoiseIndicators};
use crate::dynamics::indicators::Indicators;
use crate::dynamics::minibatches::Sigma;
use crate::dynamics::noise::Noise;
use crate::dynamics::norms::Norms;
use crate::experiment::kinds::noise_on_networks::looks;
use crate::experiment::outcome::{Answer, Verdict, significant};

/// How many times as large as with isotropic noise Tr(HΣ) is where SGD leaves many times faster.
const MANY: f64 = 2.0;

/// How much of the claim is borne out. Looks are those that were to be made: what diverged before shows nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    looks: usize,
    /// Looks where more noise lies along the first eigenvector than isotropic noise has.
    aligned: usize,
    /// Looks where Tr(HΣ) is above [`MANY`] times Tr(H)·Tr(Σ)/D by more than two standard errors of their ratio.
    faster: usize,
    minima: usize,
    ill_conditioned: usize,
    /// Looks late in SGD: those in the second half of the way from initial weights.
    late: usize,
    /// Those of them where the noise is longer than the gradient by more than two standard errors.
    dominated: usize,
}

impl Count {
    /// Where SGD is not followed from initial weights, a part of the claim has not been looked at.
    fn answer(&self) -> Answer {
        let shown = self.aligned + self.faster + self.ill_conditioned + self.dominated;
        let unseen = usize::from(self.late == 0);
        Answer::of(shown, 2 * self.looks + self.minima + self.late + unseen)
    }
}

impl NoiseIndicators {
    fn count(&self, found: &Found) -> Count {
        let is_met = |spectrum: &&Spectrum| spectrum.is_ill_conditioned(found.dimensions);
        let a_way = looks(self.steps, self.every).len();
        let all_looks = self.from_start.map(|start| looks(start.steps, start.every));
        let late_looks = all_looks.map_or(0, |looks| looks.iter().filter(|&&step| self.is_late(step)).count());
        let mut count = Count {
            looks: a_way * found.ways.len(),
            minima: found.spectra.len(),
            ill_conditioned: found.spectra.iter().filter(is_met).count(),
            late: late_looks * found.trainings.len(),
            dominated: self.late(found).filter(|norms| norms.is_dominated()).count(),
            ..Count::default()
        };
        for look in found.ways.iter().flat_map(|way| &way.record.looks) {
            count.aligned += usize::from(look.indicators.alignment() > 1.0);
            let (ratio, error) = look.indicators.ratio();
            count.faster += usize::from(error.is_some_and(|error| ratio - 2.0 * error > MANY));
        }
        count
    }

    /// Whether a step of SGD from initial weights is in the second half.
    fn is_late(&self, step: usize) -> bool {
        self.from_start.is_some_and(|start| 2 * step >= start.steps)
    }

    /// Lengths late in SGD from initial weights, as far as it came.
    fn late(&self, found: &Found) -> impl Iterator<Item = Norms> {
        let looks = found.trainings.iter().flat_map(|way| &way.record.looks);
        looks.filter(move |look| self.is_late(look.step)).map(|look| look.norms)
    }

    /// How many times as long the noise of SGD is as the gradient; nothing where there was no look.
    fn lengths(&self, norms: &[Norms], place: &str, looks: usize) -> String {
        if looks == 0 {
            return String::new();
        }
        let by = match self.walk.sigma {
            Sigma::Batches => " by more than two standard errors",
            Sigma::Images => "",
        };
        format!(
            " {place} SGD's noise is longer than the gradient, {} above ‖∇L‖{by}, at {} of {looks} looks, {} times \
             as long.",
            Norms::symbol(self.walk.sigma),
            norms.iter().filter(|norms| norms.is_dominated()).count(),
            range(norms.iter().map(Norms::ratio))
        )
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
            "Tr(HΣ) is above {MANY} times Tr(H)·Tr(Σ)/D by more than two standard errors at {} of {} looks, {} times \
             as large; â is {}, and along the first eigenvector there is more noise than isotropic noise has at {} of \
             {}, {} times as much. Of the first {} eigenvalues {} are above λ₁/√D, with D = {}, and the last found is \
             below it at {} of {} minima.",
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
        let late: Vec<Norms> = self.late(found).collect();
        measured += &self.lengths(&late, "In the second half of its way from initial weights", count.late);
        let sgd = || found.ways.iter().filter(|way| way.noise == Noise::Sgd);
        let beside: Vec<Norms> = sgd()
            .flat_map(|way| &way.record.looks)
            .map(|look| look.lengths.norms)
            .collect();
        let looks = looks(self.steps, self.every).len() * sgd().count();
        measured += &self.lengths(&beside, "From the minimum on, which is no part of that claim,", looks);
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
        // λ₁/√D = 4/√3 = 2.31. Σ = diag(s², 0)/2; its ratio is (4s₁² + s₂²)·3/(5·(s₁² + s₂²)), and E‖ε‖ = (s₁ + s₂)/2.
        let told = kind().verdict(&found([[2.0, 1.0], [3.0, 1.0]], 0.125, 2.0));
        assert_eq!(told.answer, Answer::Shown, "{}", told.measured);
        for words in [
            "is above 2 times Tr(H)·Tr(Σ)/D by more than two standard errors at 2 of 2 looks, 2.04 to 2.22 times",
            "has at 2 of 2, 2.40 to 2.70 times",
            "Of the first 3 eigenvalues 2 are above λ₁/√D, with D = 3, and the last found is below it at 1 of 1 minima",
            "In the second half of its way from initial weights SGD's noise is longer than the gradient, E‖ε‖ above \
             ‖∇L‖ by more than two standard errors, at 2 of 2 looks, 16.0 to 16.0 times",
            "From the minimum on, which is no part of that claim, SGD's noise is longer than the gradient, E‖ε‖ above \
             ‖∇L‖ by more than two standard errors, at 2 of 2 looks, 12.0 to 16.0 times",
        ] {
            assert!(told.measured.contains(words), "{words} in {}", told.measured);
        }
        // 1.85 times, with more noise along the first eigenvector than isotropic noise has, is not many times.
        let told = kind().verdict(&found([[1.5, 1.0], [3.0, 1.0]], 0.125, 2.0));
        assert_eq!(told.answer, Answer::PartlyShown);
        assert!(
            told.measured.contains("errors at 1 of 2 looks, 1.85 to"),
            "{}",
            told.measured
        );
        assert!(told.measured.contains("has at 2 of 2"), "{}", told.measured);
        let told = kind().verdict(&found([[1.0, 2.0], [0.0, 1.0]], 10.0, 3.0));
        assert_eq!(told.answer, Answer::NotShown, "{}", told.measured);
        assert!(told.measured.contains("at 0 of 2 looks"), "{}", told.measured);
    }

    #[test]
    fn a_long_gradient_counts_late_in_sgd_from_initial_weights_alone() {
        // The noise of the last look is 2 long with an error of 1/√3: two of them leave 0.85.
        let deviations = [[2.0, 1.0], [3.0, 1.0]];
        let dominated = |found: &Found| {
            let count = kind().count(found);
            (count.dominated, count.late)
        };
        assert_eq!(dominated(&found(deviations, 0.8, 2.0)), (2, 2));
        assert_eq!(dominated(&found(deviations, 0.9, 2.0)), (0, 2));
        // Before the second half nothing is asked, nor from the minimum on.
        let mut early = found(deviations, 0.125, 2.0);
        early.trainings[0].record.looks[0].norms.gradient = 100.0;
        early.ways[0].record.looks[1].lengths.norms.gradient = 100.0;
        assert_eq!(dominated(&early), (2, 2));
        let told = kind().verdict(&early);
        assert_eq!(told.answer, Answer::Shown);
        assert!(
            told.measured.contains("at 1 of 2 looks, 0.0200 to"),
            "{}",
            told.measured
        );
        early.trainings[0].record.looks[1].norms.gradient = 100.0;
        assert_eq!(dominated(&early), (1, 2));
    }

    #[test]
    fn without_sgd_from_initial_weights_a_part_of_the_claim_is_not_seen() {
        let mut without = found([[2.0, 1.0], [3.0, 1.0]], 0.125, 2.0);
        without.ways[0].noise = Noise::Gd;
        without.trainings.clear();
        let told = kind().verdict(&without);
        assert_eq!(told.answer, Answer::PartlyShown);
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
            "standard errors at 1 of 2 looks, 2.04 to 2.04 times",
            "at 0 of 2 looks, – to – times",
            "at 1 of 2 looks, 12.0 to 12.0 times",
            "SGD from the minimum (seed 1) diverged after 3 steps.",
            "SGD from initial weights (seed 1) diverged after 0 steps.",
        ] {
            assert!(told.measured.contains(words), "{words} in {}", told.measured);
        }
    }
}
