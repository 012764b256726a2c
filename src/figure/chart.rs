//! One chart of curves over one number, drawn the same to PNG and SVG.

use std::path::Path;
use std::sync::OnceLock;

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::heat_map::{check_size, encode_png};
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::Scale;

/// Pixels of a figure: wide enough for two columns in print and for a slide.
pub const SIZE: (u32, u32) = (1600, 1000);

/// Marks nearer than this share of the axis would write their names over each other.
const NEAR: f64 = 0.13;
/// Share of the height that is room enough for a legend.
const ENOUGH: f64 = 0.3;

/// Okabe and Ito's colours, told apart by colour-blind readers.
pub const BLUE: [u8; 3] = [0, 114, 178];
/// The colour of test curves.
pub const VERMILION: [u8; 3] = [213, 94, 0];
/// The first of two directions over each other.
pub const GREEN: [u8; 3] = [0, 140, 100];
/// The second.
pub const PURPLE: [u8; 3] = [170, 68, 136];
/// The fifth of many curves.
pub const ORANGE: [u8; 3] = [230, 159, 0];
/// The sixth.
pub const GREY: [u8; 3] = [90, 90, 90];

/// A curve.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend; without one it is not there.
    pub label: String,
    /// Its colour.
    pub colour: [u8; 3],
    /// Points in the order in which they are joined; a y that is not finite leaves a gap and a mark, without an x a gap
    /// alone. A point between two gaps is a dot.
    pub points: Vec<(f64, f64)>,
    /// Whether the lowest point is marked.
    pub mark_minimum: bool,
    /// Whether the line is dashed.
    pub dashed: bool,
}

/// A vertical line with a name.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where.
    pub position: f64,
    /// Its name, written beside it.
    pub label: String,
}

/// A chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// Horizontal axis, with its unit.
    pub x_label: String,
    /// Vertical axis, with its unit.
    pub y_label: String,
    /// Curves.
    pub series: Vec<Series>,
    /// Vertical lines.
    pub marks: Vec<Mark>,
    /// How it was made; one line at the foot.
    pub footnote: String,
    /// The vertical axis.
    pub scale: Scale,
}

impl Chart {
    /// The chart as PNG bytes.
    ///
    /// # Errors
    /// For sizes out of bounds, when there is nothing to draw or drawing fails.
    pub fn png(&self, size: (u32, u32)) -> Result<Vec<u8>> {
        check_size(size)?;
        let mut pixels = vec![0; 3 * size.0 as usize * size.1 as usize];
        self.draw(BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area(), size)?;
        encode_png(pixels, size)
    }

    /// The chart as SVG text.
    ///
    /// # Errors
    /// As for [`Self::png`].
    pub fn svg(&self, size: (u32, u32)) -> Result<String> {
        check_size(size)?;
        let mut text = String::new();
        self.draw(SVGBackend::with_string(&mut text, size).into_drawing_area(), size)?;
        Ok(text)
    }

    /// Writes PNG or SVG, as the file's ending says, of [`SIZE`] unless another is given.
    ///
    /// # Errors
    /// [`Error::File`] for other endings and for files that cannot be written; otherwise as for [`Self::png`].
    pub fn write(&self, path: &Path, size: Option<(u32, u32)>) -> Result<()> {
        let size = size.unwrap_or(SIZE);
        match path.extension().and_then(|e| e.to_str()) {
            Some("png") => whole_file::write(path, &self.png(size)?),
            Some("svg") => whole_file::write(path, self.svg(size)?.as_bytes()),
            _ => Err(Error::file_reason(path, "a figure's file name ends in .png or .svg")),
        }
    }

