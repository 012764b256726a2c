//! What `plane` measures, and how it is kept when it is stopped or something fails.

use std::path::Path;

use super::{Arguments, Prepared};
use crate::cli::progress::Progress;
use crate::error::{Error, Result};
use crate::figure::surface;
use crate::files::whole_file;
use crate::landscape::survey::{Survey, SurveyRequest};
use crate::landscape::sweep::{Slice, SweepRequest};
use crate::landscape::{Landmarks, Memory, Plane, SurfaceRecord, Sweep};
use crate::objective::{BatchNormPolicy, Objective};

/// Size of a JSON file that is taken up again, at most.
const MOST_RECORD_BYTES: u64 = 4 << 30;

/// Measures a surface. When it is stopped or fails, what was measured is written first.
pub(super) fn survey<S: Slice<Position = [f64; 2]> + Clone>(
    arguments: &Arguments,
    objective: &Objective,
    policy: BatchNormPolicy,
    prepared: Prepared<S>,
    progress: &mut Progress,
) -> Result<SurfaceRecord> {
    let Prepared { slice, mut record } = prepared;
    if arguments.resume
        && let Some(path) = arguments.out.first()
    {
        take_up(&mut record, &path.with_extension("json"))?;
    }
    let mut survey = Survey::new(
        objective,
        SurveyRequest {
            slice,
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
    });
    record.grid = survey.grid();
    match finished {
        Ok(true) => Ok(record),
        Ok(false) => Err(keep(arguments, &record, Error::Cancelled)),
        Err(error) => Err(keep(arguments, &record, error)),
    }
}

/// Writes what was measured before an error, and gives the error back.
pub(super) fn keep(arguments: &Arguments, record: &SurfaceRecord, error: Error) -> Error {
    let (measured, all) = (record.grid.measured(), record.grid.values.len());
    // Nothing is no reason to replace what an earlier survey left there.
    if let Some(path) = arguments.out.first().filter(|_| measured > 0) {
        let path = path.with_extension("json");
        let written = surface::json(record).and_then(|text| whole_file::write(&path, text.as_bytes()));
        match written {
            Ok(()) => eprintln!(
                "note: {measured} of {all} points are in {}; --resume goes on from there",
                path.display()
            ),
            Err(failure) => eprintln!("note: what was measured could not be kept: {failure}"),
        }
    }
    error
}

/// Takes what a record on disk has measured, if it is of the same surface.
fn take_up(record: &mut SurfaceRecord, path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let text = whole_file::read(path, MOST_RECORD_BYTES)?;
    let known: SurfaceRecord = serde_json::from_slice(&text)
        .map_err(|error| Error::file_reason(path, format!("it is not a surface written by valleyscope ({error})")))?;
    if record.take_up(&known) {
        return Ok(());
    }
    Err(Error::file_reason(
        path,
        "it is of another surface (checkpoint, run, directions, policy, device or version differ); choose \
         another --out, or leave out --resume",
    ))
}

/// Finds where trajectory and solutions lie as seen from the plane.
pub(super) fn project(prepared: &mut Prepared<Plane>, landmarks: &Landmarks, progress: &mut Progress) -> Result<()> {
    let count = landmarks.count();
    let mut feet = Vec::new();
    for index in 0..count {
        if !progress.report("trajectory in the plane", index as f64 / count as f64) {
            return Err(Error::Cancelled);
        }
        feet.push(landmarks.projected(index, &prepared.slice)?);
    }
    prepared.record.solutions = feet.split_off(landmarks.steps());
    prepared.record.trajectory = feet;
    Ok(())
}

/// Measures the own losses of the trajectory and the solutions.
pub(super) fn own_losses(
    record: &mut SurfaceRecord,
    landmarks: Landmarks,
    objective: &Objective,
    policy: BatchNormPolicy,
    progress: &mut Progress,
) -> Result<()> {
    let count = landmarks.count();
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
        if !progress.report("trajectory and solutions", done as f64 / total.max(1) as f64) {
            return Err(Error::Cancelled);
        }
    }
    let feet = record.trajectory.iter_mut().chain(&mut record.solutions);
    for (foot, own) in feet.zip(sweep.values()) {
        foot.own = *own;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::data::Dataset;
    use crate::landscape::{Grid, Through, Trajectory};
    use crate::network::initialisation::initial_parameters;
    use crate::network::zoo;
    use crate::objective::{Compute, Solution};
    use crate::training::RunFolder;
    use crate::training::{RunRecord, TrainingOptions};
    use std::sync::Arc;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn what_was_measured_before_an_error_is_kept_and_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let data = Arc::new(Dataset::open("builtin:train=20:test=10").unwrap());
        let graph = Arc::new(zoo::build("resnet8:width=2", data.shape, data.classes.len()).unwrap());
        let objective = Objective::usual(graph.clone(), data, Compute::cpu()).unwrap();
        let record = RunRecord::new(&graph.name, "builtin", "cpu", TrainingOptions::default());
        let run = RunFolder::create(&folder.path().join("run"), record).unwrap();
        for epoch in 0..5 {
            let solution = Solution {
                parameters: initial_parameters(&graph, epoch as u64),
                statistics: graph.initial_statistics(),
            };
            run.save_snapshot(&graph, epoch, &solution).unwrap();
        }
        let last = run.snapshot_path(4);
        let whole = std::fs::read(&last).unwrap();
        let file = folder.path().join("t.json");
        let words = "plane --checkpoint none --direction uniform --through --trajectory run --resume --out";
        let words = words.split(' ').chain([file.to_str().unwrap()]);
        let arguments = Program::try_parse_from(words).unwrap().arguments;
        let mut progress = Progress::new();
        let mut measure = |count: usize| {
            let prepared = Prepared {
                slice: Through {
                    trajectory: Arc::new(Trajectory::new(graph.clone(), run.clone(), count)),
                    direction: Arc::new(vec![0.0; graph.parameter_count()]),
                },
                record: SurfaceRecord {
                    grid: Grid::new(vec![0.0], vec![0.0, 1.0, 2.0, 3.0, 4.0]),
                    ..SurfaceRecord::default()
                },
            };
            survey(
                &arguments,
                &objective,
                BatchNormPolicy::Running,
                prepared,
                &mut progress,
            )
        };

        // Nothing is measured where there are no snapshots.
        measure(0).unwrap_err();
        assert!(!file.exists());

        std::fs::write(&last, &whole[..whole.len() / 2]).unwrap();
        let message = measure(5).unwrap_err().to_string();
        assert!(message.contains("0004.safetensors"), "{message}");
        let kept: SurfaceRecord = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert!((1..5).contains(&kept.grid.measured()), "{kept:?}");

        std::fs::write(&last, &whole).unwrap();
        let finished = measure(5).unwrap();
        assert_eq!(finished.grid.measured(), 5);
        for (value, known) in finished.grid.values.iter().zip(&kept.grid.values) {
            assert!(known.is_none() || value == known, "{value:?} instead of {known:?}");
        }
    }
}
