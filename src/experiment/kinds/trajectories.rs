//! Many ways from one start: does the negative gradient on each of them point to the ends of all the others?

use std::sync::Arc;

use serde::Deserialize;

use super::checks::check_samples;
use super::convexity::{Bounds, Count, Gradients, PRODUCT_AXIS, batch, bounds_series, chart, footnote};
use super::curves::columns;
use super::defaults::all_images;
use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::error::{Error, Result};
use crate::experiment::averages::EPOCH_AXIS;
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Seeds, Trained, Which};
use crate::experiment::outcome::{Answer, Figure, Outcome, Series, Table, Verdict, significant, spread_text};
use crate::experiment::recipe::Recipe;
use crate::landscape::direction;
use crate::objective::{BatchNormPolicy, Solution};

/// Trajectories at most: each has a seed of its own within the thousand of its start's.
const MOST_TRAJECTORIES: u64 = 999;

/// "Almost always": the share of inner products that are positive at least. The paper's are 99.9 % of some 343,000; of
/// a few hundred that would be every one.
const ALMOST_ALL: f64 = 0.99;

/// Trajectories from one start that differ in the order of the images and their augmentation alone, and the inner
/// products of the negative gradient at any epoch of any of them with the way to the end of any other (Kleinberg et al.
/// 2018, Section 5.3, which has no figure). The paper's number, 343,000 = 50·49·140, is of ways to the ends of the
/// others; ways to its own end are counted apart here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trajectories {
    /// The run of one trajectory; it starts from another run, whose weights are the common start.
    pub run: String,
    /// Trajectories from each start; 50 in the paper.
    #[serde(default = "usual_trajectories")]
    pub trajectories: u64,
    /// Batch-norm policy of the gradients; with `batch` they are those that training follows.
    #[serde(default = "batch")]
    pub batch_norm: BatchNormPolicy,
    /// Train images for each gradient, from the first; all unless given.
    #[serde(default = "all_images")]
    pub samples: usize,
}

fn usual_trajectories() -> u64 {
    5
}

/// What is found from one start.
#[derive(Default)]
struct Bundle {
    seed: u64,
    /// Inner products with the ways to the others' ends: a row an epoch, from 1 on.
    others: Vec<Vec<f64>>,
    /// The same with the way to each trajectory's own end; none at the last epoch, where there is no way left.
    own: Vec<Vec<f64>>,
    /// Distances between ends, of every two.
    apart: Vec<f64>,
    /// Distances from the common start to the ends.
    gone: Vec<f64>,
}

impl Experiment for Trajectories {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        check_samples(self.samples)?;
        if !(2..=MOST_TRAJECTORIES).contains(&self.trajectories) {
            return Err(Error::option(
                "trajectories",
                self.trajectories,
                format!("it must be from 2 to {MOST_TRAJECTORIES}"),
            ));
        }
        match recipe.runs.get(&self.run).is_some_and(|stage| stage.from.is_some()) {
            true => Ok(()),
            false => Err(Kind::lacks(&self.run, "common start; give it `from`")),
        }
    }

    /// None has a start's own, whose order of images would come twice. The start itself is trained once.
    fn seeds(&self, run: &str, seed: u64) -> Vec<Seeds> {
        if run != self.run {
            return vec![Seeds::from(seed)];
        }
        let own = |number: u64| seed.wrapping_mul(MOST_TRAJECTORIES + 1).wrapping_add(number);
        (1..=self.trajectories.min(MOST_TRAJECTORIES))
            .map(|number| Seeds {
                own: own(number),
                before: seed,
            })
            .collect()
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        let efforts = Efforts::of(recipe);
        let points = self.trajectories as f64 * efforts.epochs(&self.run);
        vec![efforts.gradients(&self.run, points, self.batch_norm, self.samples)]
    }

    /// Makes it, with a start for every seed.
    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let (mut bundles, mut foot) = (Vec::new(), String::new());
        for &seed in &recipe.seeds {
            let mut runs = Vec::new();
            for seeds in self.seeds(&self.run, seed) {
                runs.push(laboratory.trained(recipe, &self.run, seeds)?);
            }
            if let Some(first) = runs.first() {
                foot = footnote(first, self.batch_norm, self.samples, &recipe.seeds);
            }
            bundles.push(self.bundle(seed, &runs, laboratory)?);
        }
        Ok(Outcome {
            figures: Self::figures(&bundles, &foot),
            tables: vec![self.table(&bundles)],
            verdict: verdict(&bundles),
        })
    }
}

