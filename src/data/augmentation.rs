//! Training augmentation: random shifts with black borders and left-right flips.

use super::{Dataset, Part};
use crate::random::Random;

/// Appends the training image `index` to `batch`, shifted and flipped at random as the data set allows.
pub fn push_augmented(dataset: &Dataset, index: usize, random: &mut Random, batch: &mut Vec<f32>) {
    let [_, height, width] = dataset.shape;
    let mut image = Vec::new();
    dataset.push_images(Part::Train, index..index + 1, &mut image);
    let reach = dataset.shift as isize;
    let mut shift = || random.below(2 * dataset.shift + 1) as isize - reach;
    let (down, right) = (shift(), shift());
    let flip = dataset.flip && random.below(2) == 1;
    for (channel, padding) in image.chunks_exact(height * width).zip(&dataset.padding) {
        for row in 0..height as isize {
            for column in 0..width as isize {
                let column = if flip { width as isize - 1 - column } else { column };
                let (from_row, from_column) = (row - down, column - right);
                let inside = (0..height as isize).contains(&from_row) && (0..width as isize).contains(&from_column);
                batch.push(if inside {
                    channel[from_row as usize * width + from_column as usize]
                } else {
                    *padding
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Pixels;
    use crate::random::Purpose;

    #[test]
    fn images_that_are_not_augmented_are_given_as_they_are() {
        let dataset = Dataset::open("builtin:train=3:test=1:augment=off").unwrap();
        let mut random = Random::new(1, Purpose::Augmentation, 1);
        let (mut given, mut plain) = (Vec::new(), Vec::new());
        for index in 0..3 {
            push_augmented(&dataset, index, &mut random, &mut given);
        }
        dataset.push_images(Part::Train, 0..3, &mut plain);
        assert_eq!(given, plain);
        assert_eq!(dataset.name, "builtin:train=3:test=1:augment=off");
    }

    #[test]
    fn every_shift_and_flip_occurs_and_only_those() {
        let mut dataset = Dataset::open("builtin:train=1:test=1").unwrap();
        dataset.train.images = Pixels::Floats((0..768).map(|v| v as f32 + 1.0).collect());
        dataset.padding = vec![0.0; 3];
        let mut random = Random::new(1, Purpose::Augmentation, 0);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let mut image = Vec::new();
            push_augmented(&dataset, 0, &mut random, &mut image);
            // The centre pixel tells the shift and, by its neighbour, the flip.
            let (centre, next) = (image[8 * 16 + 8], image[8 * 16 + 9]);
            let flipped = next < centre;
            let at = centre as usize - 1;
            let (row, column) = ((at / 16) as isize, (at % 16) as isize);
            seen.insert((8 - row, if flipped { 7 - column } else { 8 - column }, flipped));
        }
        assert_eq!(seen.len(), 50, "5 × 5 shifts, each with and without flip: {seen:?}");
        assert!(seen.iter().all(|(down, right, _)| down.abs() <= 2 && right.abs() <= 2));
    }
}
