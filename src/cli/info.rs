//! `valleyscope info`: what a run folder, a checkpoint or a data set holds.

use std::collections::BTreeMap;
use std::path::Path;

use super::progress::Progress;
use super::source::DataOptions;
use crate::checkpoint::tensor::StoredTensor;
use crate::checkpoint::{CheckpointFile, Listing, Reference};
use crate::data::{Dataset, Part, Pixels, recognise};
use crate::error::{Error, Result};
use crate::network::{cost, zoo};
use crate::training::RunFolder;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Run folder, checkpoint (a PyTorch or safetensors file, with ::key an entry of it), or data: cifar10:DIR, or its folder
    #[arg(value_name = "RUN|FILE[::KEY]|SPEC")]
    what: String,
    #[command(flatten)]
    options: DataOptions,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let path = Path::new(&arguments.what);
    let options = &arguments.options;
    if !path.exists() && !arguments.what.contains("::") {
        match options.specify(&arguments.what) {
            Ok(specification) => return data_set(&specification, arguments.json),
            // With a colon it was meant as data; otherwise it is a path that does not exist.
            Err(error) if arguments.what.contains(':') => return Err(error),
            Err(_) => {}
        }
    }
    if path.is_dir() && !path.join("run.json").exists() {
        let found = recognise(path).ok_or_else(|| {
            Error::file_reason(
                path,
                "neither a run folder (it has no run.json) nor a known data set; write data as family:path, such as \
                 cifar10:DIR",
            )
        })?;
        return data_set(&options.specify(&found)?, arguments.json);
    }
    options.refuse()?;
    let reference = Reference::from(arguments.what.as_str());
    if reference.path.is_dir() || reference.path.file_name().is_some_and(|name| name == "run.json") {
        folder(&reference.path, arguments.json)
    } else {
        file(&reference, arguments.json)
    }
}

fn folder(path: &Path, json: bool) -> Result<()> {
    let folder = RunFolder::open(path)?;
    let record = folder.record();
    let metrics = folder.metrics()?;
    let snapshots = folder.snapshots();
    let solutions: Vec<&str> = ["swa", "sgd"]
        .into_iter()
        .filter(|name| folder.solution_path(name).exists())
        .collect();
    let data = Dataset::open(&record.data)?;
    let graph = zoo::build(&record.model, data.shape, data.classes.len())?;
    if json {
        return super::print_json(&serde_json::json!({
            "run": record, "epochs": metrics.len(), "snapshots": snapshots, "solutions": solutions,
            "parameters": graph.parameter_count(), "batch_norm_parameters": graph.batch_norm_parameter_count(),
        }));
    }
    say!("run        {}", folder.path().display());
    say!(
        "model      {} ({} parameters, {:.2} % of them batch norm)",
        record.model,
        graph.parameter_count(),
        100.0 * graph.batch_norm_parameter_count() as f64 / graph.parameter_count() as f64
    );
    say!(
        "data       {} ({} train, {} test images of {:?}, {} classes)",
        record.data,
        data.train.len(),
        data.test.len(),
        data.shape,
        data.classes.len()
    );
    say!(
        "trained    {} of {} epochs on {} by version {}",
        metrics.len(),
        record.options.total_epochs(),
        record.device,
        record.version
    );
    say!("options    {}", serde_json::json!(record.options));
    say!(
        "holds      {snapshots} snapshots{}",
        solutions.iter().map(|name| format!(", {name}")).collect::<String>()
    );
    if let crate::training::RunStatus::Diverged(message) = &record.status {
        say!("diverged   {message}");
    }
    if let Some(row) = metrics.last() {
        say!(
            "last epoch train loss {:.4}, test loss {:.4}, test accuracy {:.1} %",
            row.train_loss,
            row.test_loss,
            100.0 * row.test_accuracy
        );
    }
    Ok(())
}

/// Tensors of an entry listed at most, unless it is asked for by its key.
const MOST_LISTED: usize = 12;

/// A tensor in JSON.
fn described(name: &str, tensor: &StoredTensor) -> serde_json::Value {
    serde_json::json!({"name": name, "shape": tensor.shape, "type": tensor.element.name()})
}

