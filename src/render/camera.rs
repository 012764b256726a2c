//! The eye that looks at a relief: it goes round it, comes nearer and moves aside.

use nalgebra::{Isometry3, Matrix4, Point3, Vector3, Vector4};

/// Half the angle that the eye sees, upwards.
const HALF_ANGLE: f32 = 0.26;
/// Nearest and farthest the eye goes from what it looks at.
const DISTANCES: (f32, f32) = (0.4, 20.0);
/// Lowest and highest the eye goes, as an angle over the base in radians: straight down has no up.
pub const ELEVATIONS: (f32, f32) = (0.05, 1.5);
/// Share of a picture that is filled with what is to be seen.
const FILLED: f32 = 0.92;
/// Steps in which the eye finds where it sees all: each leaves a small part of what is missing.
const STEPS: usize = 12;

/// Where the eye is, as seen from what it looks at. The base of the relief reaches from −1 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// Angle round the vertical, in radians; at 0 the eye looks along the second axis.
    pub azimuth: f32,
    /// Angle over the base, in radians.
    pub elevation: f32,
    /// Distance.
    pub distance: f32,
    /// What it looks at.
    pub target: [f32; 3],
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            azimuth: 0.6,
            elevation: 0.62,
            distance: 5.8,
            target: [0.0, 0.0, 0.22],
        }
    }
}

impl Camera {
    /// Goes round by angles in radians.
    pub fn orbit(&mut self, azimuth: f32, elevation: f32) {
        self.azimuth = (self.azimuth + azimuth).rem_euclid(std::f32::consts::TAU);
        self.elevation = (self.elevation + elevation).clamp(ELEVATIONS.0, ELEVATIONS.1);
    }

    /// Comes nearer by a factor.
    pub fn zoom(&mut self, factor: f32) {
        if factor > 0.0 && factor.is_finite() {
            self.distance = (self.distance / factor).clamp(DISTANCES.0, DISTANCES.1);
        }
    }

    /// Moves aside: what it looked at goes right and up by shares of the picture's height.
    pub fn pan(&mut self, right: f32, up: f32) {
        let reach = 2.0 * self.distance * HALF_ANGLE.tan();
        let view = self.view().inverse();
        let aside = view * Vector3::new(-right * reach, -up * reach, 0.0);
        for (target, by) in self.target.iter_mut().zip(aside.iter()) {
            *target = (*target + by).clamp(-2.0, 2.0);
        }
    }

    /// The eye on the same side of the relief, at the place from where `points` fill a picture `aspect` times as wide
    /// as high.
    pub fn seeing(mut self, points: &[[f32; 3]], aspect: f32) -> Self {
        for _ in 0..STEPS {
            let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
            for at in points.iter().filter_map(|&point| self.project(point, aspect)) {
                low = [low[0].min(at[0]), low[1].min(at[1])];
                high = [high[0].max(at[0]), high[1].max(at[1])];
            }
            let reach = 0.5 * (high[0] - low[0]).max(high[1] - low[1]);
            if !reach.is_normal() || reach < 0.0 {
                return self;
            }
            let [across, up] = [0, 1].map(|axis| 0.5 * (low[axis] + high[axis]));
            self.pan(-0.5 * across * aspect.max(1.0), -0.5 * up / aspect.min(1.0));
            self.zoom(FILLED / reach);
        }
        self
    }

    /// Where the eye is.
    pub fn eye(&self) -> Point3<f32> {
        let (sine, cosine) = self.azimuth.sin_cos();
        let level = self.distance * self.elevation.cos();
        Point3::from(self.target) + Vector3::new(-level * sine, -level * cosine, self.distance * self.elevation.sin())
    }

    fn view(&self) -> Isometry3<f32> {
        Isometry3::look_at_rh(&self.eye(), &Point3::from(self.target), &Vector3::z())
    }

