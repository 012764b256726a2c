//! Points around a solution: drawn from a ball, and moved across a direction.

use crate::landscape::direction;
use crate::random::{Purpose, Random};

/// Part of the random numbers of directions that points of a ball are drawn from; directions are drawn from part 0.
const AROUND: u32 = 1;

/// A point `[d]` of the ball of a radius around 0, uniform in its volume: a direction from normal deviates, and a
/// distance whose d-th power is uniform.
pub(super) fn in_ball(dimensions: usize, radius: f64, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed, Purpose::Direction, AROUND);
    let mut values: Vec<f32> = (0..dimensions).map(|_| random.normal()).collect();
    let length = direction::dot(&values, &values).sqrt();
    let distance = radius * libm::pow(f64::from(random.uniform()), 1.0 / dimensions.max(1) as f64);
    if length > 0.0 {
        for value in &mut values {
            *value = (f64::from(*value) * distance / length) as f32;
        }
    }
    values
}

/// w + v − ⟨v, u⟩·u for a unit vector u: a point beside w across u.
pub(super) fn across(origin: &[f32], adjustment: &[f32], unit: &[f32]) -> Vec<f32> {
    let along = direction::dot(adjustment, unit);
    origin
        .iter()
        .zip(adjustment)
        .zip(unit)
        .map(|((&w, &v), &u)| (f64::from(w) + f64::from(v) - along * f64::from(u)) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_ball_lie_within_it_and_fill_it() {
        let radius = 2.5;
        let distances = |dimensions| -> Vec<f64> {
            (0..400)
                .map(|seed| {
                    let point = in_ball(dimensions, radius, seed);
                    direction::dot(&point, &point).sqrt()
                })
                .collect()
        };
        for dimensions in [1, 3, 500] {
            assert!(
                distances(dimensions)
                    .iter()
                    .all(|&distance| distance <= radius * (1.0 + 1e-6))
            );
        }
        // Half of a ball's volume lies within 2^(−1/d) of its radius; five standard errors of a share are 0.125.
        let half = radius * 0.5_f64.powf(1.0 / 3.0);
        let inside = distances(3).iter().filter(|&&distance| distance < half).count();
        assert!((inside as f64 / 400.0 - 0.5).abs() < 0.125, "{inside}");
        assert!(in_ball(0, radius, 1).is_empty());
    }

    #[test]
    fn a_point_beside_a_solution_lies_across_the_direction() {
        let mut random = Random::new(7, Purpose::Direction, 0);
        let origin: Vec<f32> = (0..200).map(|_| random.normal()).collect();
        let unit = direction::normalised((0..200).map(|_| random.uniform()).collect()).unwrap();
        let point = across(&origin, &in_ball(200, 3.0, 7), &unit);
        let step: Vec<f32> = point.iter().zip(&origin).map(|(a, b)| a - b).collect();
        assert!(direction::dot(&step, &unit).abs() < 1e-5);
        assert!(direction::dot(&step, &step).sqrt() > 2.0);
    }
}
