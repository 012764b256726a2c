//! `valleyscope curvature`.

mod along_run;
mod measure;
mod words;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::drawing::Pair;
use super::progress::Progress;
use super::source::{Belonging, Source};
use crate::checkpoint::Reference;
use crate::curvature::lanczos::LEAST_TOLERANCE;
use crate::curvature::record::{Ends, SgdBounds};
use crate::curvature::{CurvatureRecord, Matrix, Sgd};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::figure::curvature::{self as files, ENDINGS, PICTURES};
use crate::figure::heat_map::check_size;
use crate::figure::table::refuse_files_of_a_run;
use crate::files::whole_file;
use crate::landscape::{Provenance, direction_file};
use crate::objective::{BatchNormPolicy, Compute, Derivatives, DeviceChoice, Objective, usual_batch};

/// How many of the largest eigenvalues, unless told otherwise.
const EIGENVALUES: usize = 10;
/// More eigenvalues than anybody reads; a larger number is a slip of the keyboard.
const MOST_EIGENVALUES: usize = 1000;
/// The same for random vectors.
const MOST_VECTORS: usize = 100_000;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Solution to look at: a PyTorch or safetensors file, with ::key an entry of it
    #[arg(long, value_name = "FILE[::KEY]", required_unless_present = "trajectory")]
    checkpoint: Option<Reference>,
    #[command(flatten)]
    belonging: Belonging,
    #[command(flatten)]
    along: along_run::Along,
    /// What happens to batch-norm statistics: they are constants under running and recompute, and move with the
    /// parameters under batch
    #[arg(long, value_enum, default_value_t)]
    bn: BatchNormPolicy,
    /// Images of a batch of the mean loss, which matters under batch and recompute [default: 128, or fewer where a
    /// large network leaves no memory for them]
    #[arg(long, value_name = "N")]
    evaluation_batch: Option<usize>,
    /// Split whose loss is looked at
    #[arg(long, value_enum, default_value_t = Part::Train)]
    part: Part,
    /// Images of that split, from its start [default: all]
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Seed of start vectors, random vectors and subsets
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many of the largest eigenvalues; the first is the sharpness a [default: 10]
    #[arg(long, help_heading = "Spectrum", value_name = "K")]
    eigenvalues: Option<usize>,
    /// How many of the smallest eigenvalues, by sign
    #[arg(long, help_heading = "Spectrum", value_name = "K", default_value_t = 0)]
    smallest: usize,
    /// Which second derivatives
    #[arg(long, help_heading = "Spectrum", value_enum, default_value_t)]
    matrix: Matrix,
    /// An eigenvalue has been found when its residual ‖Av − λv‖ is below this share of the largest |λ|
    #[arg(long, help_heading = "Spectrum", value_name = "T", default_value_t = 1e-3)]
    tolerance: f64,
    /// Lanczos steps at most, of whatever takes them: each is a product, and keeps a vector as long as the parameters
    /// [default: for eigenvalues 100, and ten more for each]
    #[arg(long, help_heading = "Spectrum", value_name = "N")]
    steps: Option<usize>,
    /// Go on until no copy of a multiple eigenvalue is missing, some as many products again
    #[arg(long, help_heading = "Spectrum")]
    copies: bool,
    /// File to write the eigenvectors to, for --direction file:FILE and file:FILE::2, …; the smallest are
    /// file:FILE::smallest-1, …
    #[arg(long, help_heading = "Spectrum", value_name = "FILE.safetensors")]
    save_eigenvectors: Option<PathBuf>,
    /// Estimate the trace with so many random vectors, one product each
    #[arg(long, help_heading = "Spectrum", value_name = "N")]
    trace: Option<usize>,
    /// Estimate the density of the whole spectrum, with some 320 products
    #[arg(long, help_heading = "Spectrum")]
    density: bool,
    /// Covariance Σ of the gradients of the first N images [default: 1000, or all of fewer], and with --batch-size of
    /// batches: its trace, and as many eigenvalues
    #[arg(long, help_heading = "Noise and stability", value_name = "N")]
    covariance: Option<Option<usize>>,
    /// File to write the leading eigenvectors of Σ to, for --direction file:FILE and file:FILE::2, …; of batches they
    /// are file:FILE::batch-1, …
    #[arg(
        long,
        help_heading = "Noise and stability",
        value_name = "FILE.safetensors",
        requires = "covariance"
    )]
    save_noise: Option<PathBuf>,
    /// Non-uniformity s, the square root of the largest eigenvalue of the covariance of the images' Hessians, from M
    /// images in four sets [default: 200, or all of fewer]; from all images at once it has no error
    #[arg(long, help_heading = "Noise and stability", value_name = "M")]
    non_uniformity: Option<Option<usize>>,
    /// Learning rate η of SGD: does it stay here? By Wu, Ma and E (2018), it leaves unless a ≤ 2/η, and their condition
    /// (8), which is enough for it to stay, fails unless s ≤ (1/η)·√(B(n − 1)/(n − B))
    #[arg(
        long,
        help_heading = "Noise and stability",
        value_name = "η",
        requires = "batch_size",
        allow_negative_numbers = true
    )]
    learning_rate: Option<f64>,
    /// Batch size B of SGD
    #[arg(long, help_heading = "Noise and stability", value_name = "B")]
    batch_size: Option<usize>,
    /// File to write: .json with everything, .csv (the density, or the eigenvalues) or .png or .svg (the density), with
    /// .json beside it; with --trajectory a row an epoch, and a chart by epoch. May be given more than once
    #[arg(long, value_name = "FILE")]
    out: Vec<PathBuf>,
    /// Pixels of a figure [default: 1600x1000]
    #[arg(long, value_name = "WxH")]
    size: Option<Pair<u32>>,
    /// Print everything as one JSON document
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Checks what can be checked before anything is read.
    fn check(&self) -> Result<()> {
        if self.along.trajectory().is_some() {
            along_run::check(self)?;
        }
        let counts = [
            ("--eigenvalues", self.eigenvalues, 1, MOST_EIGENVALUES),
            ("--smallest", Some(self.smallest), 0, MOST_EIGENVALUES),
            ("--trace", self.trace, 1, MOST_VECTORS),
        ];
        for (option, value, least, most) in counts {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                return Err(Error::option(
                    option,
                    value,
                    format!("it must be from {least} to {most}"),
                ));
            }
        }
        let counts = [
            ("--samples", self.samples),
            ("--steps", self.steps),
            ("--every", self.along.every()),
            ("--evaluation-batch", self.evaluation_batch),
            ("--batch-size", self.batch_size),
        ];
        if let Some((option, _)) = counts.into_iter().find(|(_, value)| *value == Some(0)) {
            return Err(Error::option(option, 0, "it must be at least 1"));
        }
        if !(LEAST_TOLERANCE..1.0).contains(&self.tolerance) {
            let reason = format!("it is a share, from {LEAST_TOLERANCE}, which single precision can reach, to below 1");
            return Err(Error::option("--tolerance", self.tolerance, reason));
        }
        if let Some(rate) = self.learning_rate {
            if !rate.is_finite() || rate <= 0.0 {
                return Err(Error::option("--learning-rate", rate, "it must be above 0"));
            }
            if self.part == Part::Test {
                return Err(Error::option(
                    "--learning-rate",
                    rate,
                    "SGD goes down the loss of the training images, and stays or leaves by their curvature; leave out \
                     --part test",
                ));
            }
            if self.matrix == Matrix::GaussNewton {
                return Err(Error::option(
                    "--learning-rate",
                    rate,
                    "SGD stays or leaves by the sharpness, which is the largest eigenvalue of the Hessian and not of the \
                     Gauss-Newton matrix; leave out --matrix gauss-newton",
                ));
            }
        }
        if let Some(batch) = self.batch_size
            && self.learning_rate.is_none()
            && self.covariance.is_none()
        {
            let reason = "it belongs to --learning-rate or --covariance; the mean loss has --evaluation-batch";
            return Err(Error::option("--batch-size", batch, reason));
        }
        self.check_files()
    }

    fn check_files(&self) -> Result<()> {
        for path in &self.out {
            if !ENDINGS.contains(&ending(path)) {
                let reason = format!("the file name must end in one of .{}", ENDINGS.join(", ."));
                return Err(Error::option("--out", path.display(), reason));
            }
            if PICTURES.contains(&ending(path)) && !self.density && self.along.trajectory().is_none() {
                let reason = "a picture shows the density of the spectrum; ask for it with --density";
                return Err(Error::option("--out", path.display(), reason));
            }
            refuse_files_of_a_run(path)?;
            whole_file::check_writable(path)?;
        }
        if let Some(Pair(width, height)) = self.size {
            check_size((width, height))
                .map_err(|error| Error::option("--size", format!("{width}x{height}"), error.to_string()))?;
        }
        let directions = [
            ("--save-eigenvectors", &self.save_eigenvectors),
            ("--save-noise", &self.save_noise),
        ];
        for (option, path) in directions {
            let Some(path) = path else { continue };
            if ending(path) != "safetensors" {
                let reason = "the file name must end in .safetensors";
                return Err(Error::option(option, path.display(), reason));
            }
            whole_file::check_writable(path)?;
        }
        Ok(())
    }

    /// How many of the largest eigenvalues are asked for.
    fn eigenvalues(&self) -> usize {
        self.eigenvalues.unwrap_or(EIGENVALUES)
    }

    /// Whether anything is asked for that is of single images.
    fn is_of_images(&self) -> bool {
        self.covariance.is_some() || self.non_uniformity.is_some()
    }
}

