//! `valleyscope plane`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::axis::{self, AxisChoice, DirectionSource};
use super::line::parse_range;
use super::progress::Progress;
use super::source::{self, Source};
use crate::checkpoint::Reference;
use crate::error::{Error, Result};
use crate::figure::ColourMap;
use crate::figure::surface::{self, ENDINGS, Style};
use crate::files::whole_file;
use crate::landscape::line::positions;
use crate::landscape::survey::{Survey, SurveyRequest, check_size};
use crate::landscape::sweep::{Slice, SweepRequest};
use crate::landscape::{
    Axis, Frame, Grid, Landmarks, Memory, Plane, Provenance, Quantity, Scale, SurfaceRecord, Sweep, Through, Trajectory,
};
use crate::objective::{BatchNormPolicy, Compute, DeviceChoice, Objective, Solution, usual_batch};
use crate::training::RunFolder;

/// Size of a JSON file that is taken up again, at most.
const MOST_RECORD_BYTES: u64 = 4 << 30;
/// Largest difference of positions, as a share of their range, that comes of writing and reading them.
const ROUNDING: f64 = 1e-9;

/// Two numbers as `51x51`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair<T>(T, T);

impl<T: FromStr> FromStr for Pair<T> {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once(['x', '×']);
        let numbers = parts.and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        let (first, second) = numbers.ok_or_else(|| format!("`{text}` is not of the form NxM, such as 51x51"))?;
        Ok(Self(first, second))
    }
}

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: source::Arguments,
    /// Solution at position 1 of the second axis: with --to, the plane goes through three solutions
    #[arg(long, value_name = "FILE[::KEY]")]
    to2: Option<Reference>,
    /// Direction of the second axis [default: of the first one's kind, with the next seed]
    #[arg(long, value_name = "KIND")]
    direction2: Option<DirectionSource>,
    /// Seed of the second direction [default: the first one's and one]
    #[arg(long, value_name = "S")]
    seed2: Option<u64>,
    /// Measure both axes along orthogonal unit vectors that span the same plane
    #[arg(long)]
    orthonormal: bool,
    /// Instead of a plane: the loss along --direction at every epoch of --trajectory, L(w_t + l·u)
    #[arg(long, requires = "trajectory", conflicts_with_all = ["to2", "direction2", "seed2", "range2", "orthonormal", "to"])]
    through: bool,
    /// Positions along the first axis [default: -3..3, or -0.5..1.5 with --to]
    #[arg(long, value_name = "A..B", allow_hyphen_values = true, value_parser = parse_range)]
    range: Option<(f64, f64)>,
    /// Positions along the second axis [default: as --range, or -0.5..1.5 with --to2]
    #[arg(long, value_name = "A..B", allow_hyphen_values = true, value_parser = parse_range)]
    range2: Option<(f64, f64)>,
    /// Number of points along both axes; with --through, along the first
    #[arg(long, value_name = "NxM", default_value = "51x51")]
    points: Pair<usize>,
    /// Evaluate only where it matters: error allowed elsewhere, as a share of the range of losses. 0 evaluates every point
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    tolerance: f64,
    /// Go on with what the .json beside the first --out has measured already
    #[arg(long, requires = "out")]
    resume: bool,
    /// What happens to batch-norm statistics [default: recompute with --to or --to2, as in the papers, otherwise running]
    #[arg(long, value_enum)]
    bn: Option<BatchNormPolicy>,
    /// Images an evaluation batch [default: 128, or fewer where a large network leaves no memory for them]
    #[arg(long, value_name = "B")]
    batch_size: Option<usize>,
    /// File to write: .csv, .json, .png, .svg, .gif (the trajectory walking) or .glb (a 3-D model); may be given more than once
    #[arg(long, value_name = "FILE", required_unless_present = "json")]
    out: Vec<PathBuf>,
    /// Print the surface as one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    drawing: Drawing,
}

/// How pictures look.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Pictures")]
struct Drawing {
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
}

