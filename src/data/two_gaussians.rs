//! The data of the two-parameter example (*Asymmetric Valleys*, NeurIPS version, Appendix A): ten numbers from
//! N(1, 1) labelled 0 and ten from N(−1, 1) labelled 1. The test split is a fresh draw of a thousand of each.

use super::{Dataset, Normalisation, Pixels, Split};
use crate::random::{Purpose, Random};

const TRAIN_PER_CLASS: usize = 10;
const TEST_PER_CLASS: usize = 1000;

pub(super) fn dataset(name: &str, seed: u64) -> Dataset {
    Dataset {
        name: name.to_owned(),
        shape: [1, 1, 1],
        classes: vec!["N(1, 1)".to_owned(), "N(−1, 1)".to_owned()],
        train: split(Random::new(seed, Purpose::TrainData, 0), TRAIN_PER_CLASS),
        test: split(Random::new(seed, Purpose::TestData, 0), TEST_PER_CLASS),
        normalisation: Normalisation::none(1),
        shift: 0,
        flip: false,
        padding: vec![0.0],
        mixed: false,
    }
}

fn split(mut random: Random, per_class: usize) -> Split {
    let labels: Vec<u32> = (0..2 * per_class).map(|i| u32::from(i >= per_class)).collect();
    let images: Vec<f32> = labels
        .iter()
        .map(|&label| random.normal() + if label == 0 { 1.0 } else { -1.0 })
        .collect();
    Split {
        images: Pixels::Floats(images),
        labels,
    }
}
