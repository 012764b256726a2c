//! The built-in data set: small colour images of ten shapes, drawn from fixed seeds, the same on every platform.

use super::{Dataset, Normalisation, Pixels, Split};
use crate::random::{Purpose, Random};

/// Training images unless asked otherwise.
pub const TRAIN_IMAGES: usize = 4000;
/// Test images unless asked otherwise.
pub const TEST_IMAGES: usize = 2000;
/// Most images of either split.
pub const MOST_IMAGES: usize = 100_000;

const SIDE: usize = 16;
const CHANNELS: usize = 3;
const NOISE: f32 = 0.12;
const MEAN: f32 = 0.5;
const DEVIATION: f32 = 0.3;
/// Samples per pixel and axis: edges are antialiased, so that a shape is not given away by its staircase.
const SUPERSAMPLES: usize = 3;
const CLASSES: [&str; 10] = [
    "disk",
    "square",
    "triangle",
    "plus",
    "ring",
    "diamond",
    "vertical bars",
    "horizontal bars",
    "checkerboard",
    "cross",
];
const SEED: u64 = 0x5eed;

pub(super) fn dataset(name: &str, train: usize, test: usize) -> Dataset {
    Dataset {
        name: name.to_owned(),
        shape: [CHANNELS, SIDE, SIDE],
        classes: CLASSES.map(str::to_owned).to_vec(),
        train: split(Purpose::TrainData, train),
        test: split(Purpose::TestData, test),
        normalisation: Normalisation::new(&[MEAN; CHANNELS], &[DEVIATION; CHANNELS]),
        shift: 2,
        flip: true,
        padding: vec![(0.0 - MEAN) / DEVIATION; CHANNELS],
        mixed: false,
    }
}

/// `count` images, the classes in turn so that any prefix is balanced. Image i has a stream of its own, so a smaller
/// set is a prefix of a larger one.
fn split(purpose: Purpose, count: usize) -> Split {
    let mut images = Vec::with_capacity(count * CHANNELS * SIDE * SIDE);
    let mut labels = Vec::with_capacity(count);
    for index in 0..count {
        let class = index % CLASSES.len();
        labels.push(class as u32);
        draw(class, &mut Random::new(SEED, purpose, index as u32), &mut images);
    }
    Split {
        images: Pixels::Floats(images),
        labels,
    }
}

fn draw(class: usize, random: &mut Random, images: &mut Vec<f32>) {
    let side = SIDE as f32;
    let centre = [
        random.uniform_in(0.36, 0.64) * side,
        random.uniform_in(0.36, 0.64) * side,
    ];
    let size = random.uniform_in(3.6, 6.0);
    let angle = random.uniform_in(-1.0, 1.0) * 30.0_f32.to_radians();
    let (sine, cosine) = (libm::sinf(angle), libm::cosf(angle));
    let background: [f32; CHANNELS] = std::array::from_fn(|_| random.uniform());
    // A foreground too close to the background would leave nothing to see: keep the most distant of a few draws.
    let foreground = (0..3)
        .map(|_| std::array::from_fn::<f32, CHANNELS, _>(|_| random.uniform()))
        .max_by(|a, b| contrast(a, &background).total_cmp(&contrast(b, &background)))
        .unwrap_or(background);
    let mut coverage = [0.0_f32; SIDE * SIDE];
    let step = 1.0 / SUPERSAMPLES as f32;
    for (pixel, value) in coverage.iter_mut().enumerate() {
        let (row, column) = (pixel / SIDE, pixel % SIDE);
        let mut inside = 0;
        for sample in 0..SUPERSAMPLES * SUPERSAMPLES {
            let dx = column as f32 + (sample % SUPERSAMPLES) as f32 * step + 0.5 * step - centre[0];
            let dy = row as f32 + (sample / SUPERSAMPLES) as f32 * step + 0.5 * step - centre[1];
            let x = (cosine * dx + sine * dy) / size;
            let y = (cosine * dy - sine * dx) / size;
            inside += usize::from(contains(class, x, y));
        }
        *value = inside as f32 * step * step;
    }
    for channel in 0..CHANNELS {
        for &coverage in &coverage {
            let colour = background[channel] + coverage * (foreground[channel] - background[channel]);
            images.push((colour + NOISE * random.normal() - MEAN) / DEVIATION);
        }
    }
}

fn contrast(a: &[f32; CHANNELS], b: &[f32; CHANNELS]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Whether the point (x, y) lies in the shape of unit size, in the shape's own axes.
fn contains(class: usize, x: f32, y: f32) -> bool {
    let radius = x * x + y * y;
    let box_distance = x.abs().max(y.abs());
    let stripe = |v: f32| ((v + 0.9) / 0.36).floor() as i32 % 2 == 0;
    match class {
        0 => radius <= 0.8,
        1 => box_distance <= 0.8,
        2 => y <= 0.75 && y >= -0.95 + 1.9 * x.abs(),
        3 => box_distance <= 0.95 && (x.abs() <= 0.3 || y.abs() <= 0.3),
        4 => (0.36..=0.95).contains(&radius),
        5 => x.abs() + y.abs() <= 1.05,
        6 => box_distance <= 0.9 && stripe(x),
        7 => box_distance <= 0.9 && stripe(y),
        8 => box_distance <= 0.9 && stripe(x) == stripe(y),
        _ => box_distance <= 0.95 && ((x - y).abs() <= 0.4 || (x + y).abs() <= 0.4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(split: &Split) -> &[f32] {
        match &split.images {
            Pixels::Floats(values) => values,
            Pixels::Bytes(_) => panic!("the built-in images are numbers"),
        }
    }

    #[test]
    fn a_smaller_set_is_a_prefix_and_splits_differ() {
        let small = dataset("builtin", 20, 20);
        let large = dataset("builtin", 40, 20);
        assert_eq!(floats(&small.train)[..], floats(&large.train)[..20 * 768]);
        assert_ne!(small.train.images, small.test.images);
        assert_eq!(small.train.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn the_set_is_the_same_on_every_platform() {
        // The sum of all bit patterns: any change of a generator, a constant or a library function shows here.
        let set = dataset("builtin", 200, 100);
        let checksum = |split: &Split| {
            floats(split)
                .iter()
                .fold(0u64, |sum, v| sum.wrapping_mul(31).wrapping_add(u64::from(v.to_bits())))
        };
        assert_eq!(
            (checksum(&set.train), checksum(&set.test)),
            (TRAIN_CHECKSUM, TEST_CHECKSUM)
        );
    }

    const TRAIN_CHECKSUM: u64 = 15_273_313_208_283_618_964;
    const TEST_CHECKSUM: u64 = 16_221_467_562_429_369_041;

    #[test]
    fn every_shape_covers_a_fair_part_of_the_image() {
        for (class, name) in CLASSES.iter().enumerate() {
            let inside = (0..10_000)
                .filter(|i| contains(class, (i % 100) as f32 / 50.0 - 1.0, (i / 100) as f32 / 50.0 - 1.0))
                .count();
            assert!((2000..8000).contains(&inside), "{name}: {inside}");
        }
    }
}
