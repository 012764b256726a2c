//! What an experiment found: figures, tables, and a verdict on the claim it tests.

mod map;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageFormat, ImageReader, Limits, RgbImage};
use serde::{Deserialize, Serialize};

pub use self::map::{Map, Way};
use super::cost::Cost;
use super::laboratory::Which;
use super::recipe::Recipe;
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::{DirectionKind, LineRecord, SurfaceRecord};
use crate::objective::BatchNormPolicy;

/// Size of an outcome's file, at most.
const MOST_BYTES: u64 = 1 << 28;
/// File of an outcome's first figure in small.
pub const THUMBNAIL: &str = "thumbnail.png";
/// Size of that file, at most, and of its sides in pixels.
const MOST_THUMBNAIL: (u64, u32) = (1 << 24, 1024);

/// Whether a claim was borne out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// As claimed, for every seed.
    Shown,
    /// For some seeds, or in part.
    PartlyShown,
    /// Not here.
    NotShown,
}

impl Answer {
    /// The answer where so many of all seeds bear the claim out.
    pub fn of(shown: usize, all: usize) -> Self {
        match shown {
            0 => Self::NotShown,
            _ if shown == all => Self::Shown,
            _ => Self::PartlyShown,
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::PartlyShown => "partly shown",
            Self::NotShown => "not shown here",
        }
    }
}

/// What was measured, beside what was claimed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the claim was borne out.
    pub answer: Answer,
    /// What was measured, in a sentence with its numbers.
    pub measured: String,
}

/// One curve of a chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name.
    pub label: String,
    /// Points in the order in which they are joined, by ascending first coordinate unless they are a way; NaN and
    /// infinities where there is nothing to draw. One without either coordinate only parts the others: behind the
    /// first of them are dots and bars.
    #[serde(with = "points")]
    pub points: Vec<(f64, f64)>,
    /// Whether it is drawn dashed.
    pub dashed: bool,
}

impl Series {
    /// The same with points that nothing joins.
    pub fn with_dots(mut self, dots: impl IntoIterator<Item = (f64, f64)>) -> Self {
        for dot in dots {
            self.add_apart(&[dot]);
        }
        self
    }

    /// The same with upright bars, such as errors: a first coordinate, and from where to where in the second.
    pub fn with_bars(mut self, bars: impl IntoIterator<Item = (f64, [f64; 2])>) -> Self {
        for (x, [low, high]) in bars {
            self.add_apart(&[(x, low), (x, high)]);
        }
        self
    }

    /// Adds points that are joined with each other alone.
    fn add_apart(&mut self, points: &[(f64, f64)]) {
        if !self.points.is_empty() {
            self.points.push((f64::NAN, f64::NAN));
        }
        self.points.extend(points);
    }
}

/// What a figure shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Train and test loss along lines.
    Lines {
        /// Horizontal axis.
        axis: String,
        /// The lines.
        records: Vec<LineRecord>,
    },
    /// Train and test loss from one solution to another.
    Interpolation {
        /// Names of the two.
        names: [String; 2],
        /// The line.
        record: Box<LineRecord>,
    },
    /// A surface over two positions.
    Surface(Box<SurfaceRecord>),
    /// A loss over two numbers, and ways over it.
    Map(Box<Map>),
    /// Any other curves.
    Chart {
        /// Horizontal axis, with its unit.
        x_label: String,
        /// Vertical axis, with its unit.
        y_label: String,
        /// The curves.
        series: Vec<Series>,
        /// Vertical lines with their names.
        marks: Vec<(f64, String)>,
        /// How it was made, in a line.
        footnote: String,
    },
}

/// Where the curve of a figure can be looked at live: a solution of a run, and the way one looks from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Name of the run's folder among the laboratory's runs; of a run from elsewhere, its path.
    pub run: String,
    /// Where one stands.
    pub solution: Which,
    /// What one looks at.
    pub view: PlaceView,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// Positions reach from −reach to reach, in units of |u|.
    pub reach: f64,
}

