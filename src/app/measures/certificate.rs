//! The certificate of asymmetry: its numbers in the reading, and its two intervals with their slopes on the stage.

use egui::{Align2, Button, DragValue, Grid, RichText, Ui};
use egui_plot::{Line, PlotPoint, PlotPoints, PlotUi, Span, Text};

use super::{Canvas, Measures, faint, reach};
use crate::app::reading::row;
use crate::app::source::name;
use crate::app::theme;
use crate::data::Part;
use crate::engine::{SliceView, View};
use crate::experiment::outcome::significant;
use crate::landscape::asymmetry::ASYMMETRIC;
use crate::landscape::line::positions;
use crate::landscape::{Certificate, Curve, Side, SlopeSource};

/// Points of a line of one slope: on a logarithmic axis it is bent.
const PIECES: usize = 17;
/// An interval wider than this on screen, in points, has room for a label with a word.
const ROOMY: f32 = 96.0;
/// r̄ as the window's fonts can write it: they have no combining macron.
const R_BAR: &str = "r¯";

/// A side of a certificate, as it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Which side of the point.
    pub side: Side,
    /// Whether it is the sharp one.
    pub sharp: bool,
    /// First and last position of the interval.
    pub span: (f64, f64),
    /// p or c·p, in losses per unit of the position.
    pub slope: f64,
    /// Positions and losses of a line of this slope from the curve at the interval's inner end.
    pub line: Vec<(f64, f64)>,
}

/// Both sides of a certificate of a curve, the flat one first: lines are cut where they leave the `losses` drawn, from
/// the lowest to the highest.
pub fn marks(certificate: &Certificate, curve: &Curve, part: Part, losses: (f64, f64)) -> Vec<Mark> {
    let sides = [
        (certificate.flat, certificate.p, false),
        (certificate.flat.opposite(), certificate.sharp, true),
    ];
    let mark = |(side, slope, sharp): (Side, f64, bool)| {
        let sign = match side {
            Side::Positive => 1.0,
            Side::Negative => -1.0,
        };
        let start = curve.at(sign * certificate.from)?.part(part).loss;
        let room = match slope {
            slope if slope > 0.0 => (losses.1 - start) / slope,
            slope if slope < 0.0 => (losses.0 - start) / slope,
            _ => f64::INFINITY,
        };
        let length = certificate.width().min(room.max(0.0));
        let ends = [sign * certificate.from, sign * certificate.to];
        start.is_finite().then(|| Mark {
            side,
            sharp,
            span: (ends[0].min(ends[1]), ends[0].max(ends[1])),
            slope,
            line: positions(0.0, length, PIECES)
                .into_iter()
                .map(|out| (sign * (certificate.from + out), start + slope * out))
                .collect(),
        })
    };
    sides.into_iter().filter_map(mark).collect()
}

/// Draws them on a stage with a range of positions.
pub fn draw(plot: &mut PlotUi, canvas: &Canvas, marks: &[Mark], range: (f64, f64)) {
    for mark in marks {
        let colour = canvas.palette.sides[usize::from(mark.sharp)];
        plot.span(Span::new("", mark.span.0..=mark.span.1).fill(colour.gamma_multiply(0.13)));
        let line = mark.line.iter().map(|&(l, loss)| [l, canvas.height.of(loss)]);
        let line: Vec<[f64; 2]> = line.collect();
        let ends = (line.first().copied(), line.last().copied());
        let points: PlotPoints = line.into_iter().collect();
        plot.line(Line::new("", points).color(colour).width(1.8).allow_hover(false));
        // The sharp line lies below the curve and the flat one above it: there the label hides neither.
        let (at, sign) = match mark.sharp {
            true => (ends.0, "≥"),
            false => (ends.1, "≤"),
        };
        let anchor = match (mark.sharp, mark.side) {
            (true, Side::Positive) => Align2::LEFT_TOP,
            (true, Side::Negative) => Align2::RIGHT_TOP,
            (false, Side::Positive) => Align2::RIGHT_BOTTOM,
            (false, Side::Negative) => Align2::LEFT_BOTTOM,
        };
        let share = (mark.span.1 - mark.span.0) / (range.1 - range.0);
        let word = match share as f32 * plot.response().rect.width() > ROOMY {
            true => "slope ",
            false => "",
        };
        if let Some([l, height]) = at {
            // The spaces keep it off the interval's end.
            let text = RichText::new(format!("  {word}{sign} {}  ", significant(mark.slope, 3)));
            let text = Text::new("", PlotPoint::new(l, height), text.size(12.5));
            plot.text(text.color(colour).anchor(anchor));
        }
    }
}

