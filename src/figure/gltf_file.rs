//! A 3-D scene as a binary glTF 2.0 file: its JSON part and the bytes that this points into.
//!
//! Source of the format: the glTF 2.0 specification of the Khronos Group.

use gltf_json::accessor::{Accessor, ComponentType, GenericComponentType, Type};
use gltf_json::buffer::{Buffer, Target, View};
use gltf_json::material::{Material, PbrBaseColorFactor, PbrMetallicRoughness, StrengthFactor};
use gltf_json::mesh::{Mesh, Mode, Primitive, Semantic};
use gltf_json::validation::{Checked, USize64};
use gltf_json::{Index, Root};

use super::chart::VERMILION;
use super::mesh::Surface;
use crate::error::{Error, Result};

/// Half the width of a solution's mark.
const MARK_SIZE: f32 = 0.025;
/// The colour of the trajectory.
const INK: [u8; 3] = [24; 3];

/// A channel of sRGB as a linear share of full light (IEC 61966-2-1).
pub(super) fn linear(channel: u8) -> f32 {
    let share = f32::from(channel) / 255.0;
    if share <= 0.04045 {
        share / 12.92
    } else {
        ((share + 0.055) / 1.055).powf(2.4)
    }
}

/// A file while it is put together: its JSON part, and the bytes that the JSON part points into.
#[derive(Default)]
pub(super) struct Document {
    root: Root,
    bytes: Vec<u8>,
    nodes: Vec<Index<gltf_json::Node>>,
}

impl Document {
    /// Appends `count` elements. They start where the bytes end, so elements must be multiples of 4 bytes long: the
    /// format wants every view aligned to its components.
    fn accessor(
        &mut self,
        target: Target,
        (component, of): (ComponentType, Type),
        count: usize,
        bytes: impl Iterator<Item = u8>,
    ) -> Index<Accessor> {
        let start = self.bytes.len();
        self.bytes.extend(bytes);
        let view = self.root.push(View {
            // The only buffer, which `finish` adds when its length is known.
            buffer: Index::new(0),
            byte_length: USize64::from(self.bytes.len() - start),
            byte_offset: Some(USize64::from(start)),
            byte_stride: None,
            name: None,
            target: Some(Checked::Valid(target)),
            extensions: None,
            extras: Default::default(),
        });
        self.root.push(Accessor {
            buffer_view: Some(view),
            byte_offset: None,
            count: USize64::from(count),
            component_type: Checked::Valid(GenericComponentType(component)),
            extensions: None,
            extras: Default::default(),
            type_: Checked::Valid(of),
            min: None,
            max: None,
            name: None,
            // Integers that are vertex attributes are colours here, which the format takes as shares.
            normalized: matches!((component, target), (ComponentType::U8, Target::ArrayBuffer)),
            sparse: None,
        })
    }

    fn vectors(&mut self, vectors: &[[f32; 3]]) -> Index<Accessor> {
        self.accessor(
            Target::ArrayBuffer,
            (ComponentType::F32, Type::Vec3),
            vectors.len(),
            vectors.iter().flatten().flat_map(|number| number.to_le_bytes()),
        )
    }

    /// Vectors with the bounds that the format demands of positions.
    fn positions(&mut self, positions: &[[f32; 3]]) -> Index<Accessor> {
        let index = self.vectors(positions);
        let bound = |start: f32, further: fn(f32, f32) -> f32| {
            let bounds = [0, 1, 2].map(|axis: usize| positions.iter().map(|point| point[axis]).fold(start, further));
            Some(gltf_json::Value::from(bounds.to_vec()))
        };
        let accessor = &mut self.root.accessors[index.value()];
        accessor.min = bound(f32::INFINITY, f32::min);
        accessor.max = bound(f32::NEG_INFINITY, f32::max);
        index
    }

    fn indices(&mut self, indices: &[u32]) -> Index<Accessor> {
        self.accessor(
            Target::ElementArrayBuffer,
            (ComponentType::U32, Type::Scalar),
            indices.len(),
            indices.iter().flat_map(|index| index.to_le_bytes()),
        )
    }

    /// A rough, non-metallic material of a colour in sRGB, visible from both sides.
    fn material(&mut self, name: &str, colour: [u8; 3]) -> Index<Material> {
        let [red, green, blue] = colour.map(linear);
        self.root.push(Material {
            name: Some(name.to_owned()),
            double_sided: true,
            pbr_metallic_roughness: PbrMetallicRoughness {
                base_color_factor: PbrBaseColorFactor([red, green, blue, 1.0]),
                metallic_factor: StrengthFactor(0.0),
                roughness_factor: StrengthFactor(0.8),
                ..PbrMetallicRoughness::default()
            },
            ..Material::default()
        })
    }