    fn finite(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series
            .iter()
            .flat_map(|s| s.points.iter().copied())
            .filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    fn draw<B: DrawingBackend>(&self, area: DrawingArea<B, plotters::coord::Shift>, size: (u32, u32)) -> Result<()> {
        use_own_font()?;
        let (mut x, mut y) = ([f64::INFINITY, f64::NEG_INFINITY], [f64::INFINITY, f64::NEG_INFINITY]);
        for (px, py) in self.finite() {
            x = [x[0].min(px), x[1].max(px)];
            y = [y[0].min(py), y[1].max(py)];
        }
        if x[0] > x[1] {
            return Err(Error::Request(
                "there is nothing to draw yet: no point of the curve has a finite loss".to_owned(),
            ));
        }
        if x[0] == x[1] {
            x = [x[0] - 0.5, x[1] + 0.5];
        }
        let logarithmic = self.scale.is_logarithmic(y[0], y[1]);
        let failed = |error: String| Error::Request(format!("the figure could not be drawn: {error}"));
        area.fill(&WHITE).map_err(|error| failed(error.to_string()))?;
        // Words shrink with whichever side is short.
        let unit = (f64::from(size.1) / 1000.0).min(f64::from(size.0) / 1200.0);
        let foot = (40.0 * unit) as u32;
        let (body, foot_area) = area.split_vertically(size.1.saturating_sub(foot) as i32);
        foot_area
            .draw(&Text::new(
                self.footnote.clone(),
                ((24.0 * unit) as i32, 0),
                ("sans-serif", 19.0 * unit).into_font().color(&RGBColor(120, 120, 120)),
            ))
            .map_err(|error| failed(error.to_string()))?;
        let mut builder = ChartBuilder::on(&body);
        builder
            .caption(
                &self.title,
                ("sans-serif", 40.0 * unit).into_font().color(&RGBColor(30, 30, 30)),
            )
            .margin((24.0 * unit) as i32)
            .x_label_area_size((78.0 * unit) as i32)
            .y_label_area_size((110.0 * unit) as i32);
        let plot = Plot {
            chart: self,
            unit,
            top: y[1],
        };
        if logarithmic {
            let span = (y[1] / y[0]).ln().max(1e-9);
            let range = (y[0] / (0.06 * span).exp())..(y[1] * (0.06 * span).exp());
            builder
                .build_cartesian_2d(x[0]..x[1], range.log_scale())
                .map_err(|error| failed(error.to_string()))
                .and_then(|context| plot.draw(context).map_err(failed))?;
        } else {
            let room = if y[1] > y[0] { 0.06 * (y[1] - y[0]) } else { 0.5 };
            builder
                .build_cartesian_2d(x[0]..x[1], (y[0] - room)..(y[1] + room))
                .map_err(|error| failed(error.to_string()))
                .and_then(|context| plot.draw(context).map_err(failed))?;
        }
        area.present().map_err(|error| failed(error.to_string()))
    }
}

impl Chart {
    /// Where the legend hides least: of the six places that a legend can have, the one whose third of the plot the curves
    /// leave freest and no mark's name is in.
    fn legend(&self, (start, end): (f64, f64)) -> SeriesLabelPosition {
        let finite = || self.finite().map(|(_, y)| y);
        let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| {
            (low.min(y), high.max(y))
        });
        let height = self.scale.height(low, high);
        let (bottom, top) = (height.of(low), height.of(high));
        let third = |x: f64| ((3.0 * (x - start) / (end - start)) as usize).min(2);
        // How far from the top, and from the bottom, the nearest curve stays in each third, as a share of the height.
        let mut free = [[1.0_f64; 2]; 3];
        for (x, y) in self.finite() {
            let share = (height.of(y) - bottom) / (top - bottom).max(f64::MIN_POSITIVE);
            let [above, below] = &mut free[third(x)];
            (*above, *below) = (above.min(1.0 - share), below.min(share));
        }
        for mark in &self.marks {
            free[third(mark.position)][0] = 0.0;
            free[third(mark.position + NEAR * (end - start))][0] = 0.0;
        }
        let places = [
            (SeriesLabelPosition::UpperMiddle, free[1][0]),
            (SeriesLabelPosition::UpperRight, free[2][0]),
            (SeriesLabelPosition::UpperLeft, free[0][0]),
            (SeriesLabelPosition::LowerMiddle, free[1][1]),
            (SeriesLabelPosition::LowerRight, free[2][1]),
            (SeriesLabelPosition::LowerLeft, free[0][1]),
        ];
        // The first that has room enough, so that figures of a kind look alike.
        let mut best = (SeriesLabelPosition::UpperMiddle, 0.0);
        for (place, room) in places {
            if room >= ENOUGH {
                return place;
            }
            if room > best.1 {
                best = (place, room);
            }
        }
        best.0
    }
}

