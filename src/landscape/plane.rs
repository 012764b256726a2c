//! A plane through parameter space: w + a·u + b·v for two directions, or through three solutions, and where any other
//! point lies as seen from it.

use std::sync::Arc;

use super::axis::Axis;
use super::sweep::Slice;
use crate::error::{Error, Result};
use crate::objective::Solution;

/// Two directions whose angle has a sine below this are one. Entries are in single precision and rounded by up to 6e-8 of
/// themselves: at this sine the rounding of both is a hundredth of what lies across, and at less it soon is all of it.
const PARALLEL: f64 = 1e-5;

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
    frame: Frame,
    /// How many times the first direction the second has along it; the rest of the second lies across.
    along: f64,
    /// Squared lengths of the first direction, and of the part of the second across it.
    squares: [f64; 2],
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
        let [first, second, both] = products(&origin.parameters, &axes);
        for (which, square) in ["first", "second"].into_iter().zip([first, second]) {
            if !(square > 0.0 && square.is_finite()) {
                return Err(Error::Request(format!(
                    "the {which} direction of the plane has length {}: there is no way along it; choose another",
                    square.sqrt()
                )));
            }
        }
        let mut along = both / first;
        // What rounding has left of the first direction in the rest of the second is little beside the second, but not
        // beside the rest of one that is nearly parallel.
        let left: f64 = orthogonal(&axes, &origin.parameters, along)
            .map(|(u, across)| u * across)
            .sum();
        along += left / first;
        // Measured entry by entry: a difference of squares would have lost it.
        let across: f64 = orthogonal(&axes, &origin.parameters, along)
            .map(|(_, across)| across * across)
            .sum();
        if across.sqrt() < PARALLEL * second.sqrt() {
            return Err(Error::Request(
                "the two directions are parallel and span no plane; choose another direction, or another seed"
                    .to_owned(),
            ));
        }
        Ok(Self {
            origin,
            axes,
            frame,
            along,
            squares: [first, across],
        })
    }

    /// w.
    pub fn origin(&self) -> &Arc<Solution> {
        &self.origin
    }

    /// Column k: what one step along axis k is, in multiples of the two given directions.
    pub fn frame(&self) -> [[f64; 2]; 2] {
        let [first, across] = self.squares.map(f64::sqrt);
        match self.frame {
            Frame::Given => [[1.0, 0.0], [0.0, 1.0]],
            Frame::Orthonormal => [[1.0 / first, -self.along / across], [0.0, 1.0 / across]],
        }
    }

    /// Multiples of the two given directions at a position.
    pub fn multiples(&self, [a, b]: [f64; 2]) -> [f64; 2] {
        self.frame().map(|row| row[0] * a + row[1] * b)
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
        let [first, across] = self.squares.map(f64::sqrt);
        across.atan2(self.along * first).to_degrees()
    }

    /// Lengths of one step along each axis.
    pub fn lengths(&self) -> [f64; 2] {
        let [first, across] = self.squares.map(f64::sqrt);
        match self.frame {
            Frame::Given => [first, (self.along * first).hypot(across)],
            Frame::Orthonormal => [1.0, 1.0],
        }
    }

    /// The nearest point of the plane to `parameters` `[d]` and its distance, by least squares: right for directions
    /// that are neither unit nor orthogonal.
    pub fn foot(&self, parameters: &[f32]) -> Foot {
        let origin = &self.origin.parameters;
        let offset = |index: usize| f64::from(parameters[index]) - f64::from(origin[index]);
        let entries = || orthogonal(&self.axes, origin, self.along).enumerate();
        // Of the first direction, and then of what lies across it: the determinant of the two directions as given would
        // be a difference of squares that nearly parallel ones leave nothing of.
        let first = entries().map(|(index, (u, _))| u * offset(index)).sum::<f64>() / self.squares[0];
        let second = entries()
            .map(|(index, (u, across))| across * (offset(index) - first * u))
            .sum::<f64>()
            / self.squares[1];
        let square: f64 = entries()
            .map(|(index, (u, across))| (offset(index) - first * u - second * across).powi(2))
            .sum();
        let position = match self.frame {
            Frame::Given => [first - self.along * second, second],
            Frame::Orthonormal => [first * self.squares[0].sqrt(), second * self.squares[1].sqrt()],
        };
        Foot {
            position,
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

/// Squared lengths of the two directions, and their inner product.
fn products(origin: &[f32], axes: &[Axis; 2]) -> [f64; 3] {
    let (mut first, mut second, mut both) = (0.0, 0.0, 0.0);
    for (u, v) in axes[0].entries(origin).zip(axes[1].entries(origin)) {
        first += u * u;
        second += v * v;
        both += u * v;
    }
    [first, second, both]
}

/// Entries of the first direction, each with that of the second less `along` times it.
fn orthogonal<'a>(axes: &'a [Axis; 2], origin: &'a [f32], along: f64) -> impl Iterator<Item = (f64, f64)> + 'a {
    axes[0]
        .entries(origin)
        .zip(axes[1].entries(origin))
        .map(move |(u, v)| (u, v - along * u))
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
            prop_assert_eq!(plane.lengths(), [1.0, 1.0]);
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
    fn nearly_parallel_directions_keep_their_frame_and_their_feet() {
        // So many that sums over them are rounded by some 1e-13, with a sine whose square is 5e-10.
        let count = 300_000;
        let u: Vec<f32> = (0..count)
            .map(|i| (1.25 + 0.5 * (0.37 * f64::from(i)).sin()) as f32)
            .collect();
        let v: Vec<f32> = (0..count)
            .zip(&u)
            .map(|(i, &u)| (f64::from(u) + 4e-5 * (1.13 * f64::from(i)).cos()) as f32)
            .collect();
        let origin = solution(&vec![0.0; u.len()]);
        let axes = [&u, &v].map(|axis| Axis::Along(Arc::new(axis.clone())));
        let [given, orthonormal] =
            [Frame::Given, Frame::Orthonormal].map(|frame| Plane::new(origin.clone(), axes.clone(), frame).unwrap());
        let sine = given.angle().to_radians().sin();
        assert!((1e-5..3e-5).contains(&sine), "{sine}");
        // The difference of numbers so near to each other is exact in single precision.
        let difference: Vec<f32> = u.iter().zip(&v).map(|(u, v)| v - u).collect();
        // Rounding of this one to single precision is some 1e-10 of its length in any one way.
        let rounded = given.point([1.5, -2.5]);
        for (point, expected, tolerance) in [(&difference, [-1.0, 1.0], 1e-9), (&rounded, [1.5, -2.5], 1e-4)] {
            let (foot, of_units) = (given.foot(point), orthonormal.foot(point));
            for position in [foot.position, orthonormal.multiples(of_units.position)] {
                for (found, expected) in position.into_iter().zip(expected) {
                    assert!((found - expected).abs() < tolerance, "{position:?}");
                }
            }
            // Of a point 700 away in single precision.
            assert!(
                foot.distance < 1e-4 && of_units.distance < 1e-4,
                "{foot:?} {of_units:?}"
            );
        }
        assert_eq!(orthonormal.lengths(), [1.0, 1.0]);
        let [e1, e2] = [[1.0, 0.0], [0.0, 1.0]].map(|step| orthonormal.step(step));
        let dot = crate::landscape::direction::dot;
        assert!((dot(&e2, &e2) - 1.0).abs() < 1e-7 && dot(&e1, &e2).abs() < 1e-7);
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
        // A sine of 7e-6: too much of what lies across may be rounding.
        assert!(message(&[1.0, 1.0, 0.0], &[1.0, 1.0, 1e-5]).contains("parallel"));
        assert!(message(&[0.0; 3], &[1.0, 0.0, 0.0]).contains("first direction"));
        assert!(message(&[1.0, 0.0, 0.0], &[f32::NAN, 0.0, 0.0]).contains("second direction"));
    }
}
