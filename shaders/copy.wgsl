// Copies a finished picture into the window, pixel by pixel.

struct Target {
    // whether it wants linear colour
    linear: vec4<f32>,
};

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var smooth_sampler: sampler;
@group(0) @binding(2) var<uniform> window: Target;

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) place: vec2<f32>,
};

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Corner {
    let corner = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    var out: Corner;
    out.position = vec4<f32>(corner.x * 2.0 - 1.0, 1.0 - corner.y * 2.0, 0.0, 1.0);
    out.place = corner;
    return out;
}

fn to_linear(colour: vec3<f32>) -> vec3<f32> {
    return select(colour / 12.92, pow((colour + 0.055) / 1.055, vec3<f32>(2.4)), colour > vec3<f32>(0.04045));
}

@fragment
fn fragment(in: Corner) -> @location(0) vec4<f32> {
    let colour = textureSample(picture, smooth_sampler, in.place);
    return vec4<f32>(select(colour.rgb, to_linear(colour.rgb), window.linear.x > 0.5), colour.a);
}