struct Plot<'a> {
    chart: &'a Chart,
    unit: f64,
    top: f64,
}

impl Plot<'_> {
    fn draw<'b, B: DrawingBackend + 'b, Y>(
        &self,
        mut context: ChartContext<'b, B, Cartesian2d<RangedCoordf64, Y>>,
    ) -> std::result::Result<(), String>
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let unit = self.unit;
        let text = |size: f64| ("sans-serif", size * unit).into_font();
        let grey = RGBColor(60, 60, 60);
        let x_span = context.x_range().end - context.x_range().start;
        context
            .configure_mesh()
            .x_desc(&self.chart.x_label)
            .y_desc(&self.chart.y_label)
            .axis_desc_style(text(28.0).color(&grey))
            .label_style(text(24.0).color(&grey))
            .y_label_formatter(&|y| number(*y))
            // A tick that rounding puts beside 0 is 0.
            .x_label_formatter(&|x| number(if x.abs() < 1e-9 * x_span { 0.0 } else { *x }))
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(228, 228, 228).stroke_width(unit.ceil() as u32))
            .axis_style(RGBColor(150, 150, 150).stroke_width((1.5 * unit).ceil() as u32))
            .draw()
            .map_err(|error| error.to_string())?;
        let y_range = context.y_range();
        let x_range = context.x_range();
        let inside = |mark: &&Mark| (x_range.start..=x_range.end).contains(&mark.position);
        for mark in self.chart.marks.iter().filter(inside) {
            let line = DashedLineSeries::new(
                [(mark.position, y_range.start), (mark.position, y_range.end)],
                (8.0 * unit) as u32,
                (7.0 * unit) as u32,
                RGBColor(110, 110, 110).stroke_width((2.0 * unit).ceil() as u32),
            );
            context.draw_series(line).map_err(|error| error.to_string())?;
            // Before another mark that is near, a name stands on the other side of its line.
            let before_another = self.chart.marks.iter().any(|other| {
                let way = other.position - mark.position;
                way > 0.0 && way < NEAR * x_span
            });
            let (name, side) = match before_another {
                true => (format!("{} ", mark.label), HPos::Right),
                false => (format!(" {}", mark.label), HPos::Left),
            };
            context
                .draw_series(std::iter::once(Text::new(
                    name,
                    (mark.position, y_range.end),
                    text(24.0).color(&grey).pos(Pos::new(side, VPos::Top)),
                )))
                .map_err(|error| error.to_string())?;
        }
        for series in &self.chart.series {
            self.draw_series(&mut context, series)?;
        }
        context
            .configure_series_labels()
            .position(self.chart.legend((x_range.start, x_range.end)))
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(210, 210, 210))
            .label_font(text(26.0).color(&grey))
            .legend_area_size((44.0 * unit) as u32)
            .margin((14.0 * unit) as u32)
            .draw()
            .map_err(|error| error.to_string())
    }

    fn draw_series<'b, B: DrawingBackend + 'b, Y>(
        &self,
        context: &mut ChartContext<'b, B, Cartesian2d<RangedCoordf64, Y>>,
        series: &Series,
    ) -> std::result::Result<(), String>
    where
        Y: Ranged<ValueType = f64>,
    {
        let unit = self.unit;
        let [r, g, b] = series.colour;
        let style = RGBColor(r, g, b).stroke_width((4.0 * unit).round() as u32);
        let mut first = !series.label.is_empty();
        // Each stretch of finite values is a line of its own: what is not finite stays a gap.
        for stretch in series.points.split(|(_, y)| !y.is_finite()) {
            if stretch.is_empty() {
                continue;
            }
            let points = stretch.iter().copied();
            let drawn = if series.dashed {
                let (dash, gap) = ((14.0 * unit) as u32, (8.0 * unit) as u32);
                context.draw_series(DashedLineSeries::new(points, dash, gap, style))
            } else {
                context.draw_series(LineSeries::new(points, style))
            }
            .map_err(|error| error.to_string())?;
            if first {
                // A dashed line shows a gap in the legend, too.
                let reach = (36.0 * unit) as i32;
                let end = if series.dashed { reach / 2 - 3 } else { reach };
                drawn
                    .label(series.label.clone())
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + end, y)], style));
                first = false;
            }
            if let [only] = stretch {
                context
                    .draw_series([Circle::new(*only, 5.0 * unit, style.filled())])
                    .map_err(|error| error.to_string())?;
            }
        }
        let lost = series.points.iter().filter(|(x, y)| x.is_finite() && !y.is_finite());
        context
            .draw_series(lost.map(|&(x, _)| Cross::new((x, self.top), 8.0 * unit, style)))
            .map_err(|error| error.to_string())?;
        let lowest = series
            .points
            .iter()
            .filter(|(_, y)| y.is_finite())
            .min_by(|a, b| a.1.total_cmp(&b.1));
        if let (true, Some(&lowest)) = (series.mark_minimum, lowest) {
            context
                .draw_series([Circle::new(lowest, 9.0 * unit, style.filled())])
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// A number as an axis shows it: no more digits than it needs.
pub fn number(value: f64) -> String {
    if value != 0.0 && (value.abs() >= 1e5 || value.abs() < 1e-3) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// The font that egui brings, so that figures look the same on machines without fonts.
pub(super) fn use_own_font() -> Result<()> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED
        .get_or_init(|| register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_ok());
    if !registered {
        return Err(Error::Request("the built-in font could not be read".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "Title".into(),
            series: vec![Series {
                label: "train".into(),
                colour: BLUE,
                points,
                mark_minimum: true,
                dashed: false,
            }],
            ..Chart::default()
        }
    }

    #[test]
    fn a_picture_holds_the_curve_in_its_colour() {
        let png = chart(vec![(-1.0, 1.0), (0.0, 0.5), (1.0, 2.0)])
            .png((640, 400))
            .unwrap();
        let image = image::load_from_memory(&png).unwrap().to_rgb8();
        let blue = image.pixels().filter(|p| p.0 == BLUE).count();
        assert!(blue > 300, "{blue} pixels of the curve's colour");
        assert!(image.pixels().filter(|p| p.0 == [255; 3]).count() > 100_000);
    }

    #[test]
    fn what_is_not_finite_is_a_gap_with_a_mark() {
        let svg = chart(vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 3.0)])
            .svg((640, 400))
            .unwrap();
        let whole = chart(vec![(0.0, 1.0), (1.0, 2.0), (3.0, 1.0), (4.0, 3.0)])
            .svg((640, 400))
            .unwrap();
        let lines = |svg: &str| svg.matches("#0072B2").count();
        assert!(
            lines(&svg) > lines(&whole),
            "two stretches and a cross instead of one stretch"
        );
    }

    #[test]
    fn points_between_gaps_are_dots_and_leave_no_other_mark() {
        let gap = (f64::NAN, f64::NAN);
        let svg = |points: Vec<(f64, f64)>| {
            let mut chart = chart(points);
            chart.series[0].mark_minimum = false;
            chart.svg((640, 400)).unwrap()
        };
        let dots = svg(vec![(0.0, 1.0), gap, (1.0, 2.0), gap, (4.0, 3.0)]);
        let circles = |svg: &str| svg.matches("<circle").count();
        assert_eq!(circles(&dots), 3);
        // The same dots, and a cross where a value was lost.
        let lost = svg(vec![(0.0, 1.0), gap, (1.0, 2.0), (2.0, f64::NAN), (4.0, 3.0)]);
        assert_eq!(circles(&lost), 3);
        let strokes = |svg: &str| svg.matches("#0072B2").count();
        assert!(
            strokes(&lost) > strokes(&dots),
            "{} and {}",
            strokes(&lost),
            strokes(&dots)
        );
    }

    #[test]
    fn nothing_to_draw_is_an_error_in_words() {
        let message = chart(vec![(0.0, f64::NAN)]).svg((640, 400)).unwrap_err().to_string();
        assert!(message.contains("nothing to draw"), "{message}");
    }

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> = [0.0, -0.0001, 0.25, 3.0, 38.9, 123_456.0].map(number).to_vec();
        assert_eq!(shown, ["0", "-1.0e-4", "0.25", "3", "38.9", "1.2e5"]);
    }
}