    /// From the relief's space to clip space, for a picture `aspect` times as wide as high; depth runs from 0 to 1.
    pub fn transform(&self, aspect: f32) -> Matrix4<f32> {
        let (near, far) = (0.05 * self.distance, self.distance + 8.0);
        // A narrow picture shows as much across as a square one.
        let stretch = aspect.min(1.0) / HALF_ANGLE.tan();
        let depth = far / (near - far);
        #[rustfmt::skip]
        let perspective = Matrix4::new(
            stretch / aspect, 0.0, 0.0, 0.0,
            0.0, stretch, 0.0, 0.0,
            0.0, 0.0, depth, near * depth,
            0.0, 0.0, -1.0, 0.0,
        );
        perspective * self.view().to_homogeneous()
    }

    /// Where a point of the relief's space is seen: right and up from −1 to 1; nothing behind the eye.
    pub fn project(&self, point: [f32; 3], aspect: f32) -> Option<[f32; 2]> {
        let seen = self.transform(aspect) * Vector4::new(point[0], point[1], point[2], 1.0);
        (seen.w > 1e-6).then(|| [seen.x / seen.w, seen.y / seen.w])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_in_the_middle_and_nearer_is_larger() {
        let mut camera = Camera::default();
        let middle = camera.project(camera.target, 1.5).unwrap();
        assert!(middle[0].abs() < 1e-5 && middle[1].abs() < 1e-5);
        let above = |camera: &Camera| camera.project([0.0, 0.0, 0.72], 1.5).unwrap()[1];
        let before = above(&camera);
        assert!(before > 0.05);
        camera.zoom(2.0);
        assert!((above(&camera) / before - 2.0).abs() < 0.2);
        // At 0 the eye stands before the base's lower edge and sees the first axis from left to right.
        camera.orbit(-camera.azimuth, 0.0);
        assert!(camera.project([0.5, 0.0, 0.2], 1.0).unwrap()[0] > 0.1);
        assert!(camera.eye().y < 0.0);
    }

    #[test]
    fn what_is_looked_at_follows_the_hand() {
        let mut camera = Camera::default();
        let point = [0.1, -0.2, 0.3];
        let before = camera.project(point, 1.0).unwrap();
        camera.pan(0.1, -0.05);
        let after = camera.project(point, 1.0).unwrap();
        // The whole height of the picture is 2.
        assert!((after[0] - before[0] - 0.2).abs() < 0.02, "{before:?} {after:?}");
        assert!((after[1] - before[1] + 0.1).abs() < 0.02);
    }

    #[test]
    fn all_that_is_to_be_seen_fills_the_picture() {
        let corners: Vec<[f32; 3]> = (0..8)
            .map(|corner| [1, 2, 4].map(|bit| f32::from(u8::from(corner & bit != 0))))
            .map(|[x, y, z]| [2.0 * x - 1.0, 2.0 * y - 1.0, 0.85 * z])
            .collect();
        for (aspect, azimuth, elevation) in [(1.0, 0.6, 0.62), (0.5, 0.8, 0.1), (2.5, 4.0, 1.4)] {
            let camera = Camera {
                azimuth,
                elevation,
                ..Camera::default()
            }
            .seeing(&corners, aspect);
            assert_eq!((camera.azimuth, camera.elevation), (azimuth, elevation));
            let seen: Vec<[f32; 2]> = corners
                .iter()
                .map(|&corner| camera.project(corner, aspect).unwrap())
                .collect();
            let farthest = |axis: usize| seen.iter().map(|at| at[axis].abs()).fold(0.0, f32::max);
            let filled = farthest(0).max(farthest(1));
            assert!((0.9..0.94).contains(&filled), "{filled} at {aspect}");
        }
        assert_eq!(Camera::default().seeing(&[], 1.0), Camera::default());
    }

    #[test]
    fn depth_grows_with_distance_from_the_eye_within_0_and_1() {
        let camera = Camera::default();
        let depth = |point: [f32; 3]| {
            let seen = camera.transform(1.0) * Vector4::new(point[0], point[1], point[2], 1.0);
            seen.z / seen.w
        };
        let (near, far) = (depth([-0.5, -0.8, 0.0]), depth([0.5, 0.8, 0.0]));
        assert!(0.0 < near && near < far && far < 1.0, "{near} {far}");
    }
}