/// The section of the reading.
pub fn section(ui: &mut Ui, measures: &mut Measures, slice: &SliceView, drawable: bool) {
    theme::section(ui, "ASYMMETRY", true, |ui| {
        if slice.level.is_rough() {
            return faint(ui, "refining …");
        }
        for (line, measured) in slice.lines.iter().zip(measures.lines()) {
            if slice.lines.len() > 1 {
                ui.label(RichText::new(&line.record.label).strong());
            }
            match &measured.certificate {
                Some(certificate) => rows(ui, certificate, slice.request.view, &line.record.label),
                None => faint(ui, "no interval this long rises on one side"),
            }
        }
        asked(ui, measures, slice, drawable);
    });
}

/// What was found on one line.
fn rows(ui: &mut Ui, certificate: &Certificate, view: View, label: &str) {
    let side = match (view == View::Interpolation, certificate.flat) {
        (false, Side::Positive) => "+u",
        (false, Side::Negative) => "−u",
        (true, Side::Positive) => "t > 0",
        (true, Side::Negative) => "t < 0",
    };
    let (slopes, source) = match certificate.slopes {
        SlopeSource::Differences => (
            "by differences",
            "slopes are differences of losses at neighbouring positions",
        ),
        SlopeSource::Exact => ("exact", "slopes are derivatives at the measured positions"),
    };
    let c = match certificate.c {
        c if c > ASYMMETRIC => RichText::new(format!("{}, clearly asymmetric", figure(c))).strong(),
        c if certificate.is_asymmetric() => RichText::new(format!("{}, weakly asymmetric", figure(c))),
        c => RichText::new(format!("{}, not asymmetric", figure(c))),
    };
    let (to, from, p, ratio) = certificate.published();
    let published = [to, from, p, ratio].map(figure).join(", ");
    let (end, slope, times, start) = certificate.preprint();
    let preprint = [end, slope, times, start].map(figure).join(", ");
    let definition = format!(
        "({R_BAR}, r, p, c) = ({published})\ngoing out from w: slope < p on the flat side and > c·p on the sharp one, \
         for l from r to {R_BAR}\n(Asymmetric Valleys, Definition 1; in the preprint, for l from ζ to r,\n\
         (r, p, c, ζ) = ({preprint}))"
    );
    Grid::new(("certificate", label))
        .num_columns(2)
        .spacing([14.0, 4.0])
        .show(ui, |ui| {
            row(
                ui,
                "Flat side",
                format!("{side}, {slopes}"),
                &format!("where the loss rises less on the way out; {source}, in losses per unit of the position"),
            );
            let paper = format!(
                "how many times as steep the sharp side is as the flat one, at least: asymmetric is c > 1, and the \
                 paper counts on c > {ASYMMETRIC}"
            );
            row(ui, "c", c, &paper);
            row(ui, &format!("{R_BAR}, r, p, c"), published, &definition);
        });
}

/// What is asked for: the interval's least length, the loss, and whether it is drawn.
fn asked(ui: &mut Ui, measures: &mut Measures, slice: &SliceView, drawable: bool) {
    let palette = theme::palette(ui.ctx());
    let range = slice.request.range;
    let reach = reach(range);
    ui.horizontal(|ui| {
        let mut width = measures.width(range);
        let field = ui
            .add(
                DragValue::new(&mut width)
                    .range(0.0..=reach)
                    .speed(0.004 * reach)
                    .max_decimals(if reach >= 1.0 { 2 } else { 4 })
                    .prefix("≥ "),
            )
            .on_hover_text(format!(
                "least length of the interval, {R_BAR} − r, in units of the position; kept as a share of the range. A \
                 longer one has a smaller c"
            ));
        name(&field, "Certificate width");
        if field.changed() && reach > 0.0 {
            measures.share = width / reach;
        }
        let (colour, other) = match measures.part {
            Part::Train => (palette.train, Part::Test),
            Part::Test => (palette.test, Part::Train),
        };
        let text = RichText::new(measures.part.name()).color(colour);
        let split = ui.add(Button::new(text).small()).on_hover_text(format!(
            "of the {} loss; a click takes the {} loss",
            measures.part.name(),
            other.name()
        ));
        name(&split, "Certificate split");
        if split.clicked() {
            measures.part = other;
        }
        if drawable {
            let drawn = ui
                .checkbox(measures.drawn(slice.request.view), "on the slice")
                .on_hover_text("shade both intervals, with lines of slope p on the flat side and c·p on the sharp one");
            name(&drawn, "Certificate");
        }
    });
}

/// A number of three digits.
fn figure(value: f64) -> String {
    match value.is_infinite() {
        true => "∞".to_owned(),
        false => significant(value, 3),
    }
}
