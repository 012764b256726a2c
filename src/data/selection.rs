//! Choosing from a data set: classes, a random part of the images, and random labels for the noise papers.

use super::{Dataset, Part, Pixels, Specification, Split};
use crate::error::Result;
use crate::random::{Purpose, Random};

/// Keeps what the options `classes`, `subset`, `test-subset` and `random-labels` ask for, in this order.
pub(super) fn apply(data: &mut Dataset, specification: &Specification) -> Result<()> {
    if matches!(data.train.images, Pixels::Floats(_)) {
        // Refuses the options that only bytes have.
        specification.per_channel("mean", &[], false)?;
        specification.per_channel("std", &[], false)?;
    }
    if let Some(classes) = specification.option("classes") {
        choose_classes(data, classes, specification)?;
    }
    let seed = specification.seed("data-seed")?;
    for (name, part) in [("subset", Part::Train), ("test-subset", Part::Test)] {
        let total = data.split(part).len();
        let count = specification.number(name, total, 1..=total)?;
        if count < total {
            let index = u32::from(part == Part::Test);
            let mut chosen = Random::new(seed, Purpose::Subset, index).permutation(total);
            chosen.truncate(count);
            chosen.sort_unstable();
            keep(data, part, &chosen);
        }
    }
    let total = data.train.len();
    let corrupted = specification.number("random-labels", 0, 0..=total)?;
    let mut random = Random::new(seed, Purpose::RandomLabels, 0);
    let order = random.permutation(total);
    for &index in &order[..corrupted] {
        data.train.labels[index] = random.below(data.classes.len()) as u32;
    }
    Ok(())
}

/// Puts a split that lies class by class into a random order that is always the same: any first few images, and any
/// batch, then hold all classes. True when it was so.
pub(super) fn mix_sorted(data: &mut Dataset, part: Part) -> bool {
    let labels = &data.split(part).labels;
    let repeats = labels.windows(2).any(|pair| pair[0] == pair[1]);
    if !labels.is_sorted() || !repeats || labels.first() == labels.last() {
        return false;
    }
    let size: usize = data.shape.iter().product();
    let split = split_mut(data, part);
    let mut random = Random::new(0, Purpose::Order, u32::from(part == Part::Test));
    for index in (1..split.len()).rev() {
        let other = random.below(index + 1);
        split.labels.swap(index, other);
        match &mut split.images {
            Pixels::Floats(values) => swap_images(values, index, other, size),
            Pixels::Bytes(values) => swap_images(values, index, other, size),
        }
    }
    true
}

fn swap_images<T>(values: &mut [T], later: usize, earlier: usize, size: usize) {
    if later != earlier {
        let (head, tail) = values.split_at_mut(later * size);
        head[earlier * size..(earlier + 1) * size].swap_with_slice(&mut tail[..size]);
    }
}

fn choose_classes(data: &mut Dataset, classes: &str, specification: &Specification) -> Result<()> {
    let mut chosen: Vec<usize> = Vec::new();
    for class in classes.split(',').map(str::trim) {
        let index = data
            .classes
            .iter()
            .position(|name| name == class)
            .or_else(|| class.parse().ok().filter(|index| *index < data.classes.len()));
        let Some(index) = index.filter(|index| !chosen.contains(index)) else {
            return Err(specification.error(format!(
                "`{class}` is not a class, or named twice; there are 0 to {}: {}",
                data.classes.len() - 1,
                data.classes.iter().take(20).cloned().collect::<Vec<_>>().join(", ")
            )));
        };
        chosen.push(index);
    }
    if chosen.len() < 2 {
        return Err(specification.error("choose at least two classes: with one there is nothing to tell apart"));
    }
    for part in Part::BOTH {
        let wanted: Vec<usize> = (0..data.split(part).len())
            .filter(|&i| chosen.contains(&(data.split(part).labels[i] as usize)))
            .collect();
        if wanted.is_empty() {
            return Err(specification.error(format!("no {} image is of these classes", part.name())));
        }
        keep(data, part, &wanted);
        for label in &mut split_mut(data, part).labels {
            *label = chosen.iter().position(|&c| c == *label as usize).unwrap_or(0) as u32;
        }
    }
    data.classes = chosen.iter().map(|&c| data.classes[c].clone()).collect();
    Ok(())
}

