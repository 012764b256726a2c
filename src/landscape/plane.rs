//! A plane through parameter space: w + a·u + b·v for two directions, or through three solutions, and where any other
//! point lies as seen from it.

use std::sync::Arc;

use super::axis::Axis;
use super::sweep::Slice;
use crate::error::{Error, Result};
use crate::objective::Solution;

/// Two directions whose angle has a sine below this are one: what tells them apart is rounding.
const PARALLEL: f64 = 1e-6;

/// What one step along an axis is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    /// The direction as it is given.
    #[default]
    Given,
    /// Orthogonal unit vectors that span the same plane, the first along the first direction (Gram and Schmidt; the
    /// construction of Garipov et al. 2018 for three solutions).
    Orthonormal,
}

/// The points w + a·e₁ + b·e₂. Its statistics, which the policy `running` holds fixed, are the origin's.
#[derive(Clone, Debug)]
pub struct Plane {
    origin: Arc<Solution>,
    axes: [Axis; 2],
    /// Column k: what one step along e_k is in the given directions.
    frame: [[f64; 2]; 2],
    /// ⟨dᵢ, dⱼ⟩ of the given directions.
    products: [[f64; 2]; 2],
}

/// A point of parameter space as seen from a plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foot {
    /// Positions of the nearest point of the plane.
    pub position: [f64; 2],
    /// Distance from there.
    pub distance: f64,
}

impl Plane {
    /// The plane through `origin` along two axes.
    ///
    /// # Errors
    /// When an axis has length 0 or is not finite, or the two are parallel.
    pub fn new(origin: Arc<Solution>, axes: [Axis; 2], frame: Frame) -> Result<Self> {
        let products = products(&origin.parameters, &axes);
        for (which, square) in ["first", "second"].into_iter().zip([products[0][0], products[1][1]]) {
            if !(square > 0.0 && square.is_finite()) {
                return Err(Error::Request(format!(
                    "the {which} direction of the plane has length {}: there is no way along it; choose another",
                    square.sqrt()
                )));
            }
        }
        let along = products[0][1] / products[0][0];
        // The part of the second direction across the first, measured entry by entry: a difference of squares would
        // have lost it.
        let across = axes[1]
            .entries(&origin.parameters)
            .zip(axes[0].entries(&origin.parameters))
            .map(|(v, u)| (v - along * u).powi(2))
            .sum::<f64>()
            .sqrt();
        if across < PARALLEL * products[1][1].sqrt() {
            return Err(Error::Request(
                "the two directions are parallel and span no plane; choose another direction, or another seed"
                    .to_owned(),
            ));
        }
        let frame = match frame {
            Frame::Given => [[1.0, 0.0], [0.0, 1.0]],
            Frame::Orthonormal => [[1.0 / products[0][0].sqrt(), -along / across], [0.0, 1.0 / across]],
        };
        Ok(Self {
            origin,
            axes,
            frame,
            products,
        })
    }

    /// w.
    pub fn origin(&self) -> &Arc<Solution> {
        &self.origin
    }

    /// Column k: what one step along axis k is, in multiples of the two given directions.
    pub fn frame(&self) -> [[f64; 2]; 2] {
        self.frame
    }

    /// Multiples of the two given directions at a position.
    pub fn multiples(&self, [a, b]: [f64; 2]) -> [f64; 2] {
        self.frame.map(|row| row[0] * a + row[1] * b)
    }

    /// The parameters at a position, computed in double precision and rounded once: along either axis the same as
    /// those of the line.
    pub fn point(&self, position: [f64; 2]) -> Vec<f32> {
        let origin = &self.origin.parameters;
        let mut point: Vec<f64> = origin.iter().map(|&w| f64::from(w)).collect();
        for (axis, multiple) in self.axes.iter().zip(self.multiples(position)) {
            axis.add(&mut point, origin, multiple);
        }
        point.into_iter().map(|value| value as f32).collect()
    }

    /// The direction `[d]` of a step in the plane.
    pub fn step(&self, step: [f64; 2]) -> Vec<f32> {
        let origin = &self.origin.parameters;
        let mut direction = vec![0.0; origin.len()];
        for (axis, multiple) in self.axes.iter().zip(self.multiples(step)) {
            axis.add(&mut direction, origin, multiple);
        }
        direction.into_iter().map(|value| value as f32).collect()
    }

    /// Angle between the two directions as given, in degrees.
    pub fn angle(&self) -> f64 {
        let [[first, both], [_, second]] = self.products;
        (both / (first * second).sqrt()).clamp(-1.0, 1.0).acos().to_degrees()
    }

    /// Lengths of one step along each axis.
    pub fn lengths(&self) -> [f64; 2] {
        [[1.0, 0.0], [0.0, 1.0]].map(|step| {
            let [a, b] = self.multiples(step);
            let [[first, both], [_, second]] = self.products;
            (a * a * first + 2.0 * a * b * both + b * b * second).max(0.0).sqrt()
        })
    }

