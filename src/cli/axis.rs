//! An axis as the command line names it: the way to a solution, or a direction of some kind.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use super::progress::Progress;
use super::source::{Source, named};
use crate::checkpoint::{CheckpointFile, Reference};
use crate::error::{Error, Result};
use crate::landscape::direction::{self, DirectionKind};
use crate::landscape::projection::{PrincipalComponents, principal_components};
use crate::landscape::{Axis, Normalisation, Trajectory, direction_file};
use crate::network::Graph;
use crate::objective::Solution;
use crate::training::RunFolder;

/// Names of the principal components that a direction can be.
const COMPONENTS: [&str; 2] = ["pc1", "pc2"];

/// Where a direction comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectionSource {
    /// Drawn at random.
    Random(DirectionKind),
    /// Read from a file.
    File(Reference),
    /// The way to the other solution and a uniform random direction, both of unit length, added up.
    InterpolationAndRandom,
    /// A principal component of the trajectory; 0 is the leading one.
    Principal(usize),
}

impl FromStr for DirectionSource {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Some(path) = text.strip_prefix("file:") {
            return Ok(Self::File(path.into()));
        }
        if text == "inter+random" {
            return Ok(Self::InterpolationAndRandom);
        }
        if let Some(place) = COMPONENTS.iter().position(|name| *name == text) {
            return Ok(Self::Principal(place));
        }
        let kinds = DirectionKind::ALL;
        kinds
            .into_iter()
            .find(|kind| kind.name() == text)
            .map(Self::Random)
            .ok_or_else(|| {
                let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                format!(
                    "there are {}, inter+random, pc1, pc2 and file:F.safetensors",
                    names.join(", ")
                )
            })
    }
}

/// An axis with its name.
pub struct NamedAxis {
    /// The axis.
    pub axis: Axis,
    /// What it is, precise enough to repeat it.
    pub label: String,
    /// Share of the trajectory's variance along it, where it is a principal component.
    pub explained: Option<f64>,
}

/// Principal components of a run's trajectory.
pub struct Components {
    found: PrincipalComponents,
    snapshots: usize,
}

impl Components {
    /// As many as the axes need, found for all of them at once: it takes reading every snapshot more than once. None
    /// where no axis is one.
    pub fn find(
        choices: &[&AxisChoice],
        graph: &Arc<Graph>,
        trajectory: Option<&Path>,
        progress: &mut Progress,
    ) -> Result<Option<Self>> {
        let needed = choices.iter().filter_map(|choice| match &choice.direction {
            Some(DirectionSource::Principal(place)) => Some(place + 1),
            _ => None,
        });
        let (Some(wanted), Some(path)) = (needed.max(), trajectory) else {
            return Ok(None);
        };
        let run = RunFolder::open(path)?;
        let snapshots = run.snapshots();
        let steps = Trajectory::new(graph.clone(), run, snapshots);
        let found = principal_components(snapshots, wanted, |step| steps.snapshot(step), &mut |done| {
            progress.report("principal components", done)
        })?;
        Ok(Some(Self { found, snapshots }))
    }
}

/// An axis, and the names of the flags that chose it.
#[derive(Clone, Debug)]
pub struct AxisChoice {
    /// The solution at position 1.
    pub to: Option<Reference>,
    /// The direction.
    pub direction: Option<DirectionSource>,
    /// Seed of a random direction.
    pub seed: Option<u64>,
    /// Names of the flags for these three.
    pub flags: [&'static str; 3],
}

impl AxisChoice {
    /// Whether it leads to another solution.
    pub fn is_segment(&self) -> bool {
        self.direction.is_none()
    }

    /// Whether anything is named.
    pub fn is_given(&self) -> bool {
        self.to.is_some() || self.direction.is_some()
    }

