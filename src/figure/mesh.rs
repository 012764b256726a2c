//! The surface as a 3-D scene in binary glTF 2.0, which Blender, ParaView and others open.
//!
//! The scene is y-up and right-handed: x is the first axis, z runs against the second, y is the height. The longer side
//! of the plane goes from −1 to 1. Source of the format: the glTF 2.0 specification of the Khronos Group.

use std::path::Path;

use super::gltf_file::{Document, linear};
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::surface::extents;
use crate::landscape::{Heights, Node, Projected, SurfaceRecord};

/// Intervals between the vertices of the longer side, about.
const INTERVALS: f64 = 256.0;
/// Most vertices of a side.
const MOST_VERTICES: usize = 1025;
/// Half the distance over which slopes are taken, in nodes.
const SLOPE_STEP: f64 = 1e-4;
/// The colour of surfaces whose value has none.
const GREY: [u8; 3] = [128; 3];

/// The surface as the bytes of a `.glb` file, with the trajectory as a line and every solution as a small octahedron.
///
/// `colours` gives a value's colour in sRGB. The lowest finite value lies at y = 0, the highest at y = `height_scale`.
/// The trajectory and the solutions stand at the height of their own value where it is known and finite, otherwise on
/// the surface. Nodes that are missing or not finite leave holes.
///
/// # Errors
/// [`Error::Request`] when the grid has no two rows and columns, when nothing of it is known, or when `height_scale`
/// is not a positive number.
pub fn glb(
    record: &SurfaceRecord,
    heights: &Heights,
    colours: impl Fn(f64) -> Option<[u8; 3]>,
    height_scale: f64,
) -> Result<Vec<u8>> {
    let space = Space::new(record, heights, height_scale)?;
    let surface = Surface::new(&space, colours);
    if surface.indices.is_empty() {
        return Err(Error::Request("nothing of this surface is measured yet".to_owned()));
    }
    let mut document = Document::default();
    document.surface(&surface);
    let trajectory: Vec<[f32; 3]> = record.trajectory.iter().filter_map(|step| space.mark(step)).collect();
    // A line has two ends.
    if trajectory.len() > 1 {
        document.line("trajectory", &trajectory);
    }
    document.marks(
        record
            .solutions
            .iter()
            .filter_map(|solution| Some((solution.name.as_str(), space.mark(solution)?))),
    );
    document.finish(record.provenance.footnote())
}

/// Writes [`glb`] to a file.
///
/// # Errors
/// Those of [`glb`], and [`Error::File`] when the file cannot be written.
pub fn write(
    path: &Path,
    record: &SurfaceRecord,
    heights: &Heights,
    colours: impl Fn(f64) -> Option<[u8; 3]>,
    height_scale: f64,
) -> Result<()> {
    whole_file::write(path, &glb(record, heights, colours, height_scale)?)
}

/// One side of the plane. A share is 0 at its lowest position and 1 at its highest.
struct Side {
    low: f64,
    high: f64,
    /// Whether the first node is the highest position.
    descending: bool,
    nodes: usize,
    /// Half its length in the scene.
    half: f64,
}

impl Side {
    fn share(&self, position: f64) -> f64 {
        (position - self.low) / (self.high - self.low)
    }

    /// Where it is in the scene, from −half to half.
    fn place(&self, share: f64) -> f64 {
        self.half * (2.0 * share - 1.0)
    }

    /// Node coordinate.
    fn node(&self, share: f64) -> f64 {
        let share = if self.descending { 1.0 - share } else { share };
        share * (self.nodes - 1) as f64
    }

    /// Vertices along it: every node, and as many between as make squares of about the same size on both sides.
    fn vertices(&self) -> usize {
        let intervals = self.nodes - 1;
        let refined = (INTERVALS * self.half / intervals as f64).round().max(1.0) as usize;
        (intervals * refined + 1).min(MOST_VERTICES)
    }
}

/// How positions and heights become points of the scene.
struct Space<'a> {
    heights: &'a Heights,
    sides: [Side; 2],
    /// The height at y = 0.
    lowest: f64,
    /// What one unit of height is in y.
    unit: f64,
}

