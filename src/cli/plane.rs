//! `valleyscope plane`.

mod measure;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::measure::{keep, own_losses, project, survey};
use super::axis::{self, AxisChoice, DirectionSource, NamedAxis};
use super::drawing::{Drawing, Pair};
use super::line::parse_range;
use super::progress::Progress;
use super::source::{self, Source};
use crate::checkpoint::Reference;
use crate::error::{Error, Result};
use crate::landscape::line::positions;
use crate::landscape::survey::check_size;
use crate::landscape::{Axis, Frame, Grid, Landmarks, Plane, Provenance, SurfaceRecord, Through, Trajectory};
use crate::objective::{BatchNormPolicy, Compute, DeviceChoice, Objective, Solution, usual_batch};
use crate::training::RunFolder;

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

impl Arguments {
    fn second(&self, first: &AxisChoice) -> Result<AxisChoice> {
        let flags = ["--to2", "--direction2", "--seed2"];
        if self.to2.is_some() || self.direction2.is_some() {
            return Ok(AxisChoice {
                to: self.to2.clone(),
                direction: self.direction2.clone(),
                // The same kind once more would be the same direction.
                seed: self.seed2.or(match &self.direction2 {
                    Some(DirectionSource::Random(_)) => Some(first.seed.unwrap_or(1) + 1),
                    _ => None,
                }),
                flags,
            });
        }
        if !first.is_given() {
            return Err(Error::option(
                "--direction",
                "",
                "a plane has two axes; give --direction KIND or --to FILE, and for another kind --direction2 or --to2",
            ));
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
        let no_walk = match (self.through, self.source.trajectory()) {
            (true, _) => Some("a GIF shows a trajectory walking over a plane; it cannot be drawn with --through"),
            (false, None) => Some("a GIF shows a trajectory walking over a plane; name the run with --trajectory RUN"),
            (false, Some(_)) => None,
        };
        self.drawing.check(&self.out, no_walk)?;
        let Pair(columns, rows) = self.points;
        let single = |range: Option<(f64, f64)>, points: usize| points < 2 || range.is_some_and(|(a, b)| a == b);
        let flat = single(self.range, columns) || (!self.through && single(self.range2.or(self.range), rows));
        if let Some(path) = self
            .out
            .iter()
            .find(|path| path.extension().is_some_and(|e| e == "glb") && flat)
        {
            return Err(Error::option(
                "--out",
                path.display(),
                "a 3-D model needs two points and a range along both axes",
            ));
        }
        Ok(())
    }

    /// Checks that a trajectory has as many snapshots as are asked of it, and no more than can be drawn.
    fn check_trajectory(&self, path: &Path, count: usize) -> Result<()> {
        let needed = if self.drawing.walks(&self.out) { 2 } else { 1 };
        if count >= needed {
            return self.drawing.check_walk(&self.out, count);
        }
        Err(Error::option(
            "--trajectory",
            path.display(),
            match count {
                0 => "this run has no snapshots yet; train it first".to_owned(),
                _ => "this run has one snapshot, and an animation needs two; train on".to_owned(),
            },
        ))
    }

    fn title(&self, record: &SurfaceRecord) -> String {
        match self.through {
            true => record.label.clone(),
            false => format!("Loss over {}", record.label),
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
            arguments.check_trajectory(path, count)?;
            Some(Arc::new(Trajectory::new(source.graph.clone(), run, count)))
        }
        None => None,
    };
    let batch_size = arguments.batch_size.unwrap_or_else(|| usual_batch(&source.graph));
    let (axis, axis2) = {
        let components = arguments.source.components(&source, &choices, &mut progress)?;
        let named = |choice: &AxisChoice| arguments.source.axis(&source, choice, components.as_ref());
        (named(&first)?, second.as_ref().map(named).transpose()?)
    };
    let objective = Objective::new(source.graph.clone(), data, Compute::open(device)?, batch_size)?;
    super::note_device(&objective);
    let artist = arguments.drawing.artist(objective.compute())?;
    let provenance = |from: &str, label: &str| Provenance {
        run: arguments.source.trajectory().map(|path| path.display().to_string()),
        ..Provenance::new(&objective, from, label, policy, usize::MAX, None)
    };
    let record = match (second.as_ref().zip(axis2), trajectory) {
        (None, Some(trajectory)) => {
            let through = through(arguments, axis, trajectory, provenance, &mut progress)?;
            survey(arguments, &objective, policy, through, &mut progress)?
        }
        (None, None) => {
            return Err(Error::option(
                "--trajectory",
                "",
                "name the run whose training is shown",
            ));
        }
        (Some((second, axis2)), trajectory) => {
            let frame = if arguments.orthonormal {
                Frame::Orthonormal
            } else {
                Frame::Given
            };
            let axes = [axis.axis.clone(), axis2.axis.clone()];
            let plane = Plane::new(source.origin.clone(), axes, frame)?;
            let landmarks = Landmarks {
                trajectory,
                solutions: named_solutions(arguments, &source, second)?,
            };
            let mut prepared = over_plane(arguments, plane, [axis, axis2], &source, provenance, second);
            // Where they lie is found first: a snapshot that cannot be read is no reason to lose a survey.
            project(&mut prepared, &landmarks, &mut progress)?;
            let mut record = survey(arguments, &objective, policy, prepared, &mut progress)?;
            own_losses(&mut record, landmarks, &objective, policy, &mut progress)
                .map_err(|error| keep(arguments, &record, error))?;
            record
        }
    };
    if arguments.json {
        super::print_json(&record).map_err(|error| keep(arguments, &record, error))?;
    }
    let style = arguments.drawing.style(arguments.title(&record), artist);
    let drawing = &arguments.drawing;
    drawing.write(&arguments.out, &record, &style, &mut progress, arguments.json)?;
    drop(progress);
    let geometry = record.geometry();
    if !arguments.json && !geometry.is_empty() {
        say!("{geometry}");
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

/// Adds a point and its batch-norm statistics to a checksum.
fn add(checksum: &mut flate2::Crc, parameters: &[f32], statistics: &[f32]) {
    checksum.update(bytemuck::cast_slice(parameters));
    checksum.update(bytemuck::cast_slice(statistics));
}

fn through(
    arguments: &Arguments,
    NamedAxis { axis, label, .. }: NamedAxis,
    trajectory: Arc<Trajectory>,
    provenance: impl Fn(&str, &str) -> Provenance,
    progress: &mut Progress,
) -> Result<Prepared<Through>> {
    let Axis::Along(direction) = axis else {
        return Err(Error::option(
            "--direction",
            "",
            "--through goes along a direction; give --direction KIND",
        ));
    };
    let (start, end) = arguments.range.unwrap_or((-3.0, 3.0));
    let count = trajectory.count();
    let epochs = (0..count).map(|epoch| epoch as f64).collect();
    // Runs that start from the same weights, such as with another learning rate, part later: every snapshot tells.
    let mut checksum = flate2::Crc::new();
    add(&mut checksum, &direction, &[]);
    for epoch in 0..count {
        if !progress.report("reading the trajectory", epoch as f64 / count as f64) {
            return Err(Error::Cancelled);
        }
        let snapshot = trajectory.snapshot(epoch)?;
        add(&mut checksum, &snapshot.parameters, &snapshot.statistics);
    }
    Ok(Prepared {
        record: SurfaceRecord {
            provenance: provenance("every epoch", &label),
            label: format!("{label} through training"),
            axes: ["position l of w_t + l·u".to_owned(), "epoch t".to_owned()],
            checksum: Some(checksum.sum()),
            grid: Grid::new(positions(start, end, arguments.points.0), epochs),
            ..SurfaceRecord::default()
        },
        slice: Through { trajectory, direction },
    })
}

fn over_plane(
    arguments: &Arguments,
    plane: Plane,
    axes: [NamedAxis; 2],
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
    // Figures have the files' short names, the provenance the whole ones.
    let named = [&first, second].map(|choice| match (&choice.to, choice.is_segment()) {
        (Some(reference), true) => {
            let [_, name] = source::short_names(arguments.source.checkpoint(), reference);
            Some(format!("to {name}"))
        }
        _ => None,
    });
    let [short, short2] = [0, 1].map(|index| named[index].clone().unwrap_or_else(|| axes[index].label.clone()));
    let short2 = match arguments.orthonormal {
        true => format!("{short2}, across the first"),
        false => short2,
    };
    let explained = match &axes {
        [
            NamedAxis {
                explained: Some(share), ..
            },
            NamedAxis {
                explained: Some(share2),
                ..
            },
        ] => Some([*share, *share2]),
        _ => None,
    };
    let label = format!("{} and {}", axes[0].label, axes[1].label);
    let mut checksum = flate2::Crc::new();
    add(&mut checksum, &plane.point([1.0; 2]), &plane.origin().statistics);
    Prepared {
        record: SurfaceRecord {
            provenance: provenance(&source.name, &label),
            label: format!("{short} and {short2}"),
            axes: [short, short2],
            explained,
            angle: Some(plane.angle()),
            lengths: Some(plane.lengths()),
            checksum: Some(checksum.sum()),
            grid: Grid::new(
                positions(range.0, range.1, columns),
                positions(range2.0, range2.1, rows),
            ),
            ..SurfaceRecord::default()
        },
        slice: plane,
    }
}