/// The progress bar, for callbacks that tell it by turns, and what is printed beside it.
struct Bar {
    progress: RefCell<Progress>,
    silent: bool,
}

impl Bar {
    /// Shows that `done` (0..1) of `stage` is done; false when Ctrl-C was pressed.
    fn report(&self, stage: &str, done: f64) -> bool {
        self.progress.borrow_mut().report(stage, done)
    }

    /// Prints lines, unless a document is to be the only thing on standard output.
    fn print(&self, text: &str) -> Result<()> {
        if self.silent {
            return Ok(());
        }
        self.progress.borrow().aside(|| super::print(text))
    }

    /// Says something on standard error.
    fn note(&self, text: &str) {
        self.progress.borrow().aside(|| eprintln!("note: {text}"));
    }
}

pub fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    arguments.check()?;
    let Some(checkpoint) = &arguments.checkpoint else {
        return along_run::run(arguments, device);
    };
    let mut progress = Progress::new();
    let source = arguments.belonging.open(checkpoint, true, &mut progress)?;
    let bar = Bar {
        progress: RefCell::new(progress),
        silent: arguments.json,
    };
    let record = measured(arguments, device, &source, &bar).map_err(|error| explained(error, &bar))?;
    drop(bar);
    hand_out(arguments, &record, |path, size| files::write(path, &record, size))
}