impl Arguments {
    fn second(&self, first: &AxisChoice) -> Result<AxisChoice> {
        let flags = ["--to2", "--direction2", "--seed2"];
        if self.to2.is_some() || self.direction2.is_some() {
            return Ok(AxisChoice {
                to: self.to2.clone(),
                direction: self.direction2.clone(),
                seed: self.seed2,
                flags,
            });
        }
        first.another(flags, self.seed2).ok_or_else(|| {
            Error::option(
                "--direction2",
                "",
                "a plane has two axes; give --direction2 KIND or --to2 FILE",
            )
        })
    }

    fn check(&self) -> Result<()> {
        let Pair(columns, rows) = self.points;
        check_size(columns, rows)
            .map_err(|error| Error::option("--points", format!("{columns}x{rows}"), error.to_string()))?;
        if !(0.0..1.0).contains(&self.tolerance) {
            return Err(Error::option(
                "--tolerance",
                self.tolerance,
                "it is a share of the range of losses, from 0 up to 1",
            ));
        }
        for out in &self.out {
            let ending = out.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if !ENDINGS.contains(&ending) {
                return Err(Error::option(
                    "--out",
                    out.display(),
                    format!("the file name must end in one of .{}", ENDINGS.join(", .")),
                ));
            }
            if ending == "gif" && (self.source.trajectory().is_none() || self.through) {
                return Err(Error::option(
                    "--out",
                    out.display(),
                    "a GIF shows a trajectory walking over a plane; name the run with --trajectory RUN",
                ));
            }
            whole_file::check_writable(out)?;
        }
        Ok(())
    }

    fn style(&self, record: &SurfaceRecord) -> Style {
        let drawing = &self.drawing;
        let title = if self.through {
            record.label.clone()
        } else {
            format!("Loss over {}", record.label)
        };
        Style {
            title,
            quantities: drawing.show.clone(),
            map: drawing.map,
            range: drawing.colours,
            lines: drawing.lines,
            offset: 0.0,
            scale: drawing.scale,
            size: drawing.size.map(|Pair(width, height)| (width, height)),
        }
    }
}

/// What is surveyed: its record without values, and what is shown beside it.
struct Prepared<S> {
    slice: S,
    record: SurfaceRecord,
}

pub fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    arguments.check()?;
    let first = arguments.source.first();
    let second = if arguments.through {
        None
    } else {
        Some(arguments.second(&first)?)
    };
    let choices: Vec<&AxisChoice> = std::iter::once(&first).chain(&second).collect();
    arguments.source.check(&choices)?;
    let mut progress = Progress::new();
    let source = arguments.source.open(true, &mut progress)?;
    let data = source.data.clone().ok_or_else(|| {
        Error::Request(format!(
            "{} does not say which data it is for; give --data, such as --data cifar10:DIR",
            source.name
        ))
    })?;
    let solutions = choices.iter().any(|choice| choice.to.is_some());
    let policy = arguments.bn.unwrap_or(match solutions {
        true => BatchNormPolicy::Recompute,
        false => BatchNormPolicy::Running,
    });
    let trajectory = match arguments.source.trajectory() {
        Some(path) => {
            let run = RunFolder::open(path)?;
            let count = run.snapshots();
            Some(Arc::new(Trajectory::new(source.graph.clone(), run, count)))
        }
        None => None,
    };
    let batch_size = arguments.batch_size.unwrap_or_else(|| usual_batch(&source.graph));
    let (axis, label) = arguments.source.axis(&source, &first, &mut progress)?;
    let objective = Objective::new(source.graph.clone(), data, Compute::open(device)?, batch_size)?;
    super::note_device(&objective);
    let provenance = |from: &str, label: &str| Provenance::new(&objective, from, label, policy, usize::MAX, None);
    let record = match (&second, trajectory) {
        (None, Some(trajectory)) => {
            let through = through(arguments, axis, label, trajectory, provenance)?;
            survey(arguments, &objective, policy, through, &mut progress)?.0
        }
        (None, None) => {
            return Err(Error::option(
                "--trajectory",
                "",
                "name the run whose training is shown",
            ));
        }
        (Some(second), trajectory) => {
            let (axis2, label2) = arguments.source.axis(&source, second, &mut progress)?;
            let frame = if arguments.orthonormal {
                Frame::Orthonormal
            } else {
                Frame::Given
            };
            let plane = Plane::new(source.origin.clone(), [axis, axis2], frame)?;
            let landmarks = Landmarks {
                trajectory,
                solutions: named_solutions(arguments, &source, second)?,
            };
            let prepared = over_plane(arguments, plane, [label, label2], &source, provenance, second);
            let (mut record, plane) = survey(arguments, &objective, policy, prepared, &mut progress)?;
            project(&mut record, &plane, landmarks, &objective, policy, &mut progress)?;
            record
        }
    };
    if arguments.json {
        super::print_json(&record)?;
    }
    // Numbers before pictures, which can fail where nothing is finite.
    let is_table = |path: &&PathBuf| {
        path.extension()
            .is_some_and(|ending| ending == "csv" || ending == "json")
    };
    let (tables, pictures): (Vec<_>, Vec<_>) = arguments.out.iter().partition(is_table);
    let style = arguments.style(&record);
    for path in tables.into_iter().chain(pictures) {
        surface::write(path, &record, &style, &mut |done| progress.report("drawing", done))?;
        if !arguments.json {
            say!("written: {}", path.display());
        }
    }
    drop(progress);
    if !arguments.json {
        say!("{}", record.geometry());
    }
    Ok(())
}

