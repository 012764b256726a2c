//! Every file that a surface is written to: tables, pictures, an animation of the trajectory, and a 3-D model.

use std::path::Path;
use std::sync::Arc;

use super::animation;
use super::colour_map::ColourMap;
use super::colouring::Colouring;
use super::heat_map::{HeatMap, encode_png};
use super::mesh;
use super::relief::{Draw, ReliefPicture};
use super::table::{refuse_files_of_a_run, table};
use crate::data::Progress;
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::{Known, Quantity, Scale, SurfaceRecord};

/// Endings of the files a surface can be written to.
pub const ENDINGS: [&str; 6] = ["csv", "json", "png", "svg", "gif", "glb"];

/// Header of a surface's CSV file; accuracies are in 0..1, `measured` is 1 where the network was evaluated and 0 where
/// the numbers lie between measured ones.
pub const HEADER: [&str; 7] = [
    "position1",
    "position2",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "measured",
];

/// Time that a frame of an animation is shown, in hundredths of a second.
const FRAME_TIME: u16 = 12;
/// Pixels of an animation unless told otherwise: a picture of a megapixel makes a large GIF.
const ANIMATION_SIZE: (u32, u32) = (900, 750);
/// Why a relief is not written as SVG.
pub const NO_SVG: &str = "a relief is drawn in pixels; write .png or .gif, or .glb for a model";
/// Height of a 3-D model over a base 2 wide.
const MODEL_HEIGHT: f64 = 1.0;

/// How a surface is drawn.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// Written above; may be empty.
    pub title: String,
    /// Quantities side by side.
    pub quantities: Vec<Quantity>,
    /// The colours; without, the usual ones of each quantity.
    pub map: Option<ColourMap>,
    /// Values at the two ends of the colours; without, each quantity's own.
    pub range: Option<(f64, f64)>,
    /// Iso-lines over the range.
    pub lines: usize,
    /// Share of a spacing by which they are shifted up, 0..1.
    pub offset: f64,
    /// How values become heights.
    pub scale: Scale,
    /// Pixels; without, what suits the kind of file.
    pub size: Option<(u32, u32)>,
    /// What draws the surface as a relief; without, pictures are heat maps.
    pub relief: Option<Arc<dyn Draw>>,
}

impl Style {
    /// Pixels of a GIF.
    pub fn animation_size(&self) -> (u32, u32) {
        self.size.unwrap_or(ANIMATION_SIZE)
    }

    /// Pixels of each picture of [`write_frames`].
    pub fn frame_size(&self) -> (u32, u32) {
        self.size
            .unwrap_or_else(|| self.picture(&SurfaceRecord::default(), None).size())
    }

    fn picture<'a>(&self, record: &'a SurfaceRecord, until: Option<usize>) -> HeatMap<'a> {
        HeatMap {
            record,
            quantities: self.quantities.clone(),
            map: self.map,
            range: self.range,
            lines: self.lines,
            offset: self.offset,
            scale: self.scale,
            title: self.title.clone(),
            until,
        }
    }

    /// The picture of heat maps or reliefs as RGB by rows.
    fn pixels(&self, record: &SurfaceRecord, until: Option<usize>, size: (u32, u32)) -> Result<Vec<u8>> {
        let map = self.picture(record, until);
        match self.relief.as_deref() {
            Some(draw) => ReliefPicture { map, draw }.pixels(size),
            None => map.pixels(size),
        }
    }
}