impl Trajectories {
    fn bundle(&self, seed: u64, runs: &[Trained], laboratory: &mut Laboratory) -> Result<Bundle> {
        let ends: Vec<Arc<Solution>> = runs
            .iter()
            .map(|run| run.solution(Which::Last))
            .collect::<Result<_>>()?;
        let ways: Vec<&[f32]> = ends.iter().map(|end| end.parameters.as_slice()).collect();
        let mut bundle = Bundle {
            seed,
            ..Bundle::default()
        };
        for (index, run) in runs.iter().enumerate() {
            let epochs = run.epochs();
            bundle.others.resize(epochs, Vec::new());
            bundle.own.resize(epochs, Vec::new());
            let mut gradients = Gradients::new(run, &self.run, self.batch_norm, epochs);
            // The start is the same for all, and belongs to the run before.
            for epoch in 1..=epochs {
                let products = gradients.products(epoch, self.samples, &ways, laboratory)?;
                for (other, product) in products.into_iter().enumerate() {
                    if other != index {
                        bundle.others[epoch - 1].push(product);
                    } else if epoch < epochs {
                        bundle.own[epoch - 1].push(product);
                    }
                }
            }
            let end = &ends[index].parameters;
            let start = run.snapshot(0)?;
            bundle.gone.push(direction::distance(&start.parameters, end));
            for other in &ends[..index] {
                bundle.apart.push(direction::distance(&other.parameters, end));
            }
        }
        Ok(bundle)
    }

    fn figures(bundles: &[Bundle], foot: &str) -> Vec<Figure> {
        let others = by_epoch(bundles, |bundle| &bundle.others);
        let own = by_epoch(bundles, |bundle| &bundle.own);
        let products: Vec<(usize, Bounds)> = others
            .iter()
            .map(|(epoch, values)| (*epoch, Bounds::of(values)))
            .collect();
        let share = |label: &str, rows: &[(usize, Vec<f64>)], dashed: bool| Series {
            label: label.to_owned(),
            points: rows
                .iter()
                .map(|(epoch, values)| (*epoch as f64, 100.0 * Count::of(values.iter().copied()).share()))
                .collect(),
            dashed,
        };
        vec![
            chart(
                "inner-products",
                "Negative gradients on each trajectory, and the ways to the ends of the others".to_owned(),
                (EPOCH_AXIS, PRODUCT_AXIS),
                bounds_series("all pairs", &products),
                Vec::new(),
                foot,
            ),
            chart(
                "positive",
                "Inner products that are positive".to_owned(),
                (EPOCH_AXIS, "share that is positive (%)"),
                vec![
                    share("to the ends of the others", &others, false),
                    share("to its own end", &own, true),
                ],
                Vec::new(),
                foot,
            ),
        ]
    }

    fn table(&self, bundles: &[Bundle]) -> Table {
        let row = |bundle: &Bundle| {
            let others: Vec<f64> = all(&bundle.others).collect();
            let count = Count::of(others.iter().copied());
            vec![
                bundle.seed.to_string(),
                count.text(),
                format!("{:.2} %", 100.0 * count.share()),
                significant(Bounds::of(&others).minimum, 3),
                Count::of(all(&bundle.own)).text(),
                format!("{:.2}", Bounds::of(&bundle.apart).minimum),
                format!("{:.2}", Bounds::of(&bundle.apart).mean),
                format!("{:.2}", Bounds::of(&bundle.gone).mean),
            ]
        };
        Table {
            caption: format!(
                "Positive inner products of the negative gradient at an epoch of one of {} trajectories and the way to \
                 the end of another, their share and the smallest; the same for its own end; the smallest and the mean \
                 distance of two ends, and the mean distance from the start to an end",
                self.trajectories
            ),
            header: columns(
                "seed | positive | share | smallest | to its own end | ends apart, smallest | ends apart, mean | start \
                 to end",
            ),
            rows: bundles.iter().map(row).collect(),
        }
    }
}

fn verdict(bundles: &[Bundle]) -> Verdict {
    let counts: Vec<Count> = bundles.iter().map(|bundle| Count::of(all(&bundle.others))).collect();
    let own = bundles.iter().map(|bundle| Count::of(all(&bundle.own)));
    let own = own.fold(Count::default(), Count::and);
    let together = counts.iter().copied().fold(Count::default(), Count::and);
    let shares: Vec<f64> = counts.iter().map(|count| 100.0 * count.share()).collect();
    let shown = counts.iter().filter(|count| count.share() >= ALMOST_ALL).count();
    let apart: Vec<f64> = bundles.iter().flat_map(|bundle| bundle.apart.iter().copied()).collect();
    let gone: Vec<f64> = bundles.iter().flat_map(|bundle| bundle.gone.iter().copied()).collect();
    Verdict {
        answer: Answer::of(shown, bundles.len()),
        measured: format!(
            "{} inner products of a trajectory's negative gradient and the way to the end of another are positive, \
             {} % from each start, and at least {:.0} % for {shown} of {} starts; to its own end {} are. Two ends \
             are {:.2} or more apart; an end is {} from the start.",
            together.text(),
            spread_text(&shares, 2),
            100.0 * ALMOST_ALL,
            bundles.len(),
            own.text(),
            Bounds::of(&apart).minimum,
            spread_text(&gone, 2),
        ),
    }
}

