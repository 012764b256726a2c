// The surface from above: colours, iso-lines and dots on measured nodes, all computed in the fragment, so that they are
// crisp at any zoom. Appended to field.wgsl.

struct Corner {
    @builtin(position) position: vec4<f32>,
    // 0 at the left and bottom, 1 at the right and top
    @location(0) place: vec2<f32>,
};

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Corner {
    // One triangle that covers the picture.
    let corner = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    var out: Corner;
    out.position = vec4<f32>(corner * 2.0 - 1.0, 0.0, 1.0);
    out.place = corner;
    return out;
}

@fragment
fn fragment(in: Corner) -> @location(0) vec4<f32> {
    let extent = look.view.zw - look.view.xy;
    let place = look.view.xy + in.place * extent;
    // Nodes from pixel to pixel: the map is not turned.
    let per_pixel = extent * vec2<f32>(dpdx(in.place.x), -dpdy(in.place.y));
    let last = max(look.grid.xy - 1.0, vec2<f32>(0.0));
    let outside = max(max(-place, place - last), vec2<f32>(0.0)) / max(abs(per_pixel), vec2<f32>(1e-20));
    let single = step(look.grid.xy, vec2<f32>(1.5));
    // An axis of one node has its value everywhere.
    let edge = max(outside.x * (1.0 - single.x), outside.y * (1.0 - single.y));
    let surface = at(clamp(place, vec2<f32>(0.0), last));
    var shade = colour(share(surface.height));
    let slope = length(surface.slope * per_pixel);
    let line = iso_line(surface.height, slope);
    shade = mix(shade, line_colour(shade), 0.55 * line);
    let nearest = round(clamp(place, vec2<f32>(0.0), last));
    let away = (place - nearest) / max(abs(per_pixel), vec2<f32>(1e-20));
    let measured = step(0.5, 1.0 - abs(node(i32(nearest.x), i32(nearest.y)).g - MEASURED));
    let spot = measured * look.style.x * (1.0 - smoothstep(0.7, 1.7, length(away) / max(0.6 * look.grid.z, 1.0)));
    shade = mix(shade, line_colour(shade), spot);
    shade = select(shade, hatching(in.position.xy), surface.lost > 0.5);
    let known = 1.0 - smoothstep(0.45, 0.55, surface.missing);
    let opacity = known * (1.0 - smoothstep(0.0, 1.0, edge));
    return vec4<f32>(shade * opacity, opacity);
}