    /// The nearest point of the plane to `parameters` `[d]` and its distance, by least squares: right for directions
    /// that are neither unit nor orthogonal.
    pub fn foot(&self, parameters: &[f32]) -> Foot {
        let origin = &self.origin.parameters;
        let offset = |index: usize| f64::from(parameters[index]) - f64::from(origin[index]);
        let along = self.axes.each_ref().map(|axis| {
            axis.entries(origin)
                .enumerate()
                .map(|(index, entry)| entry * offset(index))
                .sum::<f64>()
        });
        let [[first, both], [_, second]] = self.products;
        let determinant = first * second - both * both;
        let multiples = [
            (second * along[0] - both * along[1]) / determinant,
            (first * along[1] - both * along[0]) / determinant,
        ];
        let square: f64 = self.axes[0]
            .entries(origin)
            .zip(self.axes[1].entries(origin))
            .enumerate()
            .map(|(index, (u, v))| (offset(index) - multiples[0] * u - multiples[1] * v).powi(2))
            .sum();
        // The frame is upper triangular.
        let [[f00, f01], [_, f11]] = self.frame;
        let b = multiples[1] / f11;
        Foot {
            position: [(multiples[0] - f01 * b) / f00, b],
            distance: square.sqrt(),
        }
    }
}

impl Slice for Plane {
    type Position = [f64; 2];

    fn point(&self, position: [f64; 2]) -> Result<Vec<f32>> {
        Ok(self.point(position))
    }

    fn statistics(&self, _position: [f64; 2]) -> Result<Arc<Solution>> {
        Ok(self.origin.clone())
    }
}

fn products(origin: &[f32], axes: &[Axis; 2]) -> [[f64; 2]; 2] {
    let mut products = [[0.0; 2]; 2];
    for (u, v) in axes[0].entries(origin).zip(axes[1].entries(origin)) {
        products[0][0] += u * u;
        products[0][1] += u * v;
        products[1][1] += v * v;
    }
    products[1][0] = products[0][1];
    products
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::Line;
    use proptest::prelude::*;

    fn solution(parameters: &[f32]) -> Arc<Solution> {
        Arc::new(Solution {
            parameters: parameters.to_vec(),
            statistics: vec![],
        })
    }

    fn vector(length: usize) -> impl Strategy<Value = Vec<f32>> {
        proptest::collection::vec(-3.0_f32..3.0, length)
    }

    proptest! {
        #[test]
        fn the_central_row_and_column_are_the_two_lines_to_the_bit(
            w in vector(6), u in vector(6), to in vector(6), l in -4.0_f64..4.0,
        ) {
            let (w, u, to) = (solution(&w), Arc::new(u), solution(&to));
            let axes = [Axis::Along(u.clone()), Axis::Towards(to.clone())];
            if let Ok(plane) = Plane::new(w.clone(), axes, Frame::Given) {
                prop_assert_eq!(plane.point([l, 0.0]), Line::ray(w.clone(), u).point(l));
                prop_assert_eq!(plane.point([0.0, l]), Line::segment(w.clone(), to.clone()).point(l));
                prop_assert_eq!(plane.point([0.0, 1.0]), to.parameters.clone());
            }
        }

        #[test]
        fn a_point_of_the_plane_is_found_again_for_any_two_directions(
            w in vector(9), u in vector(9), v in vector(9), a in -4.0_f64..4.0, b in -4.0_f64..4.0, orthonormal: bool,
        ) {
            let frame = if orthonormal { Frame::Orthonormal } else { Frame::Given };
            let axes = [Axis::Along(Arc::new(u)), Axis::Along(Arc::new(v))];
            let plane = Plane::new(solution(&w), axes, frame).unwrap();
            prop_assume!(plane.angle().to_radians().sin() > 0.05);
            let foot = plane.foot(&plane.point([a, b]));
            let [first, second] = plane.lengths();
            // Parameters are rounded to single precision.
            prop_assert!((foot.position[0] - a).abs() < 1e-4 / first.min(1.0), "{foot:?}");
            prop_assert!((foot.position[1] - b).abs() < 1e-4 / second.min(1.0), "{foot:?}");
            prop_assert!(foot.distance < 1e-4);
        }

        #[test]
        fn an_orthonormal_frame_is_one_and_spans_the_same_plane(w in vector(7), a in vector(7), b in vector(7)) {
            let axes = [Axis::Towards(solution(&a)), Axis::Towards(solution(&b))];
            let plane = Plane::new(solution(&w), axes, Frame::Orthonormal).unwrap();
            let [first, second] = plane.lengths();
            prop_assert!((first - 1.0).abs() < 1e-9 && (second - 1.0).abs() < 1e-9);
            let (e1, e2) = (plane.step([1.0, 0.0]), plane.step([0.0, 1.0]));
            prop_assert!(crate::landscape::direction::dot(&e1, &e2).abs() < 1e-5);
            for solution in [&a, &b] {
                let foot = plane.foot(solution);
                let again = plane.point(foot.position);
                for (x, y) in again.iter().zip(solution) {
                    prop_assert!((x - y).abs() < 1e-6, "{x} and {y}");
                }
            }
        }
    }

    #[test]
    fn directions_that_span_no_plane_are_refused_in_words() {
        let message = |u: &[f32], v: &[f32]| {
            let axes = [u, v].map(|axis| Axis::Along(Arc::new(axis.to_vec())));
            Plane::new(solution(&[1.0, 2.0, 3.0]), axes, Frame::Given)
                .unwrap_err()
                .to_string()
        };
        assert!(message(&[1.0, 0.0, 2.0], &[-2.0, 0.0, -4.0]).contains("parallel"));
        assert!(message(&[0.0; 3], &[1.0, 0.0, 0.0]).contains("first direction"));
        assert!(message(&[1.0, 0.0, 0.0], &[f32::NAN, 0.0, 0.0]).contains("second direction"));
    }
}
