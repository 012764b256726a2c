//! What `line` and `save` start from: a checkpoint, the network and the data it belongs to, and a line through it.

use std::str::FromStr;
use std::sync::Arc;

use super::progress::Progress;
use crate::checkpoint::{CheckpointFile, Reference, StateDict, entry_names};
use crate::data::{Dataset, Specification};
use crate::error::{Error, Result};
use crate::landscape::Line;
use crate::landscape::direction::{self, DirectionKind};
use crate::landscape::direction_file;
use crate::network::{Graph, zoo};
use crate::objective::Solution;

/// Options that choose from a data set; they become part of its specification.
#[derive(Debug, Default, clap::Args)]
pub struct DataOptions {
    /// Use N training images, drawn at random with a fixed seed (--data-seed) and kept in order
    #[arg(long, help_heading = "Choosing from the data", value_name = "N")]
    subset: Option<usize>,
    /// The same for the test images
    #[arg(long, help_heading = "Choosing from the data", value_name = "N")]
    test_subset: Option<usize>,
    /// Give N of the training images used a random label
    #[arg(long, help_heading = "Choosing from the data", value_name = "N")]
    random_labels: Option<usize>,
    /// Use images of these classes only, by number or name, such as 0,1
    #[arg(long, help_heading = "Choosing from the data", value_name = "CLASSES")]
    classes: Option<String>,
    /// Seed of these draws [default: 0]
    #[arg(long, help_heading = "Choosing from the data", value_name = "S")]
    data_seed: Option<u64>,
    /// Mean to subtract after scaling to 0..1: one number, or one a channel [default: the data set's]
    #[arg(
        long,
        help_heading = "Choosing from the data",
        value_name = "MEAN",
        allow_hyphen_values = true
    )]
    mean: Option<String>,
    /// Standard deviation to divide by
    #[arg(long, help_heading = "Choosing from the data", value_name = "STD")]
    std: Option<String>,
}

impl DataOptions {
    /// The specification with these options behind it.
    pub fn specify(&self, text: &str) -> Result<String> {
        let mut specification = Specification::parse(text)?;
        for (name, value) in self.given() {
            if let Some(value) = value {
                specification = specification.with(name, &value)?;
            }
        }
        Ok(specification.to_string())
    }

    fn given(&self) -> [(&'static str, Option<String>); 7] {
        let number = |value: Option<usize>| value.map(|value| value.to_string());
        [
            ("classes", self.classes.clone()),
            ("subset", number(self.subset)),
            ("test-subset", number(self.test_subset)),
            ("random-labels", number(self.random_labels)),
            ("data-seed", self.data_seed.map(|seed| seed.to_string())),
            ("mean", self.mean.clone()),
            ("std", self.std.clone()),
        ]
    }

    /// Refuses options where there are no data that they could choose from.
    pub fn refuse(&self) -> Result<()> {
        match self.given().into_iter().find(|(_, value)| value.is_some()) {
            Some((name, Some(value))) => Err(Error::option(
                &format!("--{name}"),
                value,
                "there are no data here that it could apply to; name them",
            )),
            _ => Ok(()),
        }
    }

    /// Opens the data set, showing how far reading is.
    pub fn open(&self, text: &str, progress: &mut Progress) -> Result<Arc<Dataset>> {
        let specification = self.specify(text)?;
        let data = Dataset::open_with(&specification, &mut |done| progress.report("reading the data", done))?;
        Ok(Arc::new(data))
    }
}

/// Where a direction comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectionSource {
    /// Drawn at random.
    Random(DirectionKind),
    /// Read from a file.
    File(Reference),
    /// The way to the other solution and a uniform random direction, both of unit length, added up.
    InterpolationAndRandom,
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
        let kinds = DirectionKind::ALL;
        kinds
            .into_iter()
            .find(|kind| kind.name() == text)
            .map(Self::Random)
            .ok_or_else(|| {
                let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                format!("there are {}, inter+random and file:F.safetensors", names.join(", "))
            })
    }
}

/// What is done to a direction's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Normalize {
    /// ‖u‖ = 1
    #[default]
    Unit,
    /// As it is: the random numbers as drawn, a file's own length, for inter+random the sum of two unit vectors
    None,
}

/// Where the origin and the line come from.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Solution at position 0: a PyTorch or safetensors file, with ::key an entry of it
    #[arg(long, value_name = "FILE[::KEY]")]
    checkpoint: Reference,
    /// Solution at position 1: position t means w + t·(w_to − w)
    #[arg(long, value_name = "FILE[::KEY]")]
    to: Option<Reference>,
    /// Direction: position l means w + l·u. uniform, symmetric, gaussian, bn, non-bn, file:F.safetensors, or (with --to)
    /// inter+random
    #[arg(long, value_name = "KIND")]
    direction: Option<DirectionSource>,
    /// What is done to the direction's length
    #[arg(long, value_enum, default_value_t, requires = "direction")]
    normalize: Normalize,
    /// Seed of a random direction [default: 1]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Model name with options; may be left out where the checkpoint names its own or only one fits
    #[arg(long)]
    model: Option<String>,
    /// Data, such as cifar10:DIR; may be left out where the checkpoint names its own
    #[arg(long, value_name = "SPEC")]
    data: Option<String>,
    #[command(flatten)]
    options: DataOptions,
}

