// What the heat map and the relief share: the smooth surface through the nodes (Catmull and Rom's cubic, as on the
// processor), its colours, its iso-lines, and the hatching of what is not finite.

struct Look {
    // nodes along both axes (the ring around them not counted), width of an iso-line and spacing of the hatching in pixels
    grid: vec4<f32>,
    // heights at the two ends of the colours, height of an iso-line, distance of iso-lines (0: none)
    range: vec4<f32>,
    // the map's corners in nodes: left, bottom, right, top
    view: vec4<f32>,
    // opacity of the dots on measured nodes
    style: vec4<f32>,
    // the colour map, from low to high
    colours: array<vec4<f32>, 33>,
};

@group(0) @binding(0) var<uniform> look: Look;
@group(0) @binding(1) var nodes: texture_2d<f32>;

// What stands at a node.
const MISSING: f32 = 0.0;
const MEASURED: f32 = 2.0;
const NOT_FINITE: f32 = 3.0;

fn node(column: i32, row: i32) -> vec2<f32> {
    let last = vec2<i32>(look.grid.xy) + 1;
    return textureLoad(nodes, clamp(vec2<i32>(column, row) + 1, vec2<i32>(0), last), 0).rg;
}

// Weights of the four nodes around t, and their derivatives.
fn cubic(t: f32) -> vec4<f32> {
    let t2 = t * t;
    let t3 = t2 * t;
    return 0.5 * vec4<f32>(-t + 2.0 * t2 - t3, 2.0 - 5.0 * t2 + 3.0 * t3, t + 4.0 * t2 - 3.0 * t3, t3 - t2);
}

fn cubic_slope(t: f32) -> vec4<f32> {
    let t2 = t * t;
    return 0.5 * vec4<f32>(-1.0 + 4.0 * t - 3.0 * t2, -10.0 * t + 9.0 * t2, 1.0 + 8.0 * t - 9.0 * t2, 3.0 * t2 - 2.0 * t);
}

struct Place {
    height: f32,
    // change of the height from node to node
    slope: vec2<f32>,
    // share of the surroundings that is missing, and that is not finite
    missing: f32,
    lost: f32,
};

// The surface at node coordinates.
fn at(place: vec2<f32>) -> Place {
    let last = max(look.grid.xy - 2.0, vec2<f32>(0.0));
    let cell = clamp(floor(place), vec2<f32>(0.0), last);
    let t = place - cell;
    let wx = cubic(t.x);
    let wy = cubic(t.y);
    let sx = cubic_slope(t.x);
    let sy = cubic_slope(t.y);
    var out: Place;
    let corner = vec2<i32>(cell);
    for (var j = 0; j < 4; j++) {
        for (var i = 0; i < 4; i++) {
            let value = node(corner.x + i - 1, corner.y + j - 1);
            out.height += wx[i] * wy[j] * value.r;
            out.slope += vec2<f32>(sx[i] * wy[j], wx[i] * sy[j]) * value.r;
            let inner = (i == 1 || i == 2) && (j == 1 || j == 2);
            if (inner) {
                let near = select(1.0 - t.x, t.x, i == 2) * select(1.0 - t.y, t.y, j == 2);
                out.missing += select(0.0, near, value.g == MISSING);
                out.lost += select(0.0, near, value.g == NOT_FINITE);
            }
        }
    }
    return out;
}

fn share(height: f32) -> f32 {
    return (height - look.range.x) / (look.range.y - look.range.x);
}

fn colour(share: f32) -> vec3<f32> {
    let place = clamp(share, 0.0, 1.0) * 32.0;
    let below = u32(min(floor(place), 31.0));
    return mix(look.colours[below].rgb, look.colours[below + 1u].rgb, place - f32(below));
}

// How much of a pixel an iso-line covers; `per_pixel` is the change of the height from pixel to pixel.
fn iso_line(height: f32, per_pixel: f32) -> f32 {
    let spacing = look.range.w;
    if (spacing <= 0.0) {
        return 0.0;
    }
    let level = (height - look.range.z) / spacing;
    let nearest = round(level) * spacing + look.range.z;
    // None at or beyond the ends of the colours, and none where they would run into one another.
    let rounding = 0.001 * spacing;
    let inside = step(look.range.x + rounding, nearest) * step(nearest, look.range.y - rounding);
    let pixels = abs(height - nearest) / max(per_pixel, 1e-20);
    let apart = 1.0 - smoothstep(0.2, 0.5, per_pixel / spacing);
    // A plateau at a level is no line: its heights differ by rounding alone.
    let sloping = step(1e-6 * max(abs(look.range.x), abs(look.range.y)), per_pixel);
    return inside * apart * sloping * (1.0 - smoothstep(0.5 * look.grid.z - 0.5, 0.5 * look.grid.z + 0.5, pixels));
}

// Light on dark colours, dark on light ones, and nothing between, which would be as light as what is under it.
fn line_colour(under: vec3<f32>) -> vec3<f32> {
    let lightness = dot(under, vec3<f32>(0.2126, 0.7152, 0.0722));
    return vec3<f32>(step(lightness, 0.52));
}

fn hatching(pixel: vec2<f32>) -> vec3<f32> {
    let stripe = step(0.5, fract((pixel.x + pixel.y) / look.grid.w));
    return vec3<f32>(0.32 + 0.28 * stripe);
}