impl<'a> Space<'a> {
    fn new(record: &SurfaceRecord, heights: &'a Heights, height_scale: f64) -> Result<Self> {
        if !(height_scale > 0.0 && height_scale.is_finite()) {
            return Err(Error::Request(
                "the height of a 3-D surface is a positive number".to_owned(),
            ));
        }
        let side = |(start, end): (f64, f64), nodes: usize| Side {
            low: start.min(end),
            high: start.max(end),
            descending: start > end,
            nodes,
            half: 1.0,
        };
        let mut sides = [side(heights.first, heights.columns), side(heights.second, heights.rows)];
        if sides.iter().any(|side| side.nodes < 2 || side.low >= side.high) {
            return Err(Error::Request(format!(
                "a 3-D surface needs two different positions along each axis; this grid has {} by {} points",
                heights.columns, heights.rows
            )));
        }
        if let Some(extents) = extents(record.lengths, [heights.first, heights.second]) {
            let longer = extents[0].max(extents[1]);
            for (side, extent) in sides.iter_mut().zip(extents) {
                side.half = extent / longer;
            }
        }
        let (low, high) = heights.range;
        let (lowest, highest) = (heights.height.of(low), heights.height.of(high));
        Ok(Self {
            heights,
            sides,
            lowest,
            unit: if highest > lowest {
                height_scale / (highest - lowest)
            } else {
                0.0
            },
        })
    }

    fn node(&self, shares: [f64; 2]) -> [f64; 2] {
        [self.sides[0].node(shares[0]), self.sides[1].node(shares[1])]
    }

    /// The surface's height; outside the grid that of its edge.
    fn height(&self, shares: [f64; 2]) -> f64 {
        let [column, row] = self.node(shares);
        self.heights.at(column, row)
    }

    /// The surface's height, NaN where nothing is known or finite.
    fn known_height(&self, shares: [f64; 2]) -> f64 {
        let [column, row] = self.node(shares);
        match self.heights.nearest(column, row) {
            Some(Node::Interpolated | Node::Measured) => self.heights.at(column, row),
            _ => f64::NAN,
        }
    }

    fn point(&self, shares: [f64; 2], height: f64) -> [f32; 3] {
        [
            self.sides[0].place(shares[0]) as f32,
            (self.unit * (height - self.lowest)) as f32,
            -self.sides[1].place(shares[1]) as f32,
        ]
    }

    /// How steeply y rises along one side: a central difference, one-sided at the edge.
    fn slope(&self, shares: [f64; 2], axis: usize) -> f64 {
        let side = &self.sides[axis];
        let step = SLOPE_STEP / (side.nodes - 1) as f64;
        let (before, after) = ((shares[axis] - step).max(0.0), (shares[axis] + step).min(1.0));
        let height = |share: f64| {
            let mut moved = shares;
            moved[axis] = share;
            self.height(moved)
        };
        self.unit * (height(after) - height(before)) / (side.place(after) - side.place(before))
    }

    /// The unit vector that stands on the surface.
    fn normal(&self, shares: [f64; 2]) -> [f32; 3] {
        // z runs against the second axis, and so does the slope along it.
        let (x, z) = (-self.slope(shares, 0), self.slope(shares, 1));
        let length = (x * x + 1.0 + z * z).sqrt();
        [(x / length) as f32, (1.0 / length) as f32, (z / length) as f32]
    }

    /// Where a point seen in the plane is marked; nothing where it has no finite place.
    fn mark(&self, point: &Projected) -> Option<[f32; 3]> {
        let shares = [
            self.sides[0].share(point.position[0]),
            self.sides[1].share(point.position[1]),
        ];
        let own = point.own.map(|own| self.heights.quantity.of(&own));
        let height = match own.filter(|value| value.is_finite()) {
            Some(value) => self.heights.height.of(value),
            None => self.height(shares),
        };
        let place = self.point(shares, height);
        place.iter().all(|number| number.is_finite()).then_some(place)
    }
}

