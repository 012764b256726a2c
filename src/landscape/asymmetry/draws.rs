//! How many of several random directions are asymmetric, and which most.

use serde::{Deserialize, Serialize};

use super::Certificate;

/// A direction with more than this c counts as clearly asymmetric: the paper always found one "with c > 2" (*Asymmetric
/// Valleys*, section 3.2 of both versions).
pub const ASYMMETRIC: f64 = 2.0;

/// One random direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draw {
    /// Seed that it was drawn with.
    pub seed: u64,
    /// What was found along it, if anything.
    pub certificate: Option<Certificate>,
}

/// What several random directions amount to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of directions.
    pub draws: usize,
    /// Share of them, 0..1, with c > [`ASYMMETRIC`]; 0 where there are none.
    pub share: f64,
    /// Those of largest c, in descending order; of one c the longer interval first, then the smaller seed. Directions
    /// without a certificate are not among them.
    pub best: Vec<Draw>,
}

impl Summary {
    /// Of all draws, naming at most `most` of the best.
    pub fn of(draws: &[Draw], most: usize) -> Self {
        let mut found: Vec<(Certificate, &Draw)> = draws
            .iter()
            .filter_map(|draw| Some((draw.certificate?, draw)))
            .collect();
        let asymmetric = found
            .iter()
            .filter(|(certificate, _)| certificate.c > ASYMMETRIC)
            .count();
        found.sort_by(|(a, first), (b, second)| {
            b.c.total_cmp(&a.c)
                .then(b.width().total_cmp(&a.width()))
                .then(first.seed.cmp(&second.seed))
        });
        Self {
            draws: draws.len(),
            share: asymmetric as f64 / draws.len().max(1) as f64,
            best: found.into_iter().take(most).map(|(_, draw)| draw.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Side, SlopeSource};
    use super::*;

    #[test]
    fn the_best_come_first_and_only_more_than_two_counts() {
        let draw = |seed, found: Option<(f64, f64)>| Draw {
            seed,
            certificate: found
                .map(|(to, sharp)| Certificate::new(1.0, to, [1.0, sharp], Side::Positive, SlopeSource::Differences)),
        };
        let draws = [
            draw(0, Some((2.0, 2.0))),
            draw(1, None),
            draw(2, Some((2.0, 5.0))),
            draw(3, Some((3.0, 5.0))),
            draw(4, Some((2.0, 9.0))),
            draw(5, Some((2.0, 0.5))),
            draw(6, None),
            draw(7, Some((2.0, 5.0))),
        ];
        let summary = Summary::of(&draws, 5);
        assert_eq!((summary.draws, summary.share), (8, 0.5));
        let seeds: Vec<u64> = summary.best.iter().map(|draw| draw.seed).collect();
        assert_eq!(seeds, [4, 3, 2, 7, 0]);
        let none = Summary::of(&[], 3);
        assert_eq!((none.draws, none.share, none.best.len()), (0, 0.0, 0));
    }
}