/// What is looked at from a place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceView {
    /// Along a random direction with its seed.
    Direction(DirectionKind, u64),
    /// Along two random directions, over each other.
    Comparison([(DirectionKind, u64); 2]),
    /// From the average to SGD.
    Interpolation,
    /// Along a random direction through all of training.
    Training(DirectionKind, u64),
}

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name of its files, without an ending.
    pub name: String,
    /// What is written above it.
    pub title: String,
    /// What it shows.
    pub content: Content,
    /// Where it can be looked at live, where it is of one place.
    #[serde(default)]
    pub place: Option<Place>,
}

/// A table of results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What it holds.
    pub caption: String,
    /// Names of the columns, with their units.
    pub header: Vec<String>,
    /// Rows of as many entries.
    pub rows: Vec<Vec<String>>,
}

/// What an experiment found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Figures, the one that answers first.
    pub figures: Vec<Figure>,
    /// Tables.
    pub tables: Vec<Table>,
    /// What became of the claim.
    pub verdict: Verdict,
}

impl Outcome {
    /// Nothing found yet.
    pub fn empty() -> Self {
        Self {
            figures: Vec::new(),
            tables: Vec::new(),
            verdict: Verdict {
                answer: Answer::NotShown,
                measured: String::new(),
            },
        }
    }
}

/// An outcome as it is kept beside its figures, with what it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// What was found.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it took.
    pub cost: Cost,
    /// Checksum of the recipe ([`Recipe::checksum`]).
    pub recipe: String,
    /// Version of the program.
    pub version: String,
}

impl Made {
    /// An outcome made now.
    pub fn new(outcome: Outcome, cost: Cost, recipe: &Recipe) -> Self {
        Self {
            outcome,
            cost,
            recipe: recipe.checksum(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The outcome of a recipe that was made in a folder before.
    ///
    /// # Errors
    /// [`Error::File`] when there is none, it cannot be understood, or another recipe or version made it.
    pub fn read(folder: &Path, recipe: &Recipe) -> Result<Self> {
        let path = Self::path(folder, &recipe.name);
        let bytes = whole_file::read(&path, MOST_BYTES)?;
        let made: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::file_reason(&path, format!("this outcome is not understood: {error}")))?;
        match made.recipe == recipe.checksum() && made.version == env!("CARGO_PKG_VERSION") {
            true => Ok(made),
            false => Err(Error::file_reason(
                &path,
                "another recipe of this name, or another version of the program, made this outcome; make it again",
            )),
        }
    }

    /// Writes it to its recipe's folder, which is made if need be.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, folder: &Path, recipe: &Recipe) -> Result<()> {
        whole_file::make_folder(&folder.join(&recipe.name))?;
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::Request(format!("the outcome could not be encoded: {error}")))?;
        whole_file::write(&Self::path(folder, &recipe.name), text.as_bytes())
    }

    /// The first figure in small of an experiment that was made in a folder before; nothing where there is none, or it
    /// cannot be understood.
    pub fn thumbnail(folder: &Path, name: &str) -> Option<RgbImage> {
        let (most_bytes, most_side) = MOST_THUMBNAIL;
        let bytes = whole_file::read(&folder.join(name).join(THUMBNAIL), most_bytes).ok()?;
        let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(most_side), Some(most_side));
        reader.limits(limits);
        Some(reader.decode().ok()?.to_rgb8())
    }

    fn path(folder: &Path, name: &str) -> PathBuf {
        folder.join(name).join("outcome.json")
    }
}

/// Points in JSON, which has no NaN or infinity: those are written by their names.
pub(super) mod points {

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::objective::loss_value;