/// Vertices and triangles of the surface. Only vertices of triangles are kept, so that holes leave no loose ones.
#[derive(Default)]
pub(super) struct Surface {
    pub(super) positions: Vec<[f32; 3]>,
    pub(super) normals: Vec<[f32; 3]>,
    /// Linear red, green and blue, and opacity, as shares of 255.
    pub(super) colours: Vec<[u8; 4]>,
    /// Three a triangle, counter-clockwise as seen from above.
    pub(super) indices: Vec<u32>,
}

impl Surface {
    fn new(space: &Space, colours: impl Fn(f64) -> Option<[u8; 3]>) -> Self {
        let (wide, deep) = (space.sides[0].vertices(), space.sides[1].vertices());
        let shares = |vertex: usize| {
            let (column, row) = (vertex % wide, vertex / wide);
            [column as f64 / (wide - 1) as f64, row as f64 / (deep - 1) as f64]
        };
        let heights: Vec<f64> = (0..wide * deep)
            .map(|vertex| space.known_height(shares(vertex)))
            .collect();
        let mut surface = Self::default();
        let mut numbers: Vec<Option<u32>> = vec![None; wide * deep];
        for row in 0..deep - 1 {
            for column in 0..wide - 1 {
                let corner = row * wide + column;
                let corners = [corner, corner + 1, corner + wide + 1, corner + wide];
                if !corners.iter().all(|&vertex| heights[vertex].is_finite()) {
                    continue;
                }
                let [a, b, c, d] = corners.map(|vertex| {
                    *numbers[vertex].get_or_insert_with(|| {
                        let (shares, height) = (shares(vertex), heights[vertex]);
                        let colour = colours(space.heights.height.value(height)).unwrap_or(GREY);
                        surface.add(space.point(shares, height), space.normal(shares), colour)
                    })
                });
                surface.indices.extend([a, b, c, a, c, d]);
            }
        }
        surface
    }

