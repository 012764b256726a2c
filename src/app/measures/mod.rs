//! What the paper reads off a slice: its asymmetry (*Asymmetric Valleys*, Definition 1) and its shift gap (Definition
//! 3). Both are measured once for a slice and what is asked of it; panel and stage draw what is kept here.

mod certificate;
mod shift;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use egui::{Label, RichText, Ui};
use egui_plot::PlotUi;

use super::state::State;
use super::theme::{self, Palette};
use crate::data::Part;
use crate::engine::{SliceView, View};
use crate::landscape::line::positions;
use crate::landscape::shift::LEAST_SHARE;
use crate::landscape::{Certificate, Curve, Height, Profile, Shift, ShiftGap};

/// Number of δ at which ξ_δ/ξ_0 is measured: an odd one, so that 0 is among them.
const DELTAS: usize = 81;
/// What differs by less than this share is equal but for rounding.
const ROUNDING: f64 = 1e-9;

/// What is asked of the slice on the stage, what is drawn of it, and what was found. Settings of the window: undo
/// leaves them alone, and they stay when another slice is looked at.
pub struct Measures {
    /// Least length of a certificate's interval, as a share of the reach: of the farthest distance from the point that
    /// the slice has on both sides.
    pub share: f64,
    /// Loss that certificates are about.
    pub part: Part,
    /// Whether the certificate is drawn on a slice along a direction, and on one between two solutions.
    pub drawn: [bool; 2],
    /// δ, in units of the position.
    pub delta: f64,
    /// Whether the shifted test curve is laid over the train curve.
    pub overlay: bool,
    kept: Option<Kept>,
}

/// What was found, and of what.
struct Kept {
    slice: Arc<SliceView>,
    asked: Asked,
    lines: Vec<LineMeasures>,
}

/// What the settings come to on a slice.
#[derive(Clone, Copy, PartialEq)]
struct Asked {
    /// Least length of a certificate's interval, in units of the position.
    width: f64,
    part: Part,
    delta: f64,
}

/// What was found on one line of a slice.
pub struct LineMeasures {
    /// The interval of largest c, where there is one.
    pub certificate: Option<Certificate>,
    /// The shift gap, where the two losses have some of the line in common.
    pub shifts: Option<Shifts>,
}

/// The shift gap of one line.
pub struct Shifts {
    /// Both curves.
    pub gap: ShiftGap,
    /// δ and ξ_δ/ξ_0, by ascending δ; no ratio where too little of the range is comparable, or ξ_0 is 0.
    pub ratios: Vec<(f64, Option<f64>)>,
    /// The δ of the smallest gap.
    pub best: Option<Shift>,
    /// The gap at the δ that is asked for.
    pub here: Option<Shift>,
}

/// How the stage draws losses.
pub struct Canvas {
    /// Its colours.
    pub palette: Palette,
    /// Heights of losses.
    pub height: Height,
    /// The lowest loss and the highest on it.
    pub losses: (f64, f64),
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            share: 1.0 / 3.0,
            part: Part::Train,
            drawn: [true, false],
            delta: 0.0,
            overlay: false,
            kept: None,
        }
    }
}

impl Measures {
    /// What was found, a line of the slice each. Nothing while the slice is rough, and nothing on the curves through a
    /// plane's point, which need not lie in the middle.
    pub fn lines(&self) -> &[LineMeasures] {
        self.kept.as_ref().map_or(&[], |kept| &kept.lines)
    }

    /// Least length of a certificate's interval on a slice over a range of positions, in their units.
    pub fn width(&self, range: (f64, f64)) -> f64 {
        self.share * reach(range)
    }

    /// δ on a slice over a range of positions: no farther than half of it, beyond which too little is comparable.
    pub fn delta_on(&self, range: (f64, f64)) -> f64 {
        let half = half(range);
        self.delta.clamp(-half, half)
    }

    /// Whether the certificate is drawn on slices of this kind.
    fn drawn(&mut self, view: View) -> &mut bool {
        &mut self.drawn[kind(view)]
    }

