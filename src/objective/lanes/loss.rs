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

/// The second derivative of `scale` times every image's loss in its logits, times their tangents, both
/// `[classes, lanes]`; to `result` `[classes, lanes]`, 0 in lanes beyond the `images`. With p = softmax(z) it is
/// p ∘ (ż − p · ż) for cross-entropy, and 2/classes · ż for the squared error. Labels do not matter.
pub fn curvatures(
    kind: Loss,
    (logits, tangents): (&[f32], &[f32]),
    two_classes: bool,
    lanes: usize,
    images: usize,
    scale: f64,
    result: &mut [f32],
) {
    result.fill(0.0);
    let skipped = usize::from(two_classes);
    let read = |values: &[f32], row: &mut Vec<f64>| {
        row.clear();
        row.extend(two_classes.then_some(0.0));
        row.extend(values.iter().step_by(lanes).map(|&value| f64::from(value)));
    };
    let (mut shares, mut moved) = (Vec::new(), Vec::new());
    for lane in 0..images {
        read(&tangents[lane..], &mut moved);
        match kind {
            Loss::CrossEntropy => {
                read(&logits[lane..], &mut shares);
                let largest = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                softmax(&mut shares, largest);
                let expected: f64 = shares.iter().zip(&moved).map(|(share, tangent)| share * tangent).sum();
                for (tangent, share) in moved.iter_mut().zip(&shares) {
                    *tangent = share * (*tangent - expected);
                }
            }
            Loss::SquaredError => {
                let factor = 2.0 / moved.len() as f64;
                for tangent in &mut moved {
                    *tangent *= factor;
                }
            }
        }
        let targets = result[lane..].iter_mut().step_by(lanes);
        for (value, target) in moved[skipped..].iter().zip(targets) {
            *target = (scale * value) as f32;
        }
    }
}

/// softmax(z) in place of the logits, of which the largest is given; the sum of exp(z − largest).
fn softmax(row: &mut [f64], largest: f64) -> f64 {
    for z in row.iter_mut() {
        *z = (*z - largest).exp();
    }
    let sum: f64 = row.iter().sum();
    for z in row.iter_mut() {
        *z /= sum;
    }
    sum
}

/// −log softmax(z) at the label; in place of the logits, of which the largest is given, come its derivatives.
fn cross_entropy(row: &mut [f64], label: usize, largest: f64) -> f64 {
    let own = row[label];
    let sum = softmax(row, largest);
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

    /// For each of some images the derivative of the gradient along the tangents, by a difference of this step.
    fn difference(kind: Loss, logits: &[f32], tangents: &[f32], two_classes: bool, labels: &[u32]) -> Vec<f64> {
        let step = 1.0_f32 / 64.0;
        let gradient = |sign: f32| {
            let moved: Vec<f32> = logits.iter().zip(tangents).map(|(z, t)| z + sign * step * t).collect();
            let mut gradient = vec![0.0; logits.len()];
            losses(kind, &moved, two_classes, 3, labels, 0.5, Some(&mut gradient));
            gradient
        };
        let pairs = gradient(1.0).into_iter().zip(gradient(-1.0));
        pairs
            .map(|(ahead, behind)| (f64::from(ahead) - f64::from(behind)) / f64::from(2.0 * step))
            .collect()
    }

    #[test]
    fn curvatures_are_the_change_of_the_gradient() {
        // Two images in three lanes: the last lane holds what must not count.
        let logits = [0.5, -1.0, f32::NAN, 2.0, 0.25, 7.0, -0.5, 1.5, 0.0];
        let tangents = [1.0, 0.5, 9.0, -1.0, 0.25, f32::INFINITY, 0.5, -0.75, 3.0];
        for kind in Loss::ALL {
            for (two_classes, length) in [(false, 9), (true, 3)] {
                let (logits, tangents) = (&logits[..length], &tangents[..length]);
                let mut found = vec![7.0; length];
                curvatures(kind, (logits, tangents), two_classes, 3, 2, 0.5, &mut found);
                let expected = difference(kind, logits, tangents, two_classes, &[0, 1]);
                for (index, (&found, expected)) in found.iter().zip(expected).enumerate() {
                    // The difference's own error is 2e-6 here, and rounding over the step is as much.
                    assert!(
                        (f64::from(found) - expected).abs() < 1e-5,
                        "{index}: {found} {expected}"
                    );
                    assert!(index % 3 < 2 || found == 0.0, "{index}: {found}");
                }
                assert!(found.iter().any(|&value| value.abs() > 0.01));
            }
        }
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