    /// Adds a vertex with a colour in sRGB, and gives its number.
    fn add(&mut self, position: [f32; 3], normal: [f32; 3], colour: [u8; 3]) -> u32 {
        let [red, green, blue] = colour.map(|channel| (255.0 * linear(channel)).round() as u8);
        self.positions.push(position);
        self.normals.push(normal);
        self.colours.push([red, green, blue, u8::MAX]);
        // No more than MOST_VERTICES a side, so it fits.
        (self.positions.len() - 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use gltf_json::mesh::Mode;

    use super::*;
    use crate::figure::gltf_file::tests::{open, surface};
    use crate::landscape::{Field, Known, Provenance, Scale};
    use crate::objective::{BatchNormPolicy, Measurement, Quality};

    const HEIGHT: f64 = 0.8;

    fn record() -> SurfaceRecord {
        SurfaceRecord {
            label: "a paraboloid".to_owned(),
            axes: ["a".to_owned(), "b".to_owned()],
            provenance: Provenance {
                model: "logistic".to_owned(),
                data: "two-gaussians".to_owned(),
                run: None,
                origin: "SWA".to_owned(),
                line: "uniform".to_owned(),
                batch_norm: BatchNormPolicy::Running,
                batch_size: 128,
                normalisation: None,
                train_images: 10,
                test_images: 10,
                seed: Some(1),
                device: "cpu".to_owned(),
                version: "0".to_owned(),
            },
            ..SurfaceRecord::default()
        }
    }

    fn field(first: (f64, f64), second: (f64, f64), [columns, rows]: [usize; 2]) -> Field {
        let at = |(start, end): (f64, f64), node: usize, nodes: usize| {
            start + (end - start) * node as f64 / (nodes - 1).max(1) as f64
        };
        Field {
            first,
            second,
            columns,
            rows,
            values: (0..columns * rows)
                .map(|node| paraboloid(at(first, node % columns, columns), at(second, node / columns, rows)))
                .collect(),
            known: vec![Known::Measured; columns * rows],
            ..Field::default()
        }
    }

    /// From 3 in the middle to 8 at the corners (2, 1) and (−2, −1).
    fn paraboloid(a: f64, b: f64) -> f64 {
        3.0 + a * a + 0.25 * a * b + 0.5 * b * b
    }

    fn projected(name: &str, position: [f64; 2], train_loss: Option<f64>) -> Projected {
        let quality = |loss| Quality { loss, accuracy: 0.5 };
        Projected {
            name: name.to_owned(),
            position,
            distance: 0.0,
            own: train_loss.map(|loss| Measurement {
                train: quality(loss),
                test: quality(100.0),
            }),
        }
    }

    #[test]
    fn a_paraboloid_has_its_heights_normals_and_colours_whichever_way_the_axes_run() {
        for (first, second) in [
            ((-2.0, 2.0), (-1.0, 1.0)),
            ((-2.0, 2.0), (1.0, -1.0)),
            ((2.0, -2.0), (1.0, -1.0)),
        ] {
            let heights = field(first, second, [9, 5]).heights(Scale::Linear);
            let record = SurfaceRecord {
                lengths: Some([3.0, 3.0]),
                ..record()
            };
            let colours = |value: f64| (value > 4.0).then_some(if value > 6.0 { [188, 0, 255] } else { [0, 255, 12] });
            let surface = surface(&open(&glb(&record, &heights, colours, HEIGHT).unwrap()));

            // Twice as wide as deep, and 32 intervals from node to node on either side.
            assert_eq!(surface.positions.len(), 257 * 129);
            assert_eq!(surface.indices.len(), 3 * 2 * 256 * 128);
            let unit = HEIGHT / 5.0;
            for ((&position, normal), colour) in surface.positions.iter().zip(&surface.normals).zip(&surface.colours) {
                let [x, y, z] = position.map(f64::from);
                let (a, b) = (2.0 * x, -2.0 * z);
                let value = paraboloid(a, b);
                assert!((y - unit * (value - 3.0)).abs() < 1e-5, "{y} at {a}, {b}");
                let along_x = 2.0 * unit * (2.0 * a + 0.25 * b);
                let along_z = -2.0 * unit * (0.25 * a + b);
                let length = (along_x * along_x + along_z * along_z + 1.0).sqrt();
                for (&found, expected) in normal.iter().zip([-along_x, 1.0, -along_z]) {
                    assert!(
                        (f64::from(found) - expected / length).abs() < 1e-3,
                        "{normal:?} at {a}, {b}"
                    );
                }
                let expected = match value {
                    _ if (value - 4.0).abs() < 1e-4 || (value - 6.0).abs() < 1e-4 => *colour,
                    _ if value > 6.0 => [128, 0, 255, 255],
                    _ if value > 4.0 => [0, 255, 1, 255],
                    _ => [55, 55, 55, 255],
                };
                assert_eq!(*colour, expected, "at {a}, {b}");
            }
            for triangle in surface.indices.chunks(3) {
                let [a, b, c] = [0, 1, 2].map(|corner| surface.positions[triangle[corner] as usize]);
                let (u, v) = ([b[0] - a[0], b[2] - a[2]], [c[0] - a[0], c[2] - a[2]]);
                assert!(u[1] * v[0] - u[0] * v[1] > 0.0, "{triangle:?} is seen from below");
            }
        }
    }

    #[test]
    fn sides_are_equal_unless_their_lengths_are_known_and_alike() {
        let heights = field((-2.0, 2.0), (-1.0, 1.0), [5, 5]).heights(Scale::Linear);
        for (lengths, expected) in [
            (None, [1.0, 1.0]),
            (Some([1.0, 1.0]), [1.0, 0.5]),
            (Some([1.0, 5.0]), [0.4, 1.0]),
            (Some([2.0, 1.0]), [1.0, 1.0]),
        ] {
            let record = SurfaceRecord { lengths, ..record() };
            let sides = Space::new(&record, &heights, HEIGHT).unwrap().sides;
            assert_eq!(sides.map(|side| side.half), expected, "{lengths:?}");
        }
    }

    #[test]
    fn a_node_that_is_not_finite_leaves_a_hole() {
        let mut field = field((-1.0, 1.0), (-1.0, 1.0), [9, 9]);
        field.values[4 * 9 + 4] = f64::NAN;
        field.known[0] = Known::Missing;
        let heights = field.heights(Scale::Linear);
        let surface = surface(&open(&glb(&record(), &heights, |_| None, HEIGHT).unwrap()));
        // 32 intervals from node to node. The middle node is nearest to 32 vertices along each side, which 33 cells
        // touch; that in the corner to 16, half a cell's worth, which 16 touch.
        assert_eq!(surface.indices.len(), 3 * 2 * (256 * 256 - 33 * 33 - 16 * 16));
        for [x, y, z] in &surface.positions {
            assert!(x.abs().max(z.abs()) > 0.12, "{x}, {z} is in the hole");
            assert!(*x > -0.88 || *z < 0.88, "{x}, {z} is in the missing corner");
            assert!(y.is_finite());
        }
    }

    #[test]
    fn what_has_no_area_or_nothing_known_is_refused() {
        let row = field((-1.0, 1.0), (0.0, 0.0), [9, 1]).heights(Scale::Linear);
        let error = glb(&record(), &row, |_| None, HEIGHT).unwrap_err().to_string();
        assert!(error.contains("9 by 1"), "{error}");
        let mut unknown = field((-1.0, 1.0), (-1.0, 1.0), [3, 3]);
        unknown.values.fill(f64::NAN);
        assert!(glb(&record(), &unknown.heights(Scale::Linear), |_| None, HEIGHT).is_err());
        let known = field((-1.0, 1.0), (-1.0, 1.0), [3, 3]).heights(Scale::Linear);
        assert!(glb(&record(), &known, |_| None, f64::NAN).is_err());
    }

    #[test]
    fn trajectory_and_solutions_stand_at_their_own_loss_or_on_the_surface() {
        let heights = field((-2.0, 2.0), (-1.0, 1.0), [9, 5]).heights(Scale::Linear);
        let record = SurfaceRecord {
            trajectory: vec![
                projected("0", [2.0, 1.0], Some(10.5)),
                projected("1", [1.0, 0.5], None),
                projected("2", [-1.0, 0.0], Some(f64::NAN)),
                projected("3", [f64::NAN, 0.0], None),
                projected("4", [4.0, 0.0], Some(3.0)),
            ],
            solutions: vec![
                projected("SWA", [0.0, 0.0], Some(5.5)),
                projected("SGD", [-2.0, 1.0], None),
            ],
            ..record()
        };
        let gltf = open(&glb(&record, &heights, |_| None, HEIGHT).unwrap());
        let names: Vec<&str> = gltf.nodes().filter_map(|node| node.name()).collect();
        assert_eq!(names, ["surface", "trajectory", "SWA", "SGD"]);
        assert_eq!(gltf.default_scene().unwrap().nodes().count(), 4);
        assert_eq!(
            gltf.default_scene().unwrap().name(),
            Some(record.provenance.footnote().as_str())
        );

        let close = |found: [f32; 3], expected: [f64; 3]| {
            let far = found
                .iter()
                .zip(expected)
                .any(|(&f, e)| (f64::from(f) - e).abs() > 1e-5);
            assert!(!far, "{found:?} is not {expected:?}");
        };
        let node = |name: &str| gltf.nodes().find(|node| node.name() == Some(name)).unwrap();
        let unit = HEIGHT / 5.0;
        let mesh = node("trajectory").mesh().unwrap();
        let line = mesh.primitives().next().unwrap();
        assert_eq!(line.mode(), Mode::LineStrip);
        let points: Vec<[f32; 3]> = line
            .reader(|_| gltf.blob.as_deref())
            .read_positions()
            .unwrap()
            .collect();
        let expected = [
            [1.0, unit * 7.5, -1.0],
            [0.5, unit * 1.25, -0.5],
            [-0.5, unit, 0.0],
            [2.0, 0.0, 0.0],
        ];
        assert_eq!(points.len(), expected.len());
        points
            .into_iter()
            .zip(expected)
            .for_each(|(found, expected)| close(found, expected));
        close(node("SWA").transform().decomposed().0, [0.0, unit * 2.5, 0.0]);
        close(node("SGD").transform().decomposed().0, [-1.0, unit * 4.0, -1.0]);
    }
}