/// An error as it is told, with a note of what is lost where it was Ctrl-C.
fn explained(error: Error, bar: &Bar) -> Error {
    if matches!(error, Error::Cancelled) && !bar.silent {
        bar.note("what is printed holds; what was being measured is lost, and no results were written");
    }
    as_flag(error)
}

/// Prints the document, where it is asked for, and writes the files with `write`, which is given a path and the pixels
/// of a picture.
fn hand_out(
    arguments: &Arguments,
    record: &impl serde::Serialize,
    write: impl Fn(&Path, Option<(u32, u32)>) -> Result<()>,
) -> Result<()> {
    if arguments.json {
        super::print_json(record)?;
    }
    // Tables before figures, which can fail.
    let is_picture = |path: &&PathBuf| PICTURES.contains(&ending(path));
    let (pictures, tables): (Vec<_>, Vec<_>) = arguments.out.iter().partition(is_picture);
    let size = arguments.size.map(|Pair(width, height)| (width, height));
    for path in tables.into_iter().chain(pictures) {
        write(path, size)?;
        if !arguments.json {
            say!("written: {}", path.display());
        }
    }
    Ok(())
}

/// Measures one thing after another, and prints each as soon as it is known.
fn measured(arguments: &Arguments, device: DeviceChoice, source: &Source, bar: &Bar) -> Result<CurvatureRecord> {
    let data = source.data.clone().ok_or_else(|| {
        Error::Request(format!(
            "{} does not say which data it is for; give --data, such as --data cifar10:DIR",
            source.name
        ))
    })?;
    let (part, policy) = (arguments.part, arguments.bn);
    let trained_on = data.train.len();
    if let (Some(rate), Some(batch)) = (arguments.learning_rate, arguments.batch_size) {
        // Refused before anything is measured.
        Sgd::new(rate, batch, trained_on)?;
    }
    let batch = arguments.evaluation_batch.unwrap_or_else(|| usual_batch(&source.graph));
    let objective = Objective::new(source.graph.clone(), data, Compute::open(device)?, batch)
        .map_err(|error| renamed(error, "--batch-size", "--evaluation-batch"))?;
    super::note_device(&objective);
    let parameters = objective.graph().parameter_count();
    let wanted = arguments.eigenvalues().max(arguments.smallest);
    if wanted > parameters {
        bar.note(&format!(
            "{wanted} eigenvalues are asked for, and there are {parameters}, as many as parameters"
        ));
    }
    let asked = arguments.samples.unwrap_or(usize::MAX);
    let recomputing = &mut |share: f64| bar.report("recomputing the statistics", share);
    let derivatives = Derivatives::new(&objective, &source.origin, policy, part, asked, recomputing)?;
    let samples = derivatives.images();
    if arguments.is_of_images() {
        derivatives.statistics()?;
        measure::check_images(arguments, samples)?;
    }
    let loss = measure::loss(&derivatives, bar)?;
    let record = CurvatureRecord {
        provenance: provenance(arguments, &objective, &source.name, asked),
        matrix: arguments.matrix,
        part,
        samples,
        parameters,
        seed: arguments.seed,
        loss,
        spectrum: Ends::default(),
        trace: None,
        density: None,
        covariances: Vec::new(),
        non_uniformity: None,
        stability: None,
    };
    bar.print(&words::point(&record))?;
    fill(arguments, record, &derivatives, trained_on, bar)
}