/// Writes a surface as the file's ending says: `.csv` or `.json` the numbers, `.png` or `.svg` the picture, `.gif` the
/// trajectory walking over it, `.glb` a 3-D model of the first quantity. Beside each but JSON itself goes a JSON file of
/// the same name, with all that is needed to draw or repeat it. Pictures are heat maps, or reliefs where the style has
/// what draws them.
///
/// # Errors
/// [`Error::File`], also for the names of a run folder's own files and for a relief as `.svg`; when nothing is finite,
/// or there is no trajectory to animate; [`Error::Cancelled`] when `progress` says stop.
pub fn write(path: &Path, record: &SurfaceRecord, style: &Style, progress: Progress) -> Result<()> {
    refuse_files_of_a_run(path)?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if ending == "svg" && style.relief.is_some() {
        return Err(Error::file_reason(path, NO_SVG));
    }
    if ENDINGS.contains(&ending) {
        whole_file::write(&path.with_extension("json"), json(record)?.as_bytes())?;
    }
    match ending {
        "json" => Ok(()),
        "csv" => whole_file::write(path, &csv(record)?),
        "png" => {
            let size = style.size.unwrap_or_else(|| style.picture(record, None).size());
            whole_file::write(path, &encode_png(style.pixels(record, None, size)?, size)?)
        }
        "svg" => style.picture(record, None).write(path, style.size),
        "gif" => whole_file::write(path, &animated(record, style, progress)?),
        "glb" => {
            let quantity = style.quantities.first().copied().unwrap_or_default();
            let heights = record.grid.field(quantity).heights(style.scale);
            let colouring = Colouring::of(&heights, style.map, style.range, style.lines, style.offset);
            mesh::write(path, record, &heights, |value| colouring.colour(value), MODEL_HEIGHT)
        }
        _ => Err(Error::file_reason(
            path,
            format!("a surface's file name ends in one of .{}", ENDINGS.join(", .")),
        )),
    }
}

/// The record as JSON.
///
/// # Errors
/// When it cannot be encoded.
pub fn json(record: &SurfaceRecord) -> Result<String> {
    serde_json::to_string(record).map_err(|error| Error::Request(format!("the record could not be encoded: {error}")))
}

/// CSV under [`HEADER`], a row a node, the first axis varying fastest. Nodes of which nothing is known have no row.
///
/// # Errors
/// When a row cannot be encoded.
pub fn csv(record: &SurfaceRecord) -> Result<Vec<u8>> {
    let fields = [
        Quantity::TrainLoss,
        Quantity::TrainAccuracy,
        Quantity::TestLoss,
        Quantity::TestAccuracy,
    ]
    .map(|quantity| record.grid.field(quantity));
    let rows = (0..record.grid.values.len())
        .filter(|&index| fields[0].known[index] != Known::Missing)
        .map(|index| {
            let [first, second] = record.grid.position(index);
            let measured = u8::from(fields[0].known[index] == Known::Measured);
            let mut row = vec![first.to_string(), second.to_string()];
            row.extend(fields.iter().map(|field| field.values[index].to_string()));
            row.push(measured.to_string());
            row
        });
    table(HEADER.map(str::to_owned), rows)
}

/// The trajectory drawn step by step.
fn animated(record: &SurfaceRecord, style: &Style, progress: Progress) -> Result<Vec<u8>> {
    let steps = steps(record)?;
    let size = style.animation_size();
    let frame = |step: usize| style.pixels(record, Some(step), size);
    animation::gif(steps, size, FRAME_TIME, frame, progress)
}

/// Writes the trajectory drawn step by step, a PNG file each, to a folder that is made where it is missing.
///
/// # Errors
/// When there is no trajectory; otherwise as for [`animation::frames`].
pub fn write_frames(folder: &Path, record: &SurfaceRecord, style: &Style, progress: Progress) -> Result<()> {
    let steps = steps(record)?;
    let size = style.frame_size();
    let frame = |step: usize| style.pixels(record, Some(step), size);
    animation::frames(folder, steps, size, frame, progress)
}

/// Steps of the trajectory, where it is long enough to walk.
fn steps(record: &SurfaceRecord) -> Result<usize> {
    let steps = record.trajectory.len();
    if steps < 2 {
        return Err(Error::Request(format!(
            "an animation shows a trajectory walking over the surface, and this one has {steps} steps; name a run with \
             more, or write .png"
        )));
    }
    Ok(steps)
}