fn split_mut(data: &mut Dataset, part: Part) -> &mut Split {
    match part {
        Part::Train => &mut data.train,
        Part::Test => &mut data.test,
    }
}

/// Keeps the images of these indices, which ascend, and gives the memory of the others back.
fn keep(data: &mut Dataset, part: Part, indices: &[usize]) {
    let size = data.shape.iter().product();
    let split = split_mut(data, part);
    match &mut split.images {
        Pixels::Floats(values) => compact(values, indices, size),
        Pixels::Bytes(values) => compact(values, indices, size),
    }
    compact(&mut split.labels, indices, 1);
}

fn compact<T: Copy>(values: &mut Vec<T>, indices: &[usize], size: usize) {
    for (to, &from) in indices.iter().enumerate() {
        values.copy_within(from * size..(from + 1) * size, to * size);
    }
    values.truncate(indices.len() * size);
    values.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(options: &str) -> Dataset {
        Dataset::open(&format!("builtin:train=200:test=100{options}")).unwrap()
    }

    fn first_pixels(data: &Dataset) -> Vec<u32> {
        let Pixels::Floats(values) = &data.train.images else {
            panic!("the built-in images are numbers")
        };
        values.chunks(768).map(|image| image[0].to_bits()).collect()
    }

    #[test]
    fn classes_are_chosen_and_numbered_anew() {
        let all = open("");
        let two = open(":classes=ring,1");
        assert_eq!(two.classes, ["ring", "square"]);
        assert_eq!((two.train.len(), two.test.len()), (40, 20));
        let expected: Vec<u32> = (0..200)
            .filter(|&i| [4, 1].contains(&all.train.labels[i]))
            .map(|i| first_pixels(&all)[i])
            .collect();
        assert_eq!(first_pixels(&two), expected);
        assert_eq!(two.train.labels[..2], [1, 0]);
        for (options, part) in [
            (":classes=4", "at least two"),
            (":classes=4,4", "named twice"),
            (":classes=4,10", "is not a class"),
            (":subset=201", "from 1 to 200"),
            (":random-labels=201", "from 0 to 200"),
        ] {
            let error = Dataset::open(&format!("builtin:train=200:test=100{options}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{options}: {error}");
        }
    }

    #[test]
    fn a_subset_is_the_same_every_time_and_in_order() {
        let all = first_pixels(&open(""));
        let some = open(":subset=50");
        assert_eq!((some.train.len(), some.test.len()), (50, 100));
        assert_eq!(first_pixels(&some), first_pixels(&open(":subset=50")));
        assert_ne!(first_pixels(&some), first_pixels(&open(":subset=50:data-seed=1")));
        let places: Vec<usize> = first_pixels(&some)
            .iter()
            .map(|pixel| all.iter().position(|p| p == pixel).unwrap())
            .collect();
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn what_lies_class_by_class_is_mixed_with_its_labels() {
        let mut data = open(":classes=0,1,2");
        // Every pixel of an image says which image it was; classes one after another.
        data.train.labels.sort_unstable();
        let labels = data.train.labels.clone();
        let count = labels.len();
        data.shape = [1, 1, 2];
        data.train.images = Pixels::Bytes((0..count).flat_map(|i| [i as u8, i as u8]).collect());
        assert!(mix_sorted(&mut data, Part::Train));
        assert!(!mix_sorted(&mut data, Part::Train));
        let Pixels::Bytes(values) = &data.train.images else {
            panic!("they are bytes")
        };
        for (pair, label) in values.chunks(2).zip(&data.train.labels) {
            assert_eq!((pair[0], *label), (pair[1], labels[usize::from(pair[0])]));
        }
        let first: std::collections::BTreeSet<u32> = data.train.labels[..10].iter().copied().collect();
        assert_eq!(first.len(), 3, "all classes are among the first ten");
    }

    #[test]
    fn random_labels_fall_on_the_training_images_asked_for() {
        let (all, noisy) = (open(""), open(":random-labels=100"));
        let changed = all
            .train
            .labels
            .iter()
            .zip(&noisy.train.labels)
            .filter(|(a, b)| a != b)
            .count();
        // A random label is right one time in ten: 90 expected, four standard deviations are 12.
        assert!((78..=100).contains(&changed), "{changed}");
        assert_eq!(all.test, noisy.test);
    }
}