/// Measures what is asked for and fills it in.
fn fill(
    arguments: &Arguments,
    mut record: CurvatureRecord,
    derivatives: &Derivatives,
    trained_on: usize,
    bar: &Bar,
) -> Result<CurvatureRecord> {
    let spectrum = measure::spectrum(arguments, derivatives, bar)?;
    record.spectrum = Ends::new(&spectrum, arguments.tolerance);
    bar.print(&words::spectrum(&record))?;
    if let Some(path) = &arguments.save_eigenvectors {
        let directions: Vec<(String, &[f32])> = [("", &spectrum.largest), ("smallest-", &spectrum.smallest)]
            .into_iter()
            .flat_map(|(prefix, pairs)| {
                let numbered = pairs.iter().enumerate();
                numbered.map(move |(index, pair)| (format!("{prefix}{}", index + 1), pair.vector.as_slice()))
            })
            .collect();
        direction_file::write(path, &directions, &words::of_eigenvectors(&record))?;
        bar.print(&format!("written: {}", path.display()))?;
    }
    // The vectors are as long as the parameters each.
    drop(spectrum);
    if let Some(count) = arguments.trace {
        let trace = measure::trace(arguments, derivatives, count, bar)?;
        bar.print(&words::trace(&record, trace))?;
        record.trace = Some(trace);
    }
    if arguments.density {
        let density = measure::density(arguments, derivatives, bar)?;
        bar.print(&words::density(&density))?;
        record.density = Some(density);
    }
    if let Some(count) = arguments.covariance {
        let mut noise = Vec::new();
        for (count, batch) in measure::gradients(arguments, count, derivatives.images()) {
            let (covariance, vectors) = measure::covariance(arguments, derivatives, count, batch, bar)?;
            bar.print(&words::covariance(&covariance))?;
            record.covariances.push(covariance);
            let prefix = if batch == 1 { "" } else { "batch-" };
            let numbered = vectors.into_iter().enumerate();
            noise.extend(numbered.map(|(index, vector)| (format!("{prefix}{}", index + 1), vector)));
        }
        if let Some(path) = &arguments.save_noise {
            write_noise(path, &record, &noise, bar)?;
        }
    }
    if let Some(count) = arguments.non_uniformity {
        let spread = measure::non_uniformity(arguments, derivatives, count, bar)?;
        bar.print(&words::non_uniformity(&spread))?;
        record.non_uniformity = Some(spread);
    }
    if let (Some(rate), Some(batch), Some(sharpest)) = (
        arguments.learning_rate,
        arguments.batch_size,
        record.spectrum.largest.first(),
    ) {
        let sharpness = (sharpest.value, record.spectrum.converged);
        let measured = record.non_uniformity.map(|spread| spread.measured);
        let spread = measured.map(|measured| (measured.value, measured.standard_error.unwrap_or(0.0)));
        let bounds = SgdBounds::new(rate, batch, trained_on, sharpness, spread)?;
        bar.print(&words::stability(&bounds))?;
        record.stability = Some(bounds);
    }
    Ok(record)
}