/// A checkpoint with its network and data.
pub struct Source {
    /// The network.
    pub graph: Arc<Graph>,
    /// The data, where they were named.
    pub data: Option<Arc<Dataset>>,
    /// The solution at position 0.
    pub origin: Arc<Solution>,
    /// Where it came from, and what was done to it.
    pub name: String,
}

impl Arguments {
    /// Whether the line leads to another solution.
    pub fn is_segment(&self) -> bool {
        self.direction.is_none()
    }

    /// Short names of the two ends, where the line leads from one solution to another.
    pub fn ends(&self) -> Option<[String; 2]> {
        let to = self.to.as_ref().filter(|_| self.is_segment())?;
        let [first, second] = [&self.checkpoint, to].map(|reference| {
            let file = reference.path.file_stem().unwrap_or_default().to_string_lossy();
            (file.into_owned(), reference.key.clone())
        });
        // Two entries of a file are told apart by their keys, two files by their names.
        Some(match (first.1, second.1) {
            (Some(a), Some(b)) if first.0 == second.0 => entry_names(&a, Some(&b)),
            _ => [first.0, second.0],
        })
    }

    /// Whether a line is named.
    pub fn has_line(&self) -> bool {
        self.to.is_some() || self.direction.is_some()
    }

    /// Checks what can be checked before anything is read.
    pub fn check(&self, needs_line: bool) -> Result<()> {
        match (&self.to, &self.direction) {
            (None, Some(DirectionSource::InterpolationAndRandom)) => Err(Error::option(
                "--direction",
                "inter+random",
                "it leads toward another solution; name it with --to FILE",
            )),
            (Some(_), Some(DirectionSource::Random(_) | DirectionSource::File(_))) => Err(Error::option(
                "--to",
                self.to.as_ref().map_or(String::new(), Reference::to_string),
                "give --to or --direction, not both (but for --direction inter+random)",
            )),
            _ if self.seed.is_some() && !self.is_random() => Err(Error::option(
                "--seed",
                self.seed.unwrap_or_default(),
                "nothing random is asked for; it belongs to a random --direction",
            )),
            (None, None) if needs_line => Err(Error::option("--direction", "", "give --direction KIND or --to FILE")),
            _ => Ok(()),
        }
    }

    fn is_random(&self) -> bool {
        matches!(
            self.direction,
            Some(DirectionSource::Random(_) | DirectionSource::InterpolationAndRandom)
        )
    }

    /// Opens checkpoint and network, and the data where they are named or needed.
    pub fn open(&self, needs_data: bool, progress: &mut Progress) -> Result<Source> {
        let file = CheckpointFile::open(&self.checkpoint.path)?;
        let state = file.state_dict(self.checkpoint.key.as_deref())?;
        let data = self.data.clone().or_else(|| file.own("data").filter(|_| needs_data));
        let data = match data {
            Some(text) => Some(self.options.open(&text, progress)?),
            None => {
                self.options.refuse()?;
                None
            }
        };
        let graph = Arc::new(self.network(&state, file.own("model"), data.as_deref())?);
        let origin = Arc::new(state.solution(&graph)?);
        Ok(Source {
            graph,
            data,
            origin,
            name: named(&self.checkpoint, &state),
        })
    }

    fn network(&self, state: &StateDict, own: Option<String>, data: Option<&Dataset>) -> Result<Graph> {
        let given = self.model.clone().or(own);
        match (given, data) {
            (Some(model), Some(data)) => zoo::build(&model, data.shape, data.classes.len()),
            (None, Some(data)) => {
                let model = state.only_fit(data.shape)?;
                zoo::build(&model, data.shape, data.classes.len())
            }
            (given, None) => {
                let fit = state.fit_without_data(given.as_deref())?;
                zoo::build(&fit.model, fit.input, fit.classes)
            }
        }
    }

    /// The line through `source`, with its name.
    pub fn line(&self, source: &Source) -> Result<(Line, String)> {
        let graph = &source.graph;
        let to = match &self.to {
            Some(reference) => {
                let file = CheckpointFile::open(&reference.path)?;
                let state = file.state_dict(reference.key.as_deref())?;
                Some((Arc::new(state.solution(graph)?), named(reference, &state)))
            }
            None => None,
        };
        let seed = self.seed.unwrap_or(1);
        let (vector, label) = match (&self.direction, to) {
            (None, Some((to, name))) => {
                let from = source.origin.clone();
                return Ok((Line::Segment { from, to }, format!("to {name}")));
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
            (Some(DirectionSource::InterpolationAndRandom) | None, None) => {
                return Err(Error::option("--direction", "", "give --direction KIND or --to FILE"));
            }
        };
        let (vector, label) = match self.normalize {
            Normalize::None => {
                let length = direction::dot(&vector, &vector).sqrt();
                (vector, format!("{label}, length {length:.6}"))
            }
            Normalize::Unit => {
                let unit = direction::normalised(vector).ok_or_else(|| {
                    Error::Request(format!("the direction {label} has length 0: there is no way along it"))
                })?;
                (unit, label)
            }
        };
        let ray = Line::Ray {
            origin: source.origin.clone(),
            direction: Arc::new(vector),
        };
        Ok((ray, label))
    }
}

/// A reference, and what is done to the values it names.
fn named(reference: &Reference, state: &StateDict) -> String {
    let notes = state.notes();
    if notes.is_empty() {
        reference.to_string()
    } else {
        format!("{reference} ({})", notes.join(", "))
    }
}
