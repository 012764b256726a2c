//! SGD without momentum, over batches that are drawn without replacement within an epoch.

use super::full_batch::{Look, Until, check_learning_rate, descend, look};
use crate::error::{Error, Result};
use crate::random::{Purpose, Random};

/// The loss of a batch and its gradient `[d]`, at a point `[d]`, for the indices of the batch's images.
pub type BatchFunction<'a> = dyn FnMut(&[f32], &[usize]) -> Result<(f64, Vec<f32>)> + 'a;

/// Batches of images: in an epoch every image is in one of them. Orders are those of a run with the same seed.
#[derive(Clone, Debug)]
pub struct Batches {
    images: usize,
    size: usize,
    seed: u64,
    /// The epoch that is under way, counted from 1; 0 before the first batch.
    epoch: u32,
    order: Vec<usize>,
    /// Images of the epoch that have been drawn.
    drawn: usize,
}

impl Batches {
    /// Of so many images, in batches of a size; the last of an epoch is smaller where the size does not divide them.
    ///
    /// # Errors
    /// [`Error::Option`] for batches of no image, or of more than there are.
    pub fn new(images: usize, size: usize, seed: u64) -> Result<Self> {
        if !(1..=images).contains(&size) {
            return Err(Error::option(
                "batch-size",
                size,
                format!("it must be from 1 to {images}, the number of training images"),
            ));
        }
        Ok(Self {
            images,
            size,
            seed,
            epoch: 0,
            order: Vec::new(),
            drawn: 0,
        })
    }

    /// Indices of the next batch's images.
    pub fn draw(&mut self) -> &[usize] {
        if self.drawn == self.order.len() {
            self.epoch += 1;
            self.order = Random::new(self.seed, Purpose::Shuffle, self.epoch).permutation(self.images);
            self.drawn = 0;
        }
        let start = self.drawn;
        self.drawn = (start + self.size).min(self.images);
        &self.order[start..self.drawn]
    }
}

/// w ← w − η·∇f_B(w), with the mean f_B of a batch's losses.
#[derive(Clone, Debug)]
pub struct PlainSgd {
    parameters: Vec<f32>,
    learning_rate: f64,
    batches: Batches,
    steps: usize,
}

impl PlainSgd {
    /// From a point `[d]`, with learning rate η.
    ///
    /// # Errors
    /// As [`check_learning_rate`].
    pub fn new(parameters: Vec<f32>, learning_rate: f64, batches: Batches) -> Result<Self> {
        check_learning_rate(learning_rate)?;
        Ok(Self {
            parameters,
            learning_rate,
            batches,
            steps: 0,
        })
    }

    /// Where it is, `[d]`.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Steps made.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Takes a step on the next batch. The look is at that batch alone, so that only a loss, a gradient or a weight
    /// that is not finite ends it.
    ///
    /// # Errors
    /// What the function's making meets; its batch is then left out.
    pub fn step(&mut self, function: &mut BatchFunction) -> Result<Look> {
        let (loss, gradient) = function(&self.parameters, self.batches.draw())?;
        let forever = Until {
            loss: f64::NEG_INFINITY,
            gradient: f64::NEG_INFINITY,
            steps: usize::MAX,
        };
        let look = look(&self.parameters, loss, &gradient, self.steps, &forever);
        if look.end.is_none() {
            descend(&mut self.parameters, &gradient, self.learning_rate);
            self.steps += 1;
        }
        Ok(look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::full_batch::End;

    #[test]
    fn in_an_epoch_every_image_is_in_one_batch() {
        let mut batches = Batches::new(10, 4, 3).unwrap();
        let mut orders = Vec::new();
        for epoch in 1..=3 {
            let drawn: Vec<Vec<usize>> = (0..3).map(|_| batches.draw().to_vec()).collect();
            assert_eq!(drawn.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
            let order = drawn.concat();
            // That of the trainer's epoch.
            assert_eq!(order, Random::new(3, Purpose::Shuffle, epoch).permutation(10));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
            orders.push(order);
        }
        assert!(orders[0] != orders[1] && orders[1] != orders[2]);
        let mut other = Batches::new(10, 4, 4).unwrap();
        assert_ne!(other.draw(), &orders[0][..4]);
        assert_eq!(Batches::new(5, 5, 1).unwrap().draw().len(), 5);
        for size in [0, 11] {
            let message = Batches::new(10, size, 1).unwrap_err().to_string();
            assert!(
                message.starts_with("batch-size") && message.contains("1 to 10"),
                "{message}"
            );
        }
    }

    /// ½hᵢw² of image i.
    const CURVATURES: [f64; 4] = [0.5, 1.0, 0.25, 2.0];

    fn mean(w: &[f32], batch: &[usize]) -> Result<(f64, Vec<f32>)> {
        let curvature = batch.iter().map(|&image| CURVATURES[image]).sum::<f64>() / batch.len() as f64;
        let w = f64::from(w[0]);
        Ok((0.5 * curvature * w * w, vec![(curvature * w) as f32]))
    }

    #[test]
    fn every_step_has_its_own_batchs_factor() {
        for size in [1, 2, 4] {
            let mut sgd = PlainSgd::new(vec![1.0], 0.25, Batches::new(4, size, 7).unwrap()).unwrap();
            let mut batches = Batches::new(4, size, 7).unwrap();
            let mut w = 1.0_f64;
            for step in 0..12 {
                let look = sgd.step(&mut mean).unwrap();
                let (loss, _) = mean(&[w as f32], batches.clone().draw()).unwrap();
                // Some roundings of single precision a step.
                assert!((look.loss / loss - 1.0).abs() < 1e-5, "{look:?} {loss}");
                assert_eq!((look.steps, look.end), (step, None));
                let batch = batches.draw();
                let curvature = batch.iter().map(|&image| CURVATURES[image]).sum::<f64>() / size as f64;
                w *= 1.0 - 0.25 * curvature;
                assert!((f64::from(sgd.parameters()[0]) / w - 1.0).abs() < 1e-5);
            }
            assert_eq!(sgd.steps(), 12);
        }
        // In one epoch of batches of one, all factors come once, in whatever order.
        let mut sgd = PlainSgd::new(vec![1.0], 0.25, Batches::new(4, 1, 5).unwrap()).unwrap();
        for _ in 0..4 {
            sgd.step(&mut mean).unwrap();
        }
        let product: f64 = CURVATURES.iter().map(|h| 1.0 - 0.25 * h).product();
        assert!((f64::from(sgd.parameters()[0]) / product - 1.0).abs() < 1e-6);
    }

    #[test]
    fn it_diverges_where_the_loss_of_a_batch_does() {
        let mut sgd = PlainSgd::new(vec![1.0], 40.0, Batches::new(4, 1, 5).unwrap()).unwrap();
        let end = (0..1000).find_map(|_| sgd.step(&mut mean).unwrap().end);
        assert_eq!(end, Some(End::Diverged));
        let steps = sgd.steps();
        assert_eq!(sgd.step(&mut mean).unwrap().end, Some(End::Diverged));
        assert_eq!(sgd.steps(), steps);
        assert!(PlainSgd::new(vec![1.0], 0.0, Batches::new(4, 1, 5).unwrap()).is_err());
    }
}