/// Writes the eigenvectors of the gradients' covariances under their names.
fn write_noise(path: &Path, record: &CurvatureRecord, noise: &[(String, Vec<f32>)], bar: &Bar) -> Result<()> {
    if noise.is_empty() {
        bar.note(&format!(
            "{} is not written: all gradients are the same, and their covariance has no eigenvector",
            path.display()
        ));
        return Ok(());
    }
    let directions: Vec<(String, &[f32])> = noise
        .iter()
        .map(|(name, vector)| (name.clone(), vector.as_slice()))
        .collect();
    direction_file::write(path, &directions, &words::of_noise(record))?;
    bar.print(&format!("written: {}", path.display()))
}

/// Provenance of a measurement over the first `samples` images of one split, or all of fewer.
fn provenance(arguments: &Arguments, objective: &Objective, from: &str, samples: usize) -> Provenance {
    let (matrix, part) = (arguments.matrix.name(), arguments.part);
    let what = format!("{matrix} of the {} loss", part.name());
    let all = Provenance::new(objective, from, &what, arguments.bn, samples, None);
    // Statistics are recomputed on training images, whatever split the loss is of.
    let recomputes = arguments.bn == BatchNormPolicy::Recompute && objective.graph().statistics_count() > 0;
    let used = |of: Part, images: usize| if of == part { images } else { 0 };
    let read = if recomputes { all.train_images } else { 0 };
    Provenance {
        train_images: used(Part::Train, all.train_images).max(read),
        test_images: used(Part::Test, all.test_images),
        ..all
    }
}

fn ending(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

/// The same error about an option of another name.
fn renamed(error: Error, from: &str, to: &str) -> Error {
    match error {
        Error::Option { option, value, reason } if option == from => Error::option(to, value, reason),
        other => other,
    }
}

/// The library's words for an option as the flag that a person typed.
fn as_flag(error: Error) -> Error {
    match error {
        Error::Option { option, value, reason } if !option.starts_with("--") => {
            Error::option(&format!("--{}", option.replace(' ', "-")), value, reason)
        }
        other => other,
    }
}
