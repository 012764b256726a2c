// Straight segments of a given width in pixels, in the space of the relief: the trajectory's ribbon, stems and edges.

struct Space {
    transform: mat4x4<f32>,
    eye: vec4<f32>,
    size: vec4<f32>,
};

struct Screen {
    // pixels
    size: vec4<f32>,
};

@group(0) @binding(0) var<uniform> space: Space;
@group(0) @binding(1) var<uniform> screen: Screen;

struct Vertex {
    @builtin(position) position: vec4<f32>,
    @location(0) colour: vec4<f32>,
};

@vertex
fn vertex(
    @builtin(vertex_index) index: u32,
    @location(0) from_width: vec4<f32>,
    @location(1) to: vec4<f32>,
    @location(2) from_colour: vec4<f32>,
    @location(3) to_colour: vec4<f32>,
) -> Vertex {
    // Two triangles: bit 0 is the end, bit 1 the side.
    let corner = array<u32, 6>(0u, 1u, 2u, 2u, 1u, 3u)[index];
    let a = space.transform * vec4<f32>(from_width.xyz, 1.0);
    let b = space.transform * vec4<f32>(to.xyz, 1.0);
    let along = (b.xy / b.w - a.xy / a.w) * screen.size.xy;
    let reach = max(length(along), 1e-6);
    let direction = select(vec2<f32>(1.0, 0.0), along / reach, reach > 1e-5);
    let across = vec2<f32>(-direction.y, direction.x);
    let at_end = (corner & 1u) == 1u;
    var position = select(a, b, at_end);
    let side = select(-1.0, 1.0, (corner & 2u) == 2u);
    // A little beyond the end, so that segments in a row leave no gap.
    let beyond = select(-0.3, 0.3, at_end);
    let offset = (across * side * 0.5 + direction * beyond) * from_width.w * 2.0 / screen.size.xy;
    position.x += offset.x * position.w;
    position.y += offset.y * position.w;
    // In front of the surface it lies on.
    position.z -= to.w * position.w;
    var out: Vertex;
    out.position = position;
    out.colour = select(from_colour, to_colour, at_end);
    return out;
}

@fragment
fn fragment(in: Vertex) -> @location(0) vec4<f32> {
    return vec4<f32>(in.colour.rgb * in.colour.a, in.colour.a);
}
