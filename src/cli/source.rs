//! What `line`, `plane`, `save` and `curvature` start from: a checkpoint, the network and the data it belongs to, and
//! an axis.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::axis::{AxisChoice, Components, DirectionSource, NamedAxis};
use super::progress::Progress;
use crate::checkpoint::{CheckpointFile, Reference, StateDict, entry_names};
use crate::data::{Dataset, Specification};
use crate::error::{Error, Result};
use crate::landscape::{Line, Normalisation};
use crate::network::{Graph, zoo};
use crate::objective::Solution;
use crate::training::RunRecord;

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
        self.refuse_because("there are no data here that it could apply to; name them")
    }

    fn refuse_because(&self, reason: &str) -> Result<()> {
        match self.given().into_iter().find(|(_, value)| value.is_some()) {
            Some((name, Some(value))) => Err(Error::option(&format!("--{name}"), value, reason)),
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

/// The network and the data that a solution belongs to.
#[derive(Debug, clap::Args)]
pub struct Belonging {
    /// Model name with options; may be left out where the checkpoint names its own or only one fits
    #[arg(long)]
    model: Option<String>,
    /// Data, such as cifar10:DIR; may be left out where the checkpoint names its own
    #[arg(long, value_name = "SPEC")]
    data: Option<String>,
    #[command(flatten)]
    options: DataOptions,
}

/// Where the origin comes from.
#[derive(Debug, clap::Args)]
pub struct Origin {
    /// Solution to look at, position 0 of an axis: a PyTorch or safetensors file, with ::key an entry of it
    #[arg(long, value_name = "FILE[::KEY]")]
    checkpoint: Reference,
    #[command(flatten)]
    belonging: Belonging,
}

/// Where the origin and the first axis come from.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    origin: Origin,
    /// Solution at position 1: position t means w + t·(w_to − w)
    #[arg(long, value_name = "FILE[::KEY]")]
    to: Option<Reference>,
    /// Direction: position l means w + l·u. uniform, symmetric, gaussian, bn, non-bn, file:F.safetensors, (with --to)
    /// inter+random, or (with --trajectory) the principal components pc1 and pc2
    #[arg(long, value_name = "KIND")]
    direction: Option<DirectionSource>,
    /// What is done to the length of a direction
    #[arg(long, value_enum, default_value_t)]
    normalize: Normalisation,
    /// Seed of a random direction [default: 1]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Run folder whose trajectory is shown, and that pc1 and pc2 belong to
    #[arg(long, value_name = "RUN")]
    trajectory: Option<PathBuf>,
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

impl Belonging {
    /// Opens a checkpoint and its network, and the data where they are named or needed.
    pub fn open(&self, checkpoint: &Reference, needs_data: bool, progress: &mut Progress) -> Result<Source> {
        let file = CheckpointFile::open(&checkpoint.path)?;
        let state = file.state_dict(checkpoint.key.as_deref())?;
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
            name: named(checkpoint, &state),
        })
    }

    /// Refuses what the record of a run says for itself.
    pub fn check_of_run(&self) -> Result<()> {
        if let Some(model) = &self.model {
            let reason = "the run's record names its model; leave it out with --trajectory";
            return Err(Error::option("--model", model, reason));
        }
        self.options
            .refuse_because("a run is looked at on the data that it was trained on; its first N images are --samples N")
    }

    /// Opens the network and the data of a run, which `--data` says anew where they have been moved. Other data have
    /// other curvatures, and other numbers of images.
    pub fn open_run(&self, record: &RunRecord, progress: &mut Progress) -> Result<(Arc<Graph>, Arc<Dataset>)> {
        let own = &record.data;
        let data = self.data.as_ref().unwrap_or(own);
        // What the record says may lie nowhere any more, so that only its words are compared.
        if data != own && !Specification::parse(data)?.is_like(&Specification::parse(own)?) {
            let reason = format!("the run was trained on {own}; name the same data where they lie now");
            return Err(Error::option("--data", data, reason));
        }
        let data = DataOptions::default().open(data, progress)?;
        let graph = zoo::build(&record.model, data.shape, data.classes.len())?;
        Ok((Arc::new(graph), data))
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
}

impl Origin {
    /// Opens checkpoint and network, and the data where they are named or needed.
    pub fn open(&self, needs_data: bool, progress: &mut Progress) -> Result<Source> {
        self.belonging.open(&self.checkpoint, needs_data, progress)
    }
}

impl Arguments {
    /// The first axis.
    pub fn first(&self) -> AxisChoice {
        AxisChoice {
            to: self.to.clone(),
            direction: self.direction.clone(),
            seed: self.seed,
            flags: ["--to", "--direction", "--seed"],
        }
    }

    /// Run folder whose trajectory is asked for.
    pub fn trajectory(&self) -> Option<&Path> {
        self.trajectory.as_deref()
    }

    /// The solution at position 0, as it is named.
    pub fn checkpoint(&self) -> &Reference {
        &self.origin.checkpoint
    }

    /// What is done to the length of a direction.
    pub fn normalisation(&self) -> Normalisation {
        self.normalize
    }

    /// Short names of the two ends, where the line leads from one solution to another.
    pub fn ends(&self) -> Option<[String; 2]> {
        let to = self.to.as_ref().filter(|_| self.direction.is_none())?;
        Some(short_names(&self.origin.checkpoint, to))
    }

    /// Checks what can be checked before anything is read.
    pub fn check(&self, choices: &[&AxisChoice]) -> Result<()> {
        for choice in choices {
            choice.check(self.trajectory.is_some())?;
        }
        if self.normalize != Normalisation::Unit && choices.iter().all(|choice| choice.is_segment()) {
            return Err(Error::option(
                "--normalize",
                self.normalize,
                "the way to another solution keeps its length; it belongs to a --direction",
            ));
        }
        Ok(())
    }

    /// Opens checkpoint and network, and the data where they are named or needed.
    pub fn open(&self, needs_data: bool, progress: &mut Progress) -> Result<Source> {
        self.origin.open(needs_data, progress)
    }

    /// The principal components that axes through `source` need, where they need any.
    pub fn components(
        &self,
        source: &Source,
        choices: &[&AxisChoice],
        progress: &mut Progress,
    ) -> Result<Option<Components>> {
        Components::find(choices, &source.graph, self.trajectory.as_deref(), progress)
    }

    /// An axis through `source`, with its name.
    pub fn axis(&self, source: &Source, choice: &AxisChoice, components: Option<&Components>) -> Result<NamedAxis> {
        choice.axis(source, self.normalize, components)
    }

    /// The line through `source`, with its name.
    pub fn line(&self, source: &Source, progress: &mut Progress) -> Result<(Line, String)> {
        let first = self.first();
        let components = self.components(source, &[&first], progress)?;
        let NamedAxis { axis, label, .. } = self.axis(source, &first, components.as_ref())?;
        let origin = source.origin.clone();
        Ok((Line { origin, axis }, label))
    }
}

/// Short names of two solutions: two entries of a file are told apart by their keys, two files by their names.
pub fn short_names(first: &Reference, second: &Reference) -> [String; 2] {
    let [first, second] = [first, second].map(|reference| {
        let file = reference.path.file_stem().unwrap_or_default().to_string_lossy();
        (file.into_owned(), reference.key.clone())
    });
    match (first.1, second.1) {
        (Some(a), Some(b)) if first.0 == second.0 => entry_names(&a, Some(&b)),
        _ => [first.0, second.0],
    }
}

/// A reference, and what is done to the values it names.
pub fn named(reference: &Reference, state: &StateDict) -> String {
    let notes = state.notes();
    if notes.is_empty() {
        reference.to_string()
    } else {
        format!("{reference} ({})", notes.join(", "))
    }
}
