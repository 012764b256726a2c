//! The export dialog: what to write, and where.

use egui::{Context, Modal, TextEdit};

use super::command::Command;
use super::source::name;
use super::state::State;

/// Shows the window if it is open.
pub fn show(context: &Context, state: &mut State, commands: &mut Vec<Command>) {
    if !state.export.open {
        return;
    }
    let response = Modal::new(egui::Id::unique("export")).show(context, |ui| {
        ui.heading("Export");
        let before = state.export.training_curve;
        ui.horizontal(|ui| {
            ui.selectable_value(&mut state.export.training_curve, false, "The stage");
            // A checkpoint brings none.
            let trained = !state.is_checkpoint();
            state.export.training_curve &= trained;
            ui.add_enabled_ui(trained, |ui| {
                ui.selectable_value(&mut state.export.training_curve, true, "The training curves");
            });
        });
        if state.export.training_curve != before {
            state.export.path = state.export_path("png").display().to_string();
        }
        ui.horizontal(|ui| {
            let edit = ui.add(TextEdit::singleline(&mut state.export.path).desired_width(360.0));
            name(&edit, "File");
            let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            if entered {
                commands.push(Command::Export);
            }
            if ui.button("Choose…").clicked() {
                commands.push(Command::ChooseExport);
            }
        });
        ui.label(
            ".png and .svg write the figure, .csv the numbers; a .json beside it says how it was made.\n\
             .safetensors writes the marked point w + l·u, for PyTorch's load_state_dict",
        );
        ui.horizontal(|ui| {
            if ui.button("Write").clicked() {
                commands.push(Command::Export);
            }
            if ui.button("Cancel").clicked() {
                commands.push(Command::Cancel);
            }
        });
    });
    if response.should_close() {
        commands.push(Command::Cancel);
    }
}