fn file(reference: &Reference, json: bool) -> Result<()> {
    let file = CheckpointFile::open(&reference.path)?;
    let mut listings = file.listings()?;
    if let Some(key) = &reference.key {
        // Checks that there is such an entry, and says which there are where not.
        let state = file.state_dict(Some(key))?;
        listings.retain(|listing| listing.key == *key);
        if json {
            let tensors = state.tensors().iter().map(|(name, tensor)| described(name, tensor));
            return super::print_json(&serde_json::json!({
                "file": reference.to_string(), "format": file.format(), "entries": listings,
                "tensors": tensors.collect::<Vec<_>>(),
            }));
        }
    }
    if json {
        let tensors = file.tensors().iter().map(|(name, tensor)| described(name, tensor));
        return super::print_json(&serde_json::json!({
            "file": reference.to_string(), "format": file.format(), "provenance": file.provenance(),
            "entries": listings, "tensors": tensors.collect::<Vec<_>>(),
            "values": file.others().iter().cloned().collect::<BTreeMap<_, _>>(),
        }));
    }
    say!("file       {} ({})", reference.path.display(), file.format());
    if let Some(provenance) = file.provenance() {
        say!("made by    {provenance}");
    }
    let values: Vec<String> = file
        .others()
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    if !values.is_empty() {
        say!("values     {}", values.join(", "));
    }
    if listings.is_empty() {
        say!("holds      no weights: a state dict has tensors named like conv1.weight");
        for (name, tensor) in file.tensors().iter().take(MOST_LISTED) {
            say!("  {name:40} {:?} {}", tensor.shape, tensor.element.name());
        }
        if file.tensors().contains_key("train_images") {
            say!(
                "it is a data set: valleyscope info safetensors:{}",
                reference.path.display()
            );
        }
    }
    for listing in &listings {
        entry(&file, listing, reference)?;
    }
    Ok(())
}

fn entry(file: &CheckpointFile, listing: &Listing, reference: &Reference) -> Result<()> {
    let name = match listing.key.as_str() {
        "" => "state dict".to_owned(),
        key => format!("::{key}"),
    };
    say!("");
    say!(
        "{name:10} {} entries, {} parameters, {}",
        listing.entries,
        listing.parameters,
        listing.types.join(" and ")
    );
    for note in &listing.notes {
        say!("  note     {note}");
    }
    if listing.fits.is_empty() {
        say!("  fits     no network of the zoo; name the nearest with --model to see how they differ");
    }
    for fit in &listing.fits {
        let [channels, height, width] = fit.input;
        let images = match fit.any_size {
            true => format!("{channels}-channel images of any size"),
            false => format!("images of {channels}×{height}×{width}"),
        };
        let cost = zoo::build(&fit.model, fit.input, fit.classes).map_or(0, |graph| cost::multiply_adds(&graph));
        let at = match fit.any_size {
            true => format!(" at {height}×{width}"),
            false => String::new(),
        };
        say!(
            "  fits     {} ({images}, {} classes; {:.1} million multiply-adds an image{at})",
            fit.model,
            fit.classes,
            cost as f64 / 1e6
        );
    }
    let state = file.state_dict((!listing.key.is_empty()).then_some(&listing.key))?;
    // Of several entries a few names each; the rest is asked for by key.
    let most = if file.keys().len() > 1 {
        MOST_LISTED / 3
    } else {
        MOST_LISTED
    };
    let all = reference.key.is_some() || state.tensors().len() <= most + 1;
    let listed = if all { usize::MAX } else { most };
    for (name, tensor) in state.tensors().iter().take(listed) {
        say!("  {name:40} {:?} {}", tensor.shape, tensor.element.name());
    }
    if !all {
        let more = state.tensors().len() - most;
        match listing.key.as_str() {
            "" => say!("  … and {more} more (--json lists all)"),
            key => say!(
                "  … and {more} more: valleyscope info {}::{key}",
                reference.path.display()
            ),
        }
    }
    Ok(())
}

fn data_set(specification: &str, json: bool) -> Result<()> {
    let mut progress = Progress::new();
    let data = Dataset::open_with(specification, &mut |done| progress.report("reading the data", done))?;
    drop(progress);
    let bytes = matches!(data.train.images, Pixels::Bytes(_));
    let counts = |part: Part| {
        let mut counts = vec![0_usize; data.classes.len()];
        for &label in &data.split(part).labels {
            counts[label as usize] += 1;
        }
        counts
    };
    let (train, test) = (counts(Part::Train), counts(Part::Test));
    if json {
        return super::print_json(&serde_json::json!({
            "data": data.name, "shape": data.shape, "classes": data.classes, "train_images": data.train.len(),
            "test_images": data.test.len(), "train_images_of_class": train, "test_images_of_class": test,
            "mixed": data.mixed, "normalisation": bytes.then_some(&data.normalisation), "shift": data.shift, "flip": data.flip,
        }));
    }
    let [channels, height, width] = data.shape;
    say!("data       {}", data.name);
    say!(
        "images     {channels}×{height}×{width}; {} train, {} test",
        data.train.len(),
        data.test.len()
    );
    match bytes {
        true => say!(
            "normalised (v/255 − mean)/std with mean {:?}, std {:?} (--mean, --std)",
            data.normalisation.mean,
            data.normalisation.deviation
        ),
        false => say!("normalised already: the numbers are used as they are"),
    }
    say!(
        "augmented  in training: shifts of up to {} pixels{}",
        data.shift,
        if data.flip { ", left-right flips" } else { "" }
    );
    if data.mixed {
        say!("order      sorted by class on disk; read in a random order that is always the same");
    }
    say!("classes    {}", data.classes.len());
    for (index, name) in data.classes.iter().enumerate() {
        say!("  {index:3} {name:20} {:6} train {:6} test", train[index], test[index]);
    }
    Ok(())
}
