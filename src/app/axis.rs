//! What the plots share: their handling, the loss axis (linear or logarithmic), and grid lines.

use egui_plot::{GridInput, GridMark, Plot};

use crate::figure::chart::Scale;

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

/// How losses become heights: as they are, or by their logarithm.
#[derive(Clone, Copy)]
pub struct Height {
    logarithmic: bool,
}

impl Height {
    /// The axis for losses from `low` to `high`.
    pub fn new(scale: Scale, low: f64, high: f64) -> Self {
        Self {
            logarithmic: scale.is_logarithmic(low, high),
        }
    }

    /// Height of a loss.
    pub fn of(self, loss: f64) -> f64 {
        if self.logarithmic {
            loss.max(1e-12).log10()
        } else {
            loss
        }
    }

    /// Loss at a height.
    pub fn loss(self, height: f64) -> f64 {
        if self.logarithmic { 10f64.powf(height) } else { height }
    }
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
    let mut marks = Vec::new();
    for decade in low.floor() as i32..=high.ceil() as i32 {
        for factor in [1.0_f64, 2.0, 5.0] {
            let value = f64::from(decade) + factor.log10();
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