    #[derive(Serialize, Deserialize)]
    struct Point(#[serde(with = "loss_value")] f64, #[serde(with = "loss_value")] f64);

    pub fn serialize<S: Serializer>(points: &[(f64, f64)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(points.iter().map(|&(x, y)| Point(x, y)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(f64, f64)>, D::Error> {
        let points = Vec::<Point>::deserialize(deserializer)?;
        Ok(points.into_iter().map(|Point(x, y)| (x, y)).collect())
    }
}

/// A number with so many significant digits, in scientific notation where it is very small or large.
pub fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().max(f64::MIN_POSITIVE).log10().floor() as i32;
    match magnitude {
        -4..=5 => format!("{value:.*}", (digits as i32 - 1 - magnitude).max(0) as usize),
        _ => format!("{value:.*e}", digits.saturating_sub(1)),
    }
}

/// Mean and standard deviation (of the sample, with n − 1) of finite values; no deviation of fewer than two.
pub fn spread(values: &[f64]) -> (f64, Option<f64>) {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let count = finite.len() as f64;
    let mean = finite.iter().sum::<f64>() / count;
    let squares: f64 = finite.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (finite.len() > 1).then(|| (squares / (count - 1.0)).sqrt()))
}

/// The median, halfway between the two middle values of an even number; infinite values count, NaN does not. NaN where
/// there is nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle)) {
        (_, None) => f64::NAN,
        (1, Some(&value)) => value,
        (_, Some(&value)) => 0.5 * (sorted[middle - 1] + value),
    }
}

/// `1.234 ± 0.005`: mean and standard deviation.
pub fn spread_text(values: &[f64], digits: usize) -> String {
    match spread(values) {
        (mean, Some(deviation)) => format!("{mean:.digits$} ± {deviation:.digits$}"),
        (mean, None) => format!("{mean:.digits$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_with_gaps_are_read_as_they_were_written() {
        let series = Series {
            label: "gaps".to_owned(),
            points: vec![(0.0, 0.1), (1.0, f64::NAN), (2.0, f64::INFINITY)],
            dashed: true,
        };
        let text = serde_json::to_string(&series).unwrap();
        let back: Series = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{back:?}"), format!("{series:?}"), "{text}");
    }

    #[test]
    fn a_thumbnail_is_read_where_there_is_a_small_picture() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("small")).unwrap();
        let file = folder.path().join("small").join(THUMBNAIL);
        assert!(Made::thumbnail(folder.path(), "small").is_none());
        RgbImage::from_pixel(32, 20, image::Rgb([1, 2, 3])).save(&file).unwrap();
        let read = Made::thumbnail(folder.path(), "small").unwrap();
        assert_eq!((read.dimensions(), read.get_pixel(31, 19).0), ((32, 20), [1, 2, 3]));
        RgbImage::new(MOST_THUMBNAIL.1 + 1, 2).save(&file).unwrap();
        assert!(Made::thumbnail(folder.path(), "small").is_none());
        std::fs::write(&file, "no picture").unwrap();
        assert!(Made::thumbnail(folder.path(), "small").is_none());
    }

    #[test]
    fn dots_are_parted_by_points_that_are_nowhere() {
        let line = Series {
            points: vec![(0.0, 1.0), (2.0, 1.0)],
            ..Series::default()
        };
        let series = line.with_dots([(1.0, 3.0), (0.5, 2.0)]);
        let stretches: Vec<&[(f64, f64)]> = series.points.split(|(x, _)| x.is_nan()).collect();
        assert_eq!(stretches, [&[(0.0, 1.0), (2.0, 1.0)][..], &[(1.0, 3.0)], &[(0.5, 2.0)]]);
        assert_eq!(Series::default().with_dots([(1.0, 3.0)]).points, [(1.0, 3.0)]);
    }

    #[test]
    fn spreads_are_those_of_the_sample() {
        let (mean, deviation) = spread(&[1.0, 2.0, f64::NAN, 4.0]);
        assert!((mean - 7.0 / 3.0).abs() < 1e-12);
        assert!((deviation.unwrap() - (7.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(spread_text(&[0.5], 2), "0.50");
        assert_eq!(median(&[3.0, f64::NAN, 1.0, f64::INFINITY]), 3.0);
        assert_eq!((median(&[4.0, 1.0]), median(&[f64::INFINITY; 2])), (2.5, f64::INFINITY));
        assert!(median(&[]).is_nan());
        assert_eq!(
            [Answer::of(0, 3), Answer::of(2, 3), Answer::of(3, 3)],
            [Answer::NotShown, Answer::PartlyShown, Answer::Shown]
        );
    }
}