/// The solutions that span the plane, by short names.
fn named_solutions(
    arguments: &Arguments,
    source: &Source,
    second: &AxisChoice,
) -> Result<Vec<(String, Arc<Solution>)>> {
    let first = arguments.source.first();
    let from = arguments.source.checkpoint();
    let mut solutions = Vec::new();
    for reference in [&first.to, &second.to].into_iter().flatten() {
        let [own, other] = source::short_names(from, reference);
        if solutions.is_empty() {
            solutions.push((own, source.origin.clone()));
        }
        solutions.push((other, axis::solution(source, reference)?.0));
    }
    if solutions.is_empty() {
        solutions.push((source::short_names(from, from)[0].clone(), source.origin.clone()));
    }
    Ok(solutions)
}

fn through(
    arguments: &Arguments,
    axis: Axis,
    label: String,
    trajectory: Arc<Trajectory>,
    provenance: impl Fn(&str, &str) -> Provenance,
) -> Result<Prepared<Through>> {
    let Axis::Along(direction) = axis else {
        return Err(Error::option(
            "--direction",
            "",
            "--through goes along a direction; give --direction KIND",
        ));
    };
    let (start, end) = arguments.range.unwrap_or((-3.0, 3.0));
    let epochs = (0..trajectory.count()).map(|epoch| epoch as f64).collect();
    Ok(Prepared {
        record: SurfaceRecord {
            provenance: provenance("every epoch", &label),
            label: format!("{label} through training"),
            axes: ["position l of w_t + l·u".to_owned(), "epoch t".to_owned()],
            angle: None,
            lengths: None,
            explained: None,
            trajectory: Vec::new(),
            solutions: Vec::new(),
            grid: Grid::new(positions(start, end, arguments.points.0), epochs),
        },
        slice: Through { trajectory, direction },
    })
}

fn over_plane(
    arguments: &Arguments,
    plane: Plane,
    labels: [String; 2],
    source: &Source,
    provenance: impl Fn(&str, &str) -> Provenance,
    second: &AxisChoice,
) -> Prepared<Plane> {
    let first = arguments.source.first();
    let usual = |choice: &AxisChoice, before: Option<(f64, f64)>| {
        // Two solutions are at 0 and 1, unless distances are measured in units of ‖w‖.
        match choice.is_segment() && !arguments.orthonormal {
            true => (-0.5, 1.5),
            false => before.unwrap_or((-3.0, 3.0)),
        }
    };
    let range = arguments.range.unwrap_or_else(|| usual(&first, None));
    let range2 = arguments.range2.unwrap_or_else(|| usual(second, Some(range)));
    let Pair(columns, rows) = arguments.points;
    let label = labels.join(" and ");
    Prepared {
        record: SurfaceRecord {
            provenance: provenance(&source.name, &label),
            label,
            axes: labels,
            angle: Some(plane.angle()),
            lengths: Some(plane.lengths()),
            explained: None,
            trajectory: Vec::new(),
            solutions: Vec::new(),
            grid: Grid::new(
                positions(range.0, range.1, columns),
                positions(range2.0, range2.1, rows),
            ),
        },
        slice: plane,
    }
}

