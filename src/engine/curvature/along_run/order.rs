//! In which order epochs are measured, so that a rough curve stands early and fills in.

/// The epoch to be measured next of those from 0 to `snapshots` − 1, where those in `done`, in rising order, need it no
/// more: the first, the last, and then the middle of the widest gap between two that are done, the earliest of several.
/// A run that grows has another last one. Nothing once all are done.
pub fn next(done: impl Iterator<Item = usize>, snapshots: usize) -> Option<usize> {
    let last = snapshots.checked_sub(1)?;
    let done: Vec<usize> = done.take_while(|&epoch| epoch <= last).collect();
    if done.first() != Some(&0) {
        return Some(0);
    }
    if done.last() != Some(&last) {
        return Some(last);
    }
    let gaps = done.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
    let widest = gaps.reduce(|widest, gap| if gap.1 > widest.1 { gap } else { widest });
    widest
        .filter(|(_, width)| *width > 1)
        .map(|(start, width)| start + width / 2)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Epochs in the order in which they are measured.
    fn order(done: &mut BTreeSet<usize>, snapshots: usize) -> Vec<usize> {
        let step = || {
            let epoch = next(done.iter().copied(), snapshots)?;
            assert!(done.insert(epoch), "{epoch} is measured twice");
            Some(epoch)
        };
        std::iter::from_fn(step).collect()
    }

    #[test]
    fn the_ends_come_first_and_then_the_middles() {
        let order = |snapshots| order(&mut BTreeSet::new(), snapshots);
        assert!(order(0).is_empty());
        assert_eq!(order(1), [0]);
        assert_eq!(order(2), [0, 1]);
        assert_eq!(order(9), [0, 8, 4, 2, 6, 1, 3, 5, 7]);
        assert_eq!(order(7), [0, 6, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn of_a_run_that_grows_the_newest_epoch_comes_first() {
        let mut done = BTreeSet::from([0, 4, 2]);
        assert_eq!(next(done.iter().copied(), 6), Some(5));
        assert_eq!(order(&mut done, 6), [5, 1, 3]);
        assert_eq!(order(&mut done, 9), [8, 6, 7]);
        // What lies beyond is not asked for.
        assert_eq!(next(done.iter().copied(), 4), None);
    }

    proptest! {
        #[test]
        fn whatever_is_done_each_other_epoch_is_measured_once_and_gaps_shrink(
            known in prop::collection::btree_set(0_usize..60, 0..30),
            snapshots in 1_usize..60,
        ) {
            let mut done = known.clone();
            let found = order(&mut done, snapshots);
            let missing = (0..snapshots).filter(|epoch| !known.contains(epoch)).count();
            prop_assert_eq!(found.len(), missing);
            prop_assert!(found.iter().all(|&epoch| epoch < snapshots));
            // After the ends, the widest gap never grows.
            let mut done = known;
            done.retain(|&epoch| epoch < snapshots);
            done.extend([0, snapshots - 1]);
            let mut before = usize::MAX;
            for epoch in found.into_iter().filter(|epoch| !done.contains(epoch)).collect::<Vec<_>>() {
                let epochs: Vec<usize> = done.iter().copied().collect();
                let widest = epochs.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
                prop_assert!(widest <= before);
                let around = epochs.partition_point(|&known| known < epoch);
                prop_assert_eq!(epochs[around] - epochs[around - 1], widest);
                before = widest;
                done.insert(epoch);
            }
        }
    }
}
