//! `valleyscope info`.

use std::path::PathBuf;

use crate::checkpoint::solution::TensorFile;
use crate::data::Dataset;
use crate::error::Result;
use crate::network::zoo;
use crate::training::RunFolder;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Run folder, or a solution file (.safetensors)
    path: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.path.extension().is_some_and(|e| e == "safetensors") {
        file(arguments)
    } else {
        folder(arguments)
    }
}

fn folder(arguments: &Arguments) -> Result<()> {
    let folder = RunFolder::open(&arguments.path)?;
    let record = folder.record();
    let metrics = folder.metrics()?;
    let snapshots = folder.snapshots();
    let solutions: Vec<&str> = ["swa", "sgd"]
        .into_iter()
        .filter(|name| folder.solution_path(name).exists())
        .collect();
    let data = Dataset::open(&record.data)?;
    let graph = zoo::build(&record.model, data.shape, data.classes.len())?;
    if arguments.json {
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

fn file(arguments: &Arguments) -> Result<()> {
    let file = TensorFile::read(&arguments.path)?;
    let entries: Vec<(&str, &[usize])> = file.entries().collect();
    let count: usize = entries.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    if arguments.json {
        return super::print_json(&serde_json::json!({
            "file": arguments.path,
            "provenance": file.provenance.as_deref().and_then(|p| serde_json::from_str::<serde_json::Value>(p).ok()),
            "entries": entries.iter().map(|(name, shape)| serde_json::json!({"name": name, "shape": shape})).collect::<Vec<_>>(),
        }));
    }
    say!("file       {}", arguments.path.display());
    if let Some(provenance) = &file.provenance {
        say!("made by    {provenance}");
    }
    say!("holds      {} entries, {count} numbers", entries.len());
    for (name, shape) in entries {
        say!("  {name:32} {shape:?}");
    }
    Ok(())
}
