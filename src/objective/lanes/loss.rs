//! The loss of the outputs in the lanes of a block, and whether they are right.

use crate::network::Loss;

/// What is known of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImageLoss {
    /// Its loss.
    pub loss: f64,
    /// Whether the largest logit is the label's.
    pub correct: bool,
}

/// Loss of every image of a block: `logits` `[classes, lanes]`, one label an image; of two classes there may be one logit
/// z, which stands for (0, z). The gradient of `scale` times the
/// loss goes to `gradient` `[classes, lanes]`, 0 in lanes without an image.
pub fn losses(
    kind: Loss,
    logits: &[f32],
    two_classes: bool,
    lanes: usize,
    labels: &[u32],
    scale: f64,
    mut gradient: Option<&mut [f32]>,
) -> Vec<ImageLoss> {
    if let Some(gradient) = &mut gradient {
        gradient.fill(0.0);
    }
    let mut row = Vec::new();
    let images = labels.iter().enumerate();
    images
        .map(|(lane, &label)| {
            row.clear();
            row.extend(two_classes.then_some(0.0));
            row.extend(logits[lane..].iter().step_by(lanes).map(|&z| f64::from(z)));
            let label = label as usize;
            let mut best = 0;
            for (class, &z) in row.iter().enumerate() {
                if z > row[best] || (z.is_nan() && !row[best].is_nan()) {
                    best = class;
                }
            }
            let largest = row[best];
            let loss = match kind {
                Loss::CrossEntropy => cross_entropy(&mut row, label, largest),
                Loss::SquaredError => squared_error(&mut row, label),
            };
            if let Some(gradient) = &mut gradient {
                let skipped = usize::from(two_classes);
                let targets = gradient[lane..].iter_mut().step_by(lanes);
                for (derivative, target) in row[skipped..].iter().zip(targets) {
                    *target = (scale * derivative) as f32;
                }
            }
            ImageLoss {
                loss,
                correct: best == label,
            }
        })
        .collect()
}

/// −log softmax(z) at the label; in place of the logits, of which the largest is given, come its derivatives.
fn cross_entropy(row: &mut [f64], label: usize, largest: f64) -> f64 {
    let own = row[label];
    for z in row.iter_mut() {
        *z = (*z - largest).exp();
    }
    let sum: f64 = row.iter().sum();
    for z in row.iter_mut() {
        *z /= sum;
    }
    row[label] -= 1.0;
    sum.ln() + largest - own
}

/// The mean of (z − y)² for the one-hot y of the label; in place of the outputs come its derivatives.
fn squared_error(row: &mut [f64], label: usize) -> f64 {
    row[label] -= 1.0;
    let classes = row.len() as f64;
    let loss = row.iter().map(|difference| difference * difference).sum::<f64>() / classes;
    for difference in row.iter_mut() {
        *difference *= 2.0 / classes;
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_do_not_overflow_and_gradients_sum_to_zero() {
        let logits = [1000.0, 0.0, 999.0, 1.0, -1000.0, 2.0];
        let mut gradient = [9.0; 6];
        let losses = losses(Loss::CrossEntropy, &logits, false, 2, &[1, 2], 0.5, Some(&mut gradient));
        let first = (1.0 + 1.0_f64.exp()).ln();
        assert!((losses[0].loss - first).abs() < 1e-12 && !losses[0].correct);
        assert!(losses[1].correct);
        for lane in 0..2 {
            let sum: f32 = gradient[lane..].iter().step_by(2).sum();
            assert!(sum.abs() < 1e-7, "{gradient:?}");
        }
    }

    #[test]
    fn a_squared_error_is_the_mean_over_the_classes() {
        let mut gradient = [0.0; 4];
        let losses = losses(
            Loss::SquaredError,
            &[0.5, 2.0, -1.0, 3.0],
            false,
            1,
            &[3],
            0.5,
            Some(&mut gradient),
        );
        assert_eq!(losses[0].loss, (0.25 + 4.0 + 1.0 + 4.0) / 4.0);
        assert!(losses[0].correct);
        assert_eq!(gradient, [0.125, 0.5, -0.25, 0.5]);
    }

    #[test]
    fn one_logit_stands_for_two_classes() {
        let mut gradient = [0.0; 1];
        let losses = losses(Loss::CrossEntropy, &[2.0], true, 1, &[0], 1.0, Some(&mut gradient));
        assert!((losses[0].loss - (1.0 + 2.0_f64.exp()).ln()).abs() < 1e-12 && !losses[0].correct);
        let sigmoid = 1.0 / (1.0 + (-2.0_f64).exp());
        assert!((f64::from(gradient[0]) - sigmoid).abs() < 1e-7);
    }
}
