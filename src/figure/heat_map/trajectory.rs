//! The trajectory on a surface: a line with a dot a step, the fainter the farther it runs from the plane.

use super::HeatMap;
use super::layout::Frame;
use super::stroke::{LINE, Stroke, dot};

/// Most dots on a trajectory: of a longer one, every so many-th step has its dot.
const MOST_DOTS: usize = 120;

impl HeatMap<'_> {
    /// The trajectory's line with a white seam, and its dots.
    pub(super) fn trajectory(&self, frame: &Frame, unit: f64) -> Vec<Stroke> {
        let farthest = self.record.fading();
        let steps = &self.record.trajectory;
        let shown = self
            .until
            .map_or(steps.len(), |until| until.saturating_add(1).min(steps.len()));
        let points: Vec<([f64; 2], f64)> = steps[..shown]
            .iter()
            .map(|step| (frame.pixel(step.position), step.opacity(farthest)))
            .collect();
        let mut lines: Vec<Stroke> = Vec::new();
        for pair in points.windows(2) {
            let [(from, first), (to, second)] = [pair[0], pair[1]];
            let Some([from, to]) = frame.clip(from, to) else {
                continue;
            };
            let opacity = 0.5 * (first + second);
            match lines.last_mut() {
                // In one stroke, where pieces meet they do not cover each other twice.
                Some(line) if line.opacity == opacity && line.points.last() == Some(&from) => line.points.push(to),
                _ => lines.push(Stroke {
                    points: vec![from, to],
                    width: 3.0 * unit,
                    colour: LINE,
                    opacity,
                }),
            }
        }
        let seam = |line: &Stroke| Stroke {
            width: 6.0 * unit,
            colour: [255; 3],
            opacity: 0.7 * line.opacity,
            ..line.clone()
        };
        let mut strokes: Vec<Stroke> = lines.iter().map(seam).collect();
        strokes.append(&mut lines);
        // By the whole trajectory, so that dots stay where they are while it grows.
        let every = steps.len().div_ceil(MOST_DOTS).max(1);
        let dots = points.iter().step_by(every).filter(|(at, _)| frame.contains(*at));
        strokes.extend(dots.flat_map(|&(at, opacity)| dot(at, 10.0 * unit, 7.0 * unit, opacity)));
        if let (Some(_), Some(&(at, opacity))) = (self.until, points.last())
            && frame.contains(at)
        {
            strokes.extend(dot(at, 20.0 * unit, 15.0 * unit, opacity));
        }
        strokes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::heat_map::test_surface::{SIZE, heat_map, record, seen};
    use crate::landscape::SurfaceRecord;

    #[test]
    fn the_trajectory_grows_and_fades_with_its_distance() {
        let mut record = record(5, |a, b| a + b);
        let step = |k: f64| seen("", [0.2 * k - 0.4, 0.1 * k], 0.1 * k);
        record.trajectory = [0.0, 1.0, 2.0, 3.0].map(step).to_vec();
        let svg = |record: &SurfaceRecord, until| {
            let map = HeatMap {
                until,
                ..heat_map(record)
            };
            map.svg(SIZE).unwrap()
        };
        let all = svg(&record, None);
        assert_eq!(all.matches("<circle").count(), 8);
        assert_eq!(svg(&record, Some(1)).matches("<circle").count(), 6);
        assert!(all.contains("fainter: farther from the plane, at most 0.3"));
        assert_eq!(all.matches("opacity=\"0.25\"").count(), 2);
        for step in &mut record.trajectory {
            step.distance *= 0.01;
        }
        let near = svg(&record, None);
        assert!(!near.contains("fainter") && !near.contains("opacity=\"0.25\""));
    }
}
