//! Curves that are linear between neighbouring measured positions with finite losses.

use crate::error::{Error, Result};

/// Neighbouring nodes (position, loss) with finite losses, two at least.
pub(super) type Stretch = Vec<(f64, f64)>;

/// Refuses a curve whose positions are not finite or do not ascend.
pub(in crate::landscape) fn ascending(points: &[(f64, f64)], name: &str) -> Result<()> {
    let finite = points.iter().all(|node| node.0.is_finite());
    match finite && points.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        true => Ok(()),
        false => Err(Error::Request(format!(
            "the positions of the {name} curve do not ascend"
        ))),
    }
}

/// The pieces between neighbouring finite losses, joined, and the others.
pub(super) fn stretches(points: &[(f64, f64)]) -> (Vec<Stretch>, Vec<(f64, f64)>) {
    let (mut known, mut unknown): (Vec<Stretch>, Vec<(f64, f64)>) = Default::default();
    for pair in points.windows(2) {
        let (start, end) = (pair[0], pair[1]);
        if start.1.is_finite() && end.1.is_finite() {
            match known.last_mut() {
                Some(stretch) if stretch.last() == Some(&start) => stretch.push(end),
                _ => known.push(vec![start, end]),
            }
        } else {
            match unknown.last_mut() {
                Some(piece) if piece.1 == start.0 => piece.1 = end.0,
                _ => unknown.push((start.0, end.0)),
            }
        }
    }
    (known, unknown)
}

/// The part of a stretch within a range.
pub(super) fn clipped(stretch: &[(f64, f64)], (start, end): (f64, f64)) -> Option<Stretch> {
    let (from, to) = (start.max(stretch[0].0), end.min(stretch[stretch.len() - 1].0));
    if from >= to {
        return None;
    }
    let mut part = vec![(from, piece(stretch, from).0)];
    part.extend(stretch.iter().filter(|node| from < node.0 && node.0 < to));
    part.push((to, piece(stretch, to).0));
    Some(part)
}

/// Value and slope of a stretch at a position within it.
pub(super) fn piece(stretch: &[(f64, f64)], position: f64) -> (f64, f64) {
    let right = stretch
        .partition_point(|node| node.0 <= position)
        .clamp(1, stretch.len() - 1);
    let ((x0, y0), (x1, y1)) = (stretch[right - 1], stretch[right]);
    let share = ((position - x0) / (x1 - x0)).clamp(0.0, 1.0);
    ((1.0 - share) * y0 + share * y1, (y1 - y0) / (x1 - x0))
}
