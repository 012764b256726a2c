//! The neighbourhood of a point: curves along one direction through many points around it, and what holds for all.

use serde::{Deserialize, Serialize};

use super::{Certificate, Profile};
use crate::error::{Error, Result};

/// Mean and spread of curves along one direction, and their common asymmetry (*Asymmetric Valleys*, Assumption 2 and
/// its verification in section 4.2, Fig. 4 of both versions).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Number of curves.
    pub curves: usize,
    /// Positions l of all of them, ascending.
    pub positions: Vec<f64>,
    /// Mean loss at each position; nothing where the loss of a curve is not finite.
    pub mean: Vec<Option<f64>>,
    /// Standard deviation of the loss at each position, over the number of curves (not one less); nothing where there
    /// is no mean.
    pub deviation: Vec<Option<f64>>,
    /// The certificate of largest c that holds for every curve.
    pub certificate: Option<Certificate>,
}

impl Band {
    /// Of curves at the same positions, with a certificate over an interval at least `width` long, a distance (see
    /// [`Certificate::for_all`]).
    ///
    /// # Errors
    /// When there are no curves, or their positions differ.
    pub fn of(profiles: &[Profile], width: f64) -> Result<Self> {
        let Some((first, others)) = profiles.split_first() else {
            return Err(Error::Request(
                "there are no curves around the solution to average; ask for at least one".to_owned(),
            ));
        };
        if others.iter().any(|other| !other.positions().eq(first.positions())) {
            return Err(Error::Request(
                "the curves around the solution were measured at different positions; measure all at the same"
                    .to_owned(),
            ));
        }
        let moments: Vec<Option<(f64, f64)>> = (0..first.nodes.len())
            .map(|index| {
                let losses: Option<Vec<f64>> = profiles.iter().map(|profile| profile.nodes.get(index)?.loss).collect();
                losses.map(|losses| moments(&losses))
            })
            .collect();
        Ok(Self {
            curves: profiles.len(),
            positions: first.positions().collect(),
            mean: moments.iter().map(|moments| moments.map(|(mean, _)| mean)).collect(),
            deviation: moments
                .iter()
                .map(|moments| moments.map(|(_, deviation)| deviation))
                .collect(),
            certificate: Certificate::for_all(profiles, width),
        })
    }
}

/// Mean and standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, square.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_has_the_mean_the_spread_and_the_common_certificate() {
        let positions = [-2.0, -1.0, 0.0, 1.0, 2.0];
        let profiles = [[8.0, 5.0, 2.0, 3.0, 4.0], [10.0, 5.0, 0.0, 0.5, 1.0]]
            .map(|losses| Profile::new(&positions, &losses).unwrap());
        let band = Band::of(&profiles, 2.0).unwrap();
        assert_eq!((band.curves, band.positions.as_slice()), (2, positions.as_slice()));
        assert_eq!(band.mean, [9.0, 5.0, 1.0, 1.75, 2.5].map(Some));
        assert_eq!(band.deviation, [1.0, 0.0, 1.0, 1.25, 1.5].map(Some));
        let certificate = band.certificate.unwrap();
        assert_eq!(certificate.published(), (2.0, 0.0, 1.0, 3.0));
        assert!(profiles.iter().all(|profile| certificate.holds(profile)));
        let text = serde_json::to_string(&band).unwrap();
        assert_eq!(serde_json::from_str::<Band>(&text).unwrap(), band);
    }

    #[test]
    fn what_is_lost_in_one_curve_is_a_gap_in_the_band() {
        let profiles = [[2.0, f64::NAN], [4.0, 1.0]].map(|losses| Profile::new(&[0.0, 1.0], &losses).unwrap());
        let band = Band::of(&profiles, 0.5).unwrap();
        assert_eq!(band.mean, [Some(3.0), None]);
        assert_eq!(band.deviation, [Some(1.0), None]);
        assert_eq!(band.certificate, None);
    }

    #[test]
    fn curves_at_different_positions_have_no_band() {
        let profiles = [[0.0, 1.0], [0.0, 2.0]].map(|positions| Profile::new(&positions, &[1.0, 1.0]).unwrap());
        assert!(Band::of(&profiles, 0.5).is_err());
        assert!(Band::of(&[], 0.5).is_err());
    }
}