/// Measures a surface. When it is stopped, what was measured is written first.
fn survey<S: Slice<Position = [f64; 2]> + Clone>(
    arguments: &Arguments,
    objective: &Objective,
    policy: BatchNormPolicy,
    prepared: Prepared<S>,
    progress: &mut Progress,
) -> Result<(SurfaceRecord, S)> {
    let Prepared { slice, mut record } = prepared;
    if arguments.resume
        && let Some(path) = arguments.out.first()
    {
        take_up(&mut record, &path.with_extension("json"))?;
    }
    let mut survey = Survey::new(
        objective,
        SurveyRequest {
            slice: slice.clone(),
            grid: record.grid.clone(),
            policy,
            samples: usize::MAX,
            tolerance: arguments.tolerance,
        },
    )?;
    let name = if arguments.through { "through training" } else { "plane" };
    let every = record.grid.values.len() as f64;
    let finished = survey.run(objective, |survey| {
        // Of an adaptive surface nobody knows how many nodes there will be: this is at worst.
        progress.report(name, survey.measured().0 as f64 / every)
    })?;
    record.grid = survey.grid();
    if finished {
        return Ok((record, slice));
    }
    if let Some(path) = arguments.out.first() {
        let path = path.with_extension("json");
        whole_file::write(&path, surface::json(&record)?.as_bytes())?;
        eprintln!(
            "note: {} of {} points are in {}; --resume goes on from there",
            record.grid.measured(),
            record.grid.values.len(),
            path.display()
        );
    }
    Err(Error::Cancelled)
}

/// Takes what a record on disk has measured, if it is of the same surface.
fn take_up(record: &mut SurfaceRecord, path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let text = whole_file::read(path, MOST_RECORD_BYTES)?;
    let known: SurfaceRecord = serde_json::from_slice(&text)
        .map_err(|error| Error::file_reason(path, format!("it is not a surface written by valleyscope ({error})")))?;
    let same_axis = |a: &[f64], b: &[f64]| {
        let span = a
            .iter()
            .chain(b)
            .fold(0.0_f64, |span, x| span.max(x.abs()))
            .max(f64::MIN_POSITIVE);
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= ROUNDING * span)
    };
    let same = known.provenance == record.provenance
        && known.axes == record.axes
        && same_axis(&known.grid.first, &record.grid.first)
        && same_axis(&known.grid.second, &record.grid.second)
        && known.grid.values.len() == record.grid.values.len();
    if !same {
        return Err(Error::file_reason(
            path,
            "it is of another surface (checkpoint, directions, ranges, points, policy, device or version differ); choose \
             another --out, or leave out --resume",
        ));
    }
    record.grid.values = known.grid.values;
    Ok(())
}

/// Finds where trajectory and solutions lie as seen from the plane, and their own losses.
fn project(
    record: &mut SurfaceRecord,
    plane: &Plane,
    landmarks: Landmarks,
    objective: &Objective,
    policy: BatchNormPolicy,
    progress: &mut Progress,
) -> Result<()> {
    let mut report = |done: f64| match progress.report("trajectory and solutions", done) {
        true => Ok(()),
        false => Err(Error::Cancelled),
    };
    let (steps, count) = (landmarks.steps(), landmarks.count());
    let mut feet = Vec::new();
    for index in 0..count {
        feet.push(landmarks.projected(index, plane)?);
        report(0.0)?;
    }
    let request = SweepRequest {
        slice: landmarks,
        positions: (0..count).collect(),
        policy,
        samples: usize::MAX,
    };
    let mut sweep = Sweep::idle(objective, request);
    sweep.ask(0..count);
    let mut memory = Memory::default();
    while !sweep.is_finished() {
        sweep.step(objective, &mut memory)?;
        let (done, total) = sweep.progress();
        report(done as f64 / total.max(1) as f64)?;
    }
    for (foot, own) in feet.iter_mut().zip(sweep.values()) {
        foot.own = *own;
    }
    record.solutions = feet.split_off(steps);
    record.trajectory = feet;
    Ok(())
}