    /// The same kind of direction once more: another draw, or the next component.
    pub fn another(&self, flags: [&'static str; 3], seed: Option<u64>) -> Option<Self> {
        let direction = match self.direction.as_ref()? {
            DirectionSource::Random(kind) => DirectionSource::Random(*kind),
            DirectionSource::Principal(0) => DirectionSource::Principal(1),
            _ => return None,
        };
        let next = matches!(direction, DirectionSource::Random(_)).then(|| self.seed.unwrap_or(1) + 1);
        Some(Self {
            to: None,
            direction: Some(direction),
            seed: seed.or(next),
            flags,
        })
    }

    /// Checks what can be checked before anything is read.
    pub fn check(&self, has_trajectory: bool) -> Result<()> {
        let [to, direction, seed] = self.flags;
        match (&self.to, &self.direction) {
            (None, Some(DirectionSource::InterpolationAndRandom)) => Err(Error::option(
                direction,
                "inter+random",
                format!("it leads toward another solution; name it with {to} FILE"),
            )),
            (Some(reference), Some(other)) if *other != DirectionSource::InterpolationAndRandom => Err(Error::option(
                to,
                reference,
                format!("give {to} or {direction}, not both (but for {direction} inter+random)"),
            )),
            (_, Some(DirectionSource::Principal(place))) if !has_trajectory => Err(Error::option(
                direction,
                COMPONENTS[*place],
                "it belongs to a trajectory; name the run with --trajectory RUN",
            )),
            _ if self.seed.is_some() && !self.is_random() => Err(Error::option(
                seed,
                self.seed.unwrap_or_default(),
                format!("nothing random is asked for; it belongs to a random {direction}"),
            )),
            (None, None) => Err(Error::option(
                direction,
                "",
                format!("give {direction} KIND or {to} FILE"),
            )),
            _ => Ok(()),
        }
    }

    fn is_random(&self) -> bool {
        matches!(
            self.direction,
            Some(DirectionSource::Random(_) | DirectionSource::InterpolationAndRandom)
        )
    }

    /// The axis through `source`, with its name; `components` are those that it and others need.
    pub fn axis(
        &self,
        source: &Source,
        normalisation: Normalisation,
        components: Option<&Components>,
    ) -> Result<NamedAxis> {
        let graph = &source.graph;
        let missing = || Error::option(self.flags[1], "", "give a direction, or a solution to go to");
        let to = match &self.to {
            Some(reference) => Some(solution(source, reference)?),
            None => None,
        };
        let seed = self.seed.unwrap_or(1);
        let mut explained = None;
        let (vector, label) = match (&self.direction, to) {
            (None, Some((to, name))) => {
                return Ok(NamedAxis {
                    axis: Axis::Towards(to),
                    label: format!("to {name}"),
                    explained: None,
                });
            }
            (Some(DirectionSource::Random(kind)), _) => {
                (direction::draw(graph, *kind, seed)?, format!("{kind} (seed {seed})"))
            }
            (Some(DirectionSource::File(reference)), _) => {
                (direction_file::read(reference, graph)?, format!("file {reference}"))
            }
            (Some(DirectionSource::InterpolationAndRandom), Some((to, name))) => (
                direction::interpolation_and_random(graph, &source.origin.parameters, &to.parameters, seed)?,
                format!("inter+random to {name} (seed {seed})"),
            ),
            (Some(DirectionSource::Principal(place)), _) => {
                let Components { found, snapshots } = components.ok_or_else(missing)?;
                let component = found.components.get(*place).ok_or_else(missing)?;
                let share = found.explained.get(*place).copied().ok_or_else(missing)?;
                explained = Some(share).filter(|_| normalisation == Normalisation::Unit);
                let (name, percent) = (COMPONENTS[*place], 100.0 * share);
                let label = format!("{name} of {snapshots} snapshots, {percent:.1} % of variance");
                (component.to_vec(), label)
            }
            (Some(DirectionSource::InterpolationAndRandom) | None, None) => return Err(missing()),
        };
        let label = match normalisation {
            Normalisation::Unit => label,
            Normalisation::None => format!("{label}, length {:.6}", direction::dot(&vector, &vector).sqrt()),
            other => format!("{label}, normalised by {other}"),
        };
        let scaled = normalisation.apply(graph, &source.origin.parameters, vector);
        let scaled = scaled
            .ok_or_else(|| Error::Request(format!("the direction {label} has length 0: there is no way along it")))?;
        Ok(NamedAxis {
            axis: Axis::Along(Arc::new(scaled)),
            label,
            explained,
        })
    }
}

/// A solution for the network of `source`, with its name.
pub fn solution(source: &Source, reference: &Reference) -> Result<(Arc<Solution>, String)> {
    let file = CheckpointFile::open(&reference.path)?;
    let state = file.state_dict(reference.key.as_deref())?;
    Ok((Arc::new(state.solution(&source.graph)?), named(reference, &state)))
}
