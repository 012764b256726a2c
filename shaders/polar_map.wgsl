// A disc coloured by loss: position in the disc is position in the plane of the pad's two directions. The grid is
// polar, one texel a measured point; between points the logarithm of the loss is interpolated. Iso-lines are drawn
// here too, so they are crisp at any size.

struct Map {
    // angles, radii, and the smallest and largest logarithm of the loss
    grid: vec4<f32>,
    // logarithm of the loss at the centre, spacing of the iso-lines, opacity, whether the target wants linear colour
    look: vec4<f32>,
    // the colour map, from low to high
    colours: array<vec4<f32>, 8>,
};

@group(0) @binding(0) var<uniform> map: Map;
@group(0) @binding(1) var losses: texture_2d<f32>;

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) disc: vec2<f32>,
};

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Corner {
    // One triangle that covers the viewport.
    let corner = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u)) * 2.0 - 1.0;
    var out: Corner;
    out.position = vec4<f32>(corner, 0.0, 1.0);
    out.disc = corner;
    return out;
}

// Values beyond these mark points that are not measured, and losses that are not finite.
const UNMEASURED: f32 = -1e20;
const NOT_FINITE: f32 = 1e20;

// The value at an angle (wrapping round) and a ring; ring 0 is the centre.
fn value(angle: i32, ring: i32) -> f32 {
    if (ring <= 0) {
        return map.look.x;
    }
    let angles = i32(map.grid.x);
    let wrapped = (angle % angles + angles) % angles;
    return textureLoad(losses, vec2<i32>(min(ring, i32(map.grid.y)) - 1, wrapped), 0).r;
}

fn colour(share: f32) -> vec3<f32> {
    let place = clamp(share, 0.0, 1.0) * 7.0;
    let below = u32(min(floor(place), 6.0));
    return mix(map.colours[below].rgb, map.colours[below + 1u].rgb, place - f32(below));
}

fn to_linear(colour: vec3<f32>) -> vec3<f32> {
    return select(colour / 12.92, pow((colour + 0.055) / 1.055, vec3<f32>(2.4)), colour > vec3<f32>(0.04045));
}

@fragment
fn fragment(in: Corner) -> @location(0) vec4<f32> {
    let radius = length(in.disc);
    let edge = fwidth(radius);
    let inside = 1.0 - smoothstep(1.0 - edge, 1.0, radius);
    let turn = atan2(in.disc.y, in.disc.x) / 6.28318530718 * map.grid.x;
    let ring = radius * map.grid.y;
    let angle_below = i32(floor(turn));
    let ring_below = i32(floor(ring));
    let across = turn - floor(turn);
    let outwards = ring - floor(ring);
    // A mean over the four neighbours that are measured, so the map grows smoothly while it is being made.
    var sum = 0.0;
    var weight = 0.0;
    var lost = 0.0;
    for (var corner = 0; corner < 4; corner++) {
        let da = corner & 1;
        let dr = corner >> 1;
        let share = mix(1.0 - across, across, f32(da)) * mix(1.0 - outwards, outwards, f32(dr));
        let v = value(angle_below + da, ring_below + dr);
        if (v > NOT_FINITE) {
            lost += share;
        } else if (v > UNMEASURED) {
            sum += share * v;
            weight += share;
        }
    }
    let mean = sum / max(weight, 1e-6);
    var shade = colour((mean - map.grid.z) / max(map.grid.w - map.grid.z, 1e-6));
    let level = mean / map.look.y;
    let slope = max(fwidth(level), 1e-4);
    let line = 1.0 - smoothstep(0.0, 1.2, abs(fract(level - 0.5) - 0.5) / slope);
    shade = mix(shade, vec3<f32>(1.0), 0.35 * line * step(slope, 0.5));
    // Losses that are not finite are hatched.
    let hatch = step(0.5, fract((in.position.x + in.position.y) / 8.0));
    shade = select(shade, vec3<f32>(0.25 + 0.35 * hatch), lost > 0.5);
    let known = max(smoothstep(0.3, 0.7, weight), step(0.5, lost));
    let opacity = inside * known * map.look.z;
    if (map.look.w > 0.5) {
        shade = to_linear(shade);
    }
    return vec4<f32>(shade * opacity, opacity);
}
