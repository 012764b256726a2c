//! How `plane` draws: the options of its pictures, and its files.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::line::parse_range;
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::figure::heat_map::{MOST_LINES, MOST_PANELS, check_size};
use crate::figure::relief::Draw;
use crate::figure::surface::{self, ENDINGS, NO_SVG, Style};
use crate::figure::table::refuse_files_of_a_run;
use crate::figure::{ColourMap, animation};
use crate::files::whole_file;
use crate::landscape::{Quantity, Scale, SurfaceRecord};
use crate::objective::Compute;
use crate::render::camera::ELEVATIONS;
use crate::render::relief::{HEIGHT, HEIGHTS};
use crate::render::{Artist, Camera};

/// Two numbers as `51x51`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<T>(pub T, pub T);

impl<T: FromStr> FromStr for Pair<T> {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once(['x', '×']);
        let numbers = parts.and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        let (first, second) = numbers.ok_or_else(|| format!("`{text}` is not of the form NxM, such as 51x51"))?;
        Ok(Self(first, second))
    }
}

/// How pictures look.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Pictures")]
pub struct Drawing {
    /// Quantities side by side
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Quantity::TrainLoss, Quantity::TestLoss])]
    show: Vec<Quantity>,
    /// Colours [default: viridis; diverging for differences]
    #[arg(long, value_enum)]
    map: Option<ColourMap>,
    /// Losses at the two ends of the colours [default: the lowest and the highest]
    #[arg(long, value_name = "A..B", allow_hyphen_values = true, value_parser = parse_range)]
    colours: Option<(f64, f64)>,
    /// Number of iso-lines
    #[arg(long, value_name = "N", default_value_t = 12)]
    lines: usize,
    /// How losses become colours and heights
    #[arg(long, value_enum, default_value_t)]
    scale: Scale,
    /// Pixels of a picture
    #[arg(long, value_name = "WxH")]
    size: Option<Pair<u32>>,
    /// Folder to write the trajectory walking to, as PNG files frame-0000.png, frame-0001.png, …
    #[arg(long, value_name = "DIR", requires = "trajectory")]
    frames: Option<PathBuf>,
    /// Show the surface in PNG and GIF files as a lit relief, seen from aside
    #[arg(long)]
    relief: bool,
    /// Angle from which a relief is seen, round the vertical; at 0 the first axis runs to the right [default: 34.4]
    #[arg(long, value_name = "DEG", allow_hyphen_values = true, requires = "relief")]
    azimuth: Option<f32>,
    /// Angle from which a relief is seen, over its base, from 3 to 85 [default: 35.5]
    #[arg(long, value_name = "DEG", allow_hyphen_values = true, requires = "relief")]
    elevation: Option<f32>,
    /// Height of a relief, where half the longer side of its base is 1
    #[arg(long, value_name = "H", default_value_t = HEIGHT, requires = "relief")]
    relief_height: f32,
}

impl Drawing {
    /// Checks the files to write and how they look, before anything is measured. `no_walk` says why there is no
    /// trajectory that a GIF could show, where there is none.
    pub fn check(&self, out: &[PathBuf], no_walk: Option<&str>) -> Result<()> {
        if !(1..=MOST_PANELS).contains(&self.show.len()) {
            let reason = format!("a picture shows 1 to {MOST_PANELS} quantities side by side");
            return Err(Error::option("--show", self.show.len(), reason));
        }
        if self.lines > MOST_LINES {
            return Err(Error::option(
                "--lines",
                self.lines,
                format!("at most {MOST_LINES} iso-lines"),
            ));
        }
        if let Some(Pair(width, height)) = self.size {
            check_size((width, height))
                .map_err(|error| Error::option("--size", format!("{width}x{height}"), error.to_string()))?;
        }
        if let (Some(reason), Some(folder)) = (no_walk, &self.frames) {
            return Err(Error::option("--frames", folder.display(), reason));
        }
        for path in out {
            let refused = |reason: &str| Err(Error::option("--out", path.display(), reason));
            let ending = ending(path);
            if !ENDINGS.contains(&ending) {
                return refused(&format!("the file name must end in one of .{}", ENDINGS.join(", .")));
            }
            if let (Some(reason), "gif") = (no_walk, ending) {
                return refused(reason);
            }
            if ending == "svg" && self.relief {
                return refused(NO_SVG);
            }
            refuse_files_of_a_run(path)?;
            whole_file::check_writable(path)?;
        }
        if !self.relief {
            return Ok(());
        }
        if self.frames.is_none() && !out.iter().any(|path| ["png", "gif"].contains(&ending(path))) {
            return Err(Error::option(
                "--relief",
                "",
                "it draws PNG and GIF files; give --out FILE.png or FILE.gif, or --frames DIR",
            ));
        }
        let camera = self.camera();
        if !camera.azimuth.is_finite() {
            return Err(Error::option("--azimuth", camera.azimuth, "it is an angle in degrees"));
        }
        let (lowest, highest) = ELEVATIONS;
        if !(lowest..=highest).contains(&camera.elevation) {
            return Err(Error::option(
                "--elevation",
                camera.elevation.to_degrees(),
                format!(
                    "it is an angle over the base, from {} to {} degrees",
                    lowest.to_degrees().ceil(),
                    highest.to_degrees().floor()
                ),
            ));
        }
        if !HEIGHTS.contains(&self.relief_height) {
            return Err(Error::option(
                "--relief-height",
                self.relief_height,
                format!("it must be from {} to {}", HEIGHTS.start(), HEIGHTS.end()),
            ));
        }
        Ok(())
    }