    /// A mesh of one piece with a material of its own.
    fn mesh(
        &mut self,
        name: &str,
        mode: Mode,
        attributes: impl IntoIterator<Item = (Semantic, Index<Accessor>)>,
        indices: Option<Index<Accessor>>,
        colour: [u8; 3],
    ) -> Index<Mesh> {
        let material = self.material(name, colour);
        let primitive = Primitive {
            attributes: attributes
                .into_iter()
                .map(|(semantic, accessor)| (Checked::Valid(semantic), accessor))
                .collect(),
            extensions: None,
            extras: Default::default(),
            indices,
            material: Some(material),
            mode: Checked::Valid(mode),
            targets: None,
        };
        self.root.push(Mesh {
            extensions: None,
            extras: Default::default(),
            name: Some(name.to_owned()),
            primitives: vec![primitive],
            weights: None,
        })
    }

    /// Shows a mesh.
    fn node(&mut self, name: &str, mesh: Index<Mesh>, translation: Option<[f32; 3]>) {
        let node = self.root.push(gltf_json::Node {
            name: Some(name.to_owned()),
            mesh: Some(mesh),
            translation,
            ..gltf_json::Node::default()
        });
        self.nodes.push(node);
    }

    pub(super) fn surface(&mut self, surface: &Surface) {
        let positions = self.positions(&surface.positions);
        let normals = self.vectors(&surface.normals);
        let colours = self.accessor(
            Target::ArrayBuffer,
            (ComponentType::U8, Type::Vec4),
            surface.colours.len(),
            surface.colours.iter().flatten().copied(),
        );
        let indices = self.indices(&surface.indices);
        let attributes = [
            (Semantic::Positions, positions),
            (Semantic::Normals, normals),
            (Semantic::Colors(0), colours),
        ];
        // The material's colour multiplies those of the vertices.
        let mesh = self.mesh("surface", Mode::Triangles, attributes, Some(indices), [u8::MAX; 3]);
        self.node("surface", mesh, None);
    }

    pub(super) fn line(&mut self, name: &str, points: &[[f32; 3]]) {
        let positions = self.positions(points);
        let mesh = self.mesh(name, Mode::LineStrip, [(Semantic::Positions, positions)], None, INK);
        self.node(name, mesh, None);
    }

    /// Small octahedra that share one mesh. Without normals its faces are flat, as the format says.
    pub(super) fn marks<'a>(&mut self, marks: impl Iterator<Item = (&'a str, [f32; 3])>) {
        let mut marks = marks.peekable();
        if marks.peek().is_none() {
            return;
        }
        let corner = |axis: usize, sign: f32| {
            let mut corner = [0.0; 3];
            corner[axis] = sign * MARK_SIZE;
            corner
        };
        let corners: Vec<[f32; 3]> = (0..3)
            .flat_map(|axis| [corner(axis, 1.0), corner(axis, -1.0)])
            .collect();
        // Corners 0 and 1 are ±x, 2 and 3 ±y, 4 and 5 ±z; counter-clockwise as seen from outside.
        let faces = [
            [0, 2, 4],
            [4, 2, 1],
            [1, 2, 5],
            [5, 2, 0],
            [4, 3, 0],
            [1, 3, 4],
            [5, 3, 1],
            [0, 3, 5],
        ];
        let positions = self.positions(&corners);
        let indices = self.indices(faces.as_flattened());
        let mesh = self.mesh(
            "solution",
            Mode::Triangles,
            [(Semantic::Positions, positions)],
            Some(indices),
            VERMILION,
        );
        for (name, place) in marks {
            self.node(name, mesh, Some(place));
        }
    }

    /// The file's bytes, the scene named after how it was made.
    pub(super) fn finish(mut self, made: String) -> Result<Vec<u8>> {
        self.root.asset.generator = Some(format!("Valleyscope {}", env!("CARGO_PKG_VERSION")));
        self.root.push(Buffer {
            byte_length: USize64::from(self.bytes.len()),
            name: None,
            uri: None,
            extensions: None,
            extras: Default::default(),
        });
        let scene = self.root.push(gltf_json::Scene {
            extensions: None,
            extras: Default::default(),
            name: Some(made),
            nodes: self.nodes,
        });
        self.root.scene = Some(scene);
        let json = self
            .root
            .to_vec()
            .map_err(|error| Error::Request(format!("the 3-D surface could not be encoded: {error}")))?;
        container(&json, &self.bytes)
    }
}

