//! Student's quantile, for intervals of means of a few values.

use crate::dynamics::proportion::QUANTILE;

/// Student's 97.5 % quantile for so many degrees of freedom; infinite for none. From three on it is Fisher and Cornish's
/// expansion in their inverse (Abramowitz and Stegun, 1964, 26.7.5), to 1.3·10⁻³ of it.
pub(super) fn student(freedom: usize) -> f64 {
    let z = QUANTILE;
    match freedom {
        0 => f64::INFINITY,
        1 => 12.706,
        2 => 4.303,
        _ => {
            let terms = [
                z,
                (z.powi(3) + z) / 4.0,
                (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
                (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
                (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5) - 1920.0 * z.powi(3) - 945.0 * z) / 92_160.0,
            ];
            terms.iter().rev().fold(0.0, |sum, term| sum / freedom as f64 + term)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_students() {
        assert_eq!(student(0), f64::INFINITY);
        for (freedom, quantile) in [(1, 12.706_204_736), (2, 4.302_652_730)] {
            // Three digits behind the point are written down.
            assert!((student(freedom) - quantile).abs() <= 5e-4, "{freedom}");
        }
        for (freedom, quantile) in [
            (3, 3.182_446_305),
            (4, 2.776_445_105),
            (5, 2.570_581_836),
            (10, 2.228_138_852),
            (24, 2.063_898_562),
            (100, 1.983_971_519),
        ] {
            // What the expansion leaves out is of the fifth order, with a factor of 0.37 at 100 degrees.
            let left_out = 0.4 * (freedom as f64).powi(-5);
            let off = (student(freedom) / quantile - 1.0).abs();
            assert!(off <= left_out + 1e-9, "{freedom}: {off}");
        }
    }
}
