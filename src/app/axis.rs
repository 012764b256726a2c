//! What the plots share: their handling, the loss axis (linear or logarithmic), and grid lines.

use egui_plot::{GridInput, GridMark, Plot};

use crate::landscape::Height;

/// A plot that shows what it is told to: dragging moves the mark or the epoch in it, never the view.
pub fn fixed_plot<'a>(name: &str) -> Plot<'a> {
    Plot::new(name)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .sense(egui::Sense::click_and_drag())
        .show_crosshair(false)
}

/// About `count` round numbers within bounds.
pub fn round_marks((low, high): (f64, f64), count: f64) -> Vec<GridMark> {
    let rough = ((high - low) / count).max(1e-12);
    let decade = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * decade)
        .find(|&step| step >= rough)
        .unwrap_or(decade);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last)
        .map(|i| GridMark {
            value: i as f64 * step,
            step_size: high - low,
        })
        .collect()
}

/// Grid lines: 1, 2 and 5 of every decade where the axis is logarithmic, round numbers otherwise.
pub fn grid(height: Height, input: &GridInput, count: f64) -> Vec<GridMark> {
    let (low, high) = input.bounds;
    if !height.logarithmic {
        return round_marks(input.bounds, count);
    }
    let decades = |height: f64| height / std::f64::consts::LN_10;
    let mut marks = Vec::new();
    for decade in decades(low).floor() as i32..=decades(high).ceil() as i32 {
        for factor in [1.0_f64, 2.0, 5.0] {
            let value = height.of(factor * 10f64.powi(decade));
            if (low..=high).contains(&value) {
                marks.push(GridMark {
                    value,
                    step_size: high - low,
                });
            }
        }
    }
    marks
}