/// All values of all epochs.
fn all(rows: &[Vec<f64>]) -> impl Iterator<Item = f64> {
    rows.iter().flatten().copied()
}

/// What the bundles have at every epoch, from 1 on, at which there is something.
fn by_epoch(bundles: &[Bundle], rows: fn(&Bundle) -> &Vec<Vec<f64>>) -> Vec<(usize, Vec<f64>)> {
    let epochs = bundles.iter().map(|bundle| rows(bundle).len()).max().unwrap_or(0);
    let at = |index: usize| {
        let found = bundles.iter().filter_map(|bundle| rows(bundle).get(index));
        let values: Vec<f64> = found.flatten().copied().collect();
        (!values.is_empty()).then_some((index + 1, values))
    };
    (0..epochs).filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(trajectories: u64) -> Trajectories {
        Trajectories {
            run: "trajectory".to_owned(),
            trajectories,
            batch_norm: BatchNormPolicy::Batch,
            samples: usize::MAX,
        }
    }

    fn bundle(others: &[f64], own: &[f64]) -> Bundle {
        Bundle {
            seed: 1,
            others: vec![others.to_vec(), others.to_vec()],
            own: vec![own.to_vec(), Vec::new()],
            apart: vec![3.0, 2.0, 4.0],
            gone: vec![5.0, 5.0, 5.0],
        }
    }

    #[test]
    fn every_trajectory_of_every_start_has_a_seed_of_its_own() {
        let kind = kind(MOST_TRAJECTORIES);
        let mut own: Vec<u64> = (0..20)
            .flat_map(|seed| {
                let seeds = kind.seeds(&kind.run, seed);
                assert!(seeds.iter().all(|seeds| seeds.before == seed && seeds.own != seed));
                seeds.into_iter().map(|seeds| seeds.own)
            })
            .collect();
        let count = own.len();
        own.sort_unstable();
        own.dedup();
        assert_eq!((count, own.len()), (20 * 999, 20 * 999));
    }

    #[test]
    fn a_start_is_trained_once() {
        let kind = kind(4);
        assert_eq!(kind.seeds("start", 7), [Seeds::from(7)]);
        assert_eq!(kind.seeds("trajectory", 7).len(), 4);
    }

    #[test]
    fn almost_all_inner_products_of_a_start_are_to_be_positive() {
        let mut good = vec![1.0; 99];
        good.push(-1.0);
        let bad = [good.as_slice(), &[0.0]].concat();
        let found = verdict(&[bundle(&good, &[1.0])]);
        assert_eq!(found.answer, Answer::Shown);
        for words in [
            "198 of 200 inner",
            "99.00 % from each",
            "own end 1 of 1 are",
            "are 2.00 or more",
            "is 5.00 ± 0.00",
        ] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        let both = verdict(&[bundle(&good, &[1.0]), bundle(&bad, &[1.0])]);
        assert_eq!(both.answer, Answer::PartlyShown);
        assert_eq!(verdict(&[bundle(&bad, &[1.0])]).answer, Answer::NotShown);
        let table = kind(3).table(&[bundle(&good, &[1.0, -1.0])]);
        assert_eq!(
            table.rows[0],
            columns("1 | 198 of 200 | 99.00 % | -1.00 | 1 of 2 | 2.00 | 3.00 | 5.00")
        );
        assert_eq!(table.header.len(), table.rows[0].len());
    }

    #[test]
    fn epochs_count_from_one_and_those_without_a_way_are_left_out() {
        let bundles = [bundle(&[1.0, -2.0], &[1.0]), bundle(&[3.0], &[4.0])];
        let others = by_epoch(&bundles, |bundle| &bundle.others);
        assert_eq!(others, [(1, vec![1.0, -2.0, 3.0]), (2, vec![1.0, -2.0, 3.0])]);
        assert_eq!(by_epoch(&bundles, |bundle| &bundle.own), [(1, vec![1.0, 4.0])]);
        assert_eq!(Trajectories::figures(&bundles, "").len(), 2);
    }
}