/// The two parts as one file, each filled up to a multiple of 4 bytes.
fn container(json: &[u8], binary: &[u8]) -> Result<Vec<u8>> {
    let (header, part_header) = (12, 8);
    let total = header + 2 * part_header + json.len().next_multiple_of(4) + binary.len().next_multiple_of(4);
    let length = u32::try_from(total).map_err(|_| Error::Request("the 3-D surface is too large".to_owned()))?;
    let mut file = Vec::with_capacity(total);
    file.extend(b"glTF");
    file.extend(2_u32.to_le_bytes());
    file.extend(length.to_le_bytes());
    for (part, kind, filler) in [(json, b"JSON", b' '), (binary, b"BIN\0", 0)] {
        let length = part.len().next_multiple_of(4);
        // Shorter than the whole, which fits.
        file.extend((length as u32).to_le_bytes());
        file.extend(kind);
        file.extend(part);
        file.resize(file.len() + length - part.len(), filler);
    }
    Ok(file)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file as an importer reads it.
    pub(in crate::figure) fn open(bytes: &[u8]) -> gltf::Gltf {
        gltf::Gltf::from_slice(bytes).unwrap()
    }

    /// The surface as an importer sees it.
    pub(in crate::figure) fn surface(gltf: &gltf::Gltf) -> Surface {
        let mesh = gltf.meshes().find(|mesh| mesh.name() == Some("surface")).unwrap();
        let primitive = mesh.primitives().next().unwrap();
        assert_eq!(primitive.mode(), Mode::Triangles);
        let reader = primitive.reader(|_| gltf.blob.as_deref());
        let surface = Surface {
            positions: reader.read_positions().unwrap().collect(),
            normals: reader.read_normals().unwrap().collect(),
            colours: reader.read_colors(0).unwrap().into_rgba_u8().collect(),
            indices: reader.read_indices().unwrap().into_u32().collect(),
        };
        let vertices = surface.positions.len();
        assert_eq!((surface.normals.len(), surface.colours.len()), (vertices, vertices));
        assert!(surface.indices.iter().all(|&index| (index as usize) < vertices));
        let bounds = primitive.bounding_box();
        for axis in 0..3 {
            let along = || surface.positions.iter().map(|point| point[axis]);
            assert_eq!(bounds.min[axis], along().fold(f32::INFINITY, f32::min));
            assert_eq!(bounds.max[axis], along().fold(f32::NEG_INFINITY, f32::max));
        }
        surface
    }

    #[test]
    fn what_is_shown_is_named_and_marks_are_seen_from_outside() {
        let mut document = Document::default();
        document.line("trajectory", &[[0.0; 3], [1.0, 0.5, 0.0], [1.0, 0.5, 1.0]]);
        let places = [[0.0, 0.25, 0.0], [-1.0, 0.5, 1.0]];
        document.marks(["SWA", "SGD"].into_iter().zip(places));
        let gltf = open(&document.finish("how it was made".to_owned()).unwrap());
        let names: Vec<&str> = gltf.nodes().filter_map(|node| node.name()).collect();
        assert_eq!(names, ["trajectory", "SWA", "SGD"]);
        let scene = gltf.default_scene().unwrap();
        assert_eq!((scene.nodes().count(), scene.name()), (3, Some("how it was made")));
        let generator = format!("Valleyscope {}", env!("CARGO_PKG_VERSION"));
        assert_eq!(gltf.document.as_json().asset.generator.as_ref(), Some(&generator));
        let found: Vec<[f32; 3]> = gltf
            .nodes()
            .skip(1)
            .map(|node| node.transform().decomposed().0)
            .collect();
        assert_eq!(found, places);

        // Every face of the mark has the middle behind it.
        let mesh = gltf.meshes().find(|mesh| mesh.name() == Some("solution")).unwrap();
        let mark = mesh.primitives().next().unwrap();
        let reader = mark.reader(|_| gltf.blob.as_deref());
        let corners: Vec<[f32; 3]> = reader.read_positions().unwrap().collect();
        let indices: Vec<u32> = reader.read_indices().unwrap().into_u32().collect();
        assert_eq!((corners.len(), indices.len()), (6, 24));
        for face in indices.chunks(3) {
            let [a, b, c] = [0, 1, 2].map(|corner| corners[face[corner] as usize]);
            let volume = a[0] * (b[1] * c[2] - b[2] * c[1])
                + a[1] * (b[2] * c[0] - b[0] * c[2])
                + a[2] * (b[0] * c[1] - b[1] * c[0]);
            assert!(volume > 0.0, "{face:?}");
        }
    }

    #[test]
    fn both_parts_are_filled_up_to_four_bytes() {
        let file = container(b"[1,2]", &[7, 8, 9]).unwrap();
        let expected = b"glTF\x02\0\0\0\x28\0\0\0\x08\0\0\0JSON[1,2]   \x04\0\0\0BIN\0\x07\x08\x09\0";
        assert_eq!(file, expected);
        let full = container(b"[12]", &[7, 8, 9, 10]).unwrap();
        assert_eq!(full.len(), 12 + 8 + 4 + 8 + 4);
    }
}
