//! A checkpoint of PyTorch in the window: its form, its pictures, and what is written of it.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use safetensors::tensor::{Dtype, TensorView};
use valleyscope::app::State;
use valleyscope::checkpoint::CheckpointFile;
use valleyscope::engine::View;
use valleyscope::experiment::hashed;
use valleyscope::network::zoo;

use crate::common;
use crate::driver::{Window, adapter};

#[test]
fn a_checkpoint_of_pytorch_opens_and_its_point_is_saved() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.safetensors");
    common::data_file(&data, 40, [3, 16, 16]);
    let files = common::reference("files");
    let mut window = Window::open(folder.path(), None);
    window.open_path(&files.join("papers.pt"));
    window.until("the file was looked into", |state| state.checkpoint.is_some());
    // In the papers' layout the average is taken first, and only one network fits.
    let form = window.state().checkpoint.clone().unwrap();
    assert_eq!(form.model, "resnet8:width=4");
    let request = form.request().unwrap();
    assert_eq!(
        (request.first.as_str(), request.second.as_deref()),
        ("swa_state_dict", Some("state_dict"))
    );
    window.snapshot("checkpoint_form");

    // Data of another shape are refused in words, and the form stays.
    window.text("On data", "two-gaussians");
    window.click("Open");
    window.until("a notice says how they differ", |state| {
        state
            .notices
            .iter()
            .any(|notice| notice.failed && notice.text.contains("instead of [4, 1, 3, 3]"))
    });
    assert!(window.state().checkpoint.is_some());
    window.click("Dismiss");

    window.text("On data", &format!("safetensors:{}", data.display()));
    window.click("Open");
    window.until("the slice is there", |state| {
        state.slice.as_ref().is_some_and(|slice| slice.level.full)
    });
    assert_eq!(window.state().names(), ["SWA", "SGD"]);
    let provenance = window.state().slice.as_ref().unwrap().lines[0]
        .record
        .provenance
        .clone();
    assert_eq!(
        (provenance.model.as_str(), provenance.origin.as_str()),
        ("resnet8:width=4", "SWA")
    );
    assert_eq!(provenance.seed, None);

    window.click("SWA → SGD");
    window.until("the interpolation is there", |state| {
        state
            .slice
            .as_ref()
            .is_some_and(|slice| slice.request.view == View::Interpolation && slice.level.full)
    });
    // Keys of the trajectory, which a checkpoint has not, leave the picture alone.
    let look = window.state().look.clone();
    for key in [Key::ArrowLeft, Key::ArrowRight, Key::Space] {
        window.key(Modifiers::NONE, key);
    }
    assert_eq!(window.state().look, look);
    assert!(!window.state().playing);

    // Saved from the interpolation, t = 0 is the average, with statistics recomputed.
    let target = folder.path().join("point.safetensors");
    window.key(Modifiers::COMMAND, Key::S);
    window.text("File", &target.display().to_string());
    window.click("Write");
    window.until("the point is written", |_| target.exists());
    let graph = zoo::build("resnet8:width=4", [3, 16, 16], 10).unwrap();
    let saved = CheckpointFile::open(&target).unwrap();
    let saved = saved.state_dict(None).unwrap().solution(&graph).unwrap();
    let swa = hashed::solution(&graph, 2);
    assert_eq!(saved.parameters, swa.parameters);
    assert_ne!(saved.statistics, swa.statistics);

    // A direction from a file becomes the pad's first axis; one entry of the list is the way and a random direction.
    let direction = folder.path().join("direction.safetensors");
    let values: Vec<f32> = swa.parameters.iter().map(|w| w * w).collect();
    let view = TensorView::new(Dtype::F32, vec![values.len()], bytemuck::cast_slice(&values)).unwrap();
    std::fs::write(&direction, safetensors::serialize([("direction", view)], None).unwrap()).unwrap();
    let label = |state: &State| state.slice.as_ref().map(|slice| slice.lines[0].record.label.clone());
    window.open_path(&direction);
    window.until("the slice is along the file's direction", |state| {
        label(state).is_some_and(|label| label.starts_with("file ") && label.ends_with("direction.safetensors"))
    });
    window.harness.get_by_label("First direction").click();
    window.harness.step();
    window.harness.step();
    window.click("SWA → SGD + random");
    window.until("the slice is along the sum", |state| {
        label(state).is_some_and(|label| label == "SWA → SGD + uniform (seed 1)")
    });

    // A file with a value that is not finite says which.
    window.open_path(&files.join("nan.pt"));
    window.until("the file was looked into", |state| state.checkpoint.is_some());
    window.text("On data", &format!("safetensors:{}", data.display()));
    window.click("Open");
    window.until("a notice names the entry", |state| {
        state
            .notices
            .iter()
            .any(|notice| notice.failed && notice.text.contains("layer2.0.conv1.weight"))
    });
    window.click("Close");
    assert!(window.state().checkpoint.is_none() && window.state().run.is_some());

    // What we saved names its model and data, and opens at once.
    window.open_path(&target);
    window.until("the saved point is open", |state| {
        state.run.as_ref().is_some_and(|run| run.path == target) && state.slice.is_some()
    });
}
