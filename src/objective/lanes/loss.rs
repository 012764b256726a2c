//! Softmax cross-entropy of the logits in the lanes of a block.

/// What is known of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImageLoss {
    /// Cross-entropy.
    pub loss: f64,
    /// Whether the largest logit is the label's.
    pub correct: bool,
}

/// Loss of every image of a block: `logits` `[classes, lanes]`, one label an image. The gradient of `scale` times the
/// loss goes to `gradient` `[classes, lanes]`, 0 in lanes without an image.
pub fn cross_entropy(
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
            let own = row[label];
            for z in &mut row {
                *z = (*z - largest).exp();
            }
            let sum: f64 = row.iter().sum();
            if let Some(gradient) = &mut gradient {
                let skipped = usize::from(two_classes);
                let targets = gradient[lane..].iter_mut().step_by(lanes);
                for (class, target) in (skipped..).zip(targets) {
                    let hit = if class == label { 1.0 } else { 0.0 };
                    *target = (scale * (row[class] / sum - hit)) as f32;
                }
            }
            ImageLoss {
                loss: sum.ln() + largest - own,
                correct: best == label,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_do_not_overflow_and_gradients_sum_to_zero() {
        let logits = [1000.0, 0.0, 999.0, 1.0, -1000.0, 2.0];
        let mut gradient = [9.0; 6];
        let losses = cross_entropy(&logits, false, 2, &[1, 2], 0.5, Some(&mut gradient));
        let first = (1.0 + 1.0_f64.exp()).ln();
        assert!((losses[0].loss - first).abs() < 1e-12 && !losses[0].correct);
        assert!(losses[1].correct);
        for lane in 0..2 {
            let sum: f32 = gradient[lane..].iter().step_by(2).sum();
            assert!(sum.abs() < 1e-7, "{gradient:?}");
        }
    }

    #[test]
    fn one_logit_stands_for_two_classes() {
        let mut gradient = [0.0; 1];
        let losses = cross_entropy(&[2.0], true, 1, &[0], 1.0, Some(&mut gradient));
        assert!((losses[0].loss - (1.0 + 2.0_f64.exp()).ln()).abs() < 1e-12 && !losses[0].correct);
        let sigmoid = 1.0 / (1.0 + (-2.0_f64).exp());
        assert!((f64::from(gradient[0]) - sigmoid).abs() < 1e-7);
    }
}
