// The surface as a relief: its height is the height of the loss, lit from beside the eye. Appended to field.wgsl.

struct Space {
    transform: mat4x4<f32>,
    // where the eye is
    eye: vec4<f32>,
    // half the base's sides, height of the relief, cells along a side
    size: vec4<f32>,
};

@group(0) @binding(2) var<uniform> space: Space;

struct Vertex {
    @builtin(position) position: vec4<f32>,
    @location(0) world: vec3<f32>,
    @location(1) normal: vec3<f32>,
    @location(2) height: f32,
    // shares that are missing and not finite
    @location(3) unknown: vec2<f32>,
};

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Vertex {
    let across = u32(space.size.w) + 1u;
    let along = vec2<f32>(f32(index % across), f32(index / across)) / space.size.w;
    let last = max(look.grid.xy - 1.0, vec2<f32>(0.0));
    let surface = at(along * last);
    let rise = space.size.z / (look.range.y - look.range.x);
    var out: Vertex;
    out.height = surface.height;
    out.unknown = vec2<f32>(surface.missing, surface.lost);
    // What is below the colours lies on the base.
    let part = share(surface.height);
    out.world = vec3<f32>((along * 2.0 - 1.0) * space.size.xy, max(part, 0.0) * space.size.z);
    let slope = select(surface.slope * rise * last / (2.0 * space.size.xy), vec2<f32>(0.0), part < 0.0);
    out.normal = vec3<f32>(-slope, 1.0);
    out.position = space.transform * vec4<f32>(out.world, 1.0);
    return out;
}

@fragment
fn fragment(in: Vertex) -> @location(0) vec4<f32> {
    // The derivative is taken before anything is discarded.
    let per_pixel = length(vec2<f32>(dpdx(in.height), dpdy(in.height)));
    let part = share(in.height);
    // What is above the colours is cut off, so that one looks into the valley.
    if (in.unknown.x > 0.5 || part > 1.0005) {
        discard;
    }
    var shade = colour(part);
    let line = iso_line(in.height, per_pixel);
    shade = mix(shade, line_colour(shade), 0.5 * line);
    shade = select(shade, hatching(in.position.xy), in.unknown.y > 0.5);
    let to_eye = normalize(space.eye.xyz - in.world);
    var normal = normalize(in.normal);
    // The underside is lit as the upper side is.
    normal = select(-normal, normal, dot(normal, to_eye) > 0.0);
    let sun = normalize(vec3<f32>(-0.35, -0.25, 0.9));
    let light = 0.52 + 0.40 * max(dot(normal, sun), 0.0) + 0.16 * max(dot(normal, to_eye), 0.0);
    let shine = 0.10 * pow(max(dot(reflect(-sun, normal), to_eye), 0.0), 24.0);
    return vec4<f32>(min(shade * light + shine, vec3<f32>(1.0)), 1.0);
}