    /// The eye before a relief.
    fn camera(&self) -> Camera {
        let usual = Camera::default();
        Camera {
            azimuth: self.azimuth.map_or(usual.azimuth, f32::to_radians),
            elevation: self.elevation.map_or(usual.elevation, f32::to_radians),
            ..usual
        }
    }

    /// What draws reliefs, where they are asked for: the GPU that computes, or else an adapter of its own.
    pub fn artist(&self, compute: &Compute) -> Result<Option<Arc<dyn Draw>>> {
        if !self.relief {
            return Ok(None);
        }
        let graphics = compute
            .graphics()
            .map(|setup| (setup.device.clone(), setup.queue.clone()));
        let artist = Artist::new(graphics, self.camera(), self.relief_height)?;
        Ok(Some(Arc::new(artist)))
    }

    /// Writes a surface to files, and says so unless `silent`. Numbers come before pictures, which can fail where
    /// nothing is finite.
    pub fn write(
        &self,
        out: &[PathBuf],
        record: &SurfaceRecord,
        style: &Style,
        progress: &mut Progress,
        silent: bool,
    ) -> Result<()> {
        let is_table = |path: &&PathBuf| ["csv", "json"].contains(&ending(path));
        let (tables, pictures): (Vec<_>, Vec<_>) = out.iter().partition(is_table);
        let mut report = |done| progress.report("drawing", done);
        for path in tables.into_iter().chain(pictures) {
            surface::write(path, record, style, &mut report)?;
            if !silent {
                say!("written: {}", path.display());
            }
        }
        if let Some(folder) = &self.frames {
            surface::write_frames(folder, record, style, &mut report)?;
            if !silent {
                say!("written: {} frames in {}", record.trajectory.len(), folder.display());
            }
        }
        Ok(())
    }

    /// Whether the trajectory is to walk, in a GIF or frame by frame.
    pub fn walks(&self, out: &[PathBuf]) -> bool {
        self.frames.is_some() || out.iter().any(|path| ending(path) == "gif")
    }

    /// Checks that a trajectory of `count` steps can walk, frame by frame, in every way that is asked for.
    pub fn check_walk(&self, out: &[PathBuf], count: usize) -> Result<()> {
        let style = self.style(String::new(), None);
        let gif = out.iter().any(|path| ending(path) == "gif");
        let sizes = [
            gif.then(|| style.animation_size()),
            self.frames.is_some().then(|| style.frame_size()),
        ];
        for size in sizes.into_iter().flatten() {
            animation::check(count, size).map_err(|error| {
                let given = self.size.map(|Pair(width, height)| format!("{width}x{height}"));
                Error::option("--size", given.unwrap_or_default(), error.to_string())
            })?;
        }
        Ok(())
    }

    /// How a surface is drawn under a title.
    pub fn style(&self, title: String, relief: Option<Arc<dyn Draw>>) -> Style {
        Style {
            title,
            quantities: self.show.clone(),
            map: self.map,
            range: self.colours,
            lines: self.lines,
            offset: 0.0,
            scale: self.scale,
            size: self.size.map(|Pair(width, height)| (width, height)),
            relief,
        }
    }
}

fn ending(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}