    /// Measures a slice, where it is another than before or something else is asked of it.
    pub fn see(&mut self, slice: Option<&Arc<SliceView>>) {
        let Some(slice) = slice else {
            self.kept = None;
            return;
        };
        let range = slice.request.range;
        let asked = Asked {
            width: self.width(range),
            part: self.part,
            delta: self.delta_on(range),
        };
        if let Some(kept) = &mut self.kept
            && Arc::ptr_eq(&kept.slice, slice)
        {
            if kept.asked != asked {
                for (line, measures) in slice.lines.iter().zip(&mut kept.lines) {
                    measures.ask(&line.record.curve, asked);
                }
                kept.asked = asked;
            }
            return;
        }
        let measured = !slice.level.is_rough() && !matches!(slice.request.view, View::Marginals(_));
        let lines = slice.lines.iter().filter(|_| measured);
        self.kept = Some(Kept {
            lines: lines
                .map(|line| LineMeasures::of(&line.record.curve, range, asked))
                .collect(),
            slice: slice.clone(),
            asked,
        });
    }
}

impl LineMeasures {
    fn of(curve: &Curve, range: (f64, f64), asked: Asked) -> Self {
        let mut measures = Self {
            certificate: None,
            // Curves without anything in common have no gap.
            shifts: ShiftGap::along(curve, range).ok().map(|gap| Shifts::of(gap, range)),
        };
        measures.ask(curve, asked);
        measures
    }

    fn ask(&mut self, curve: &Curve, asked: Asked) {
        self.certificate = Certificate::of(&Profile::of(curve, asked.part), asked.width);
        if let Some(shifts) = &mut self.shifts {
            shifts.here = shifts.gap.at(asked.delta);
        }
    }
}

impl Shifts {
    fn of(gap: ShiftGap, range: (f64, f64)) -> Self {
        let half = half(range);
        let ratio = |delta: f64| {
            let shift = gap.at(delta)?;
            shift.ratio.filter(|_| shift.share >= LEAST_SHARE * (1.0 - ROUNDING))
        };
        let deltas = positions(-half, half, DELTAS);
        Self {
            ratios: deltas.into_iter().map(|delta| (delta, ratio(delta))).collect(),
            best: gap.best_within((-half, half), LEAST_SHARE),
            here: None,
            gap,
        }
    }
}

/// The farthest distance from the origin of positions within a range on both sides of it.
fn reach((start, end): (f64, f64)) -> f64 {
    end.min(-start).max(0.0)
}

/// Half the length of a range of positions.
fn half((start, end): (f64, f64)) -> f64 {
    0.5 * (end - start)
}

/// Which of [`Measures::drawn`] counts.
fn kind(view: View) -> usize {
    usize::from(view == View::Interpolation)
}

/// The sections of the reading: numbers, and what is asked for.
pub fn show(ui: &mut Ui, state: &mut State, slice: &SliceView) {
    if matches!(slice.request.view, View::Marginals(_)) {
        return;
    }
    ui.add_space(4.0);
    ui.separator();
    // Two lines over each other are enough on one stage, and below a surface there is no room.
    let drawable = slice.lines.len() == 1 && !state.shows_surface();
    certificate::section(ui, &mut state.measures, slice, drawable);
    shift::section(ui, &mut state.measures, slice, drawable);
    // What was asked for in this frame is on the stage in the same.
    state.measure();
}

/// What lies behind the curves on the stage: the certificate.
pub fn backdrop(plot: &mut PlotUi, canvas: &Canvas, measures: &Measures, slice: &SliceView) {
    let ([line], [measured]) = (slice.lines.as_slice(), measures.lines()) else {
        return;
    };
    if let Some(found) = measured
        .certificate
        .filter(|_| measures.drawn[kind(slice.request.view)])
    {
        let marks = certificate::marks(&found, &line.record.curve, measures.part, canvas.losses);
        certificate::draw(plot, canvas, &marks, slice.request.range);
    }
}

/// What lies over them: the shifted test curve.
pub fn overlay(plot: &mut PlotUi, canvas: &Canvas, measures: &Measures, slice: &SliceView) {
    let ([_], [measured]) = (slice.lines.as_slice(), measures.lines()) else {
        return;
    };
    if let Some(shifts) = measured.shifts.as_ref().filter(|_| measures.overlay) {
        shift::draw(plot, canvas, shifts, measures.delta_on(slice.request.range));
    }
}

/// A text of lesser weight, in the place of numbers.
fn faint(ui: &mut Ui, text: &str) {
    let colour = theme::palette(ui.ctx()).faint;
    ui.add(Label::new(RichText::new(text).color(colour)).wrap());
}
