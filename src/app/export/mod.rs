//! The export dialog: what to write, how large, and where.

mod write;

use egui::{ComboBox, Context, DragValue, Modal, TextEdit, Ui};

pub use self::write::{Effect, export};
use super::command::Command;
use super::source::name;
use super::state::State;
use crate::figure::heat_map::SIDES;

/// Sizes that are offered, in pixels. Columns of print are 89 mm and 183 mm wide, at 600 dots an inch.
const SIZES: [(&str, Option<(u32, u32)>); 5] = [
    ("usual", None),
    ("slide, 1920 × 1080", Some((1920, 1080))),
    ("slide, 3840 × 2160", Some((3840, 2160))),
    ("one column of print", Some((2102, 1752))),
    ("two columns of print", Some((4323, 2882))),
];

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exported {
    /// The curves on the stage.
    #[default]
    Curves,
    /// The surface on the stage, from above.
    Map,
    /// The surface on the stage, in three dimensions.
    Relief,
    /// The training curves.
    Training,
}

impl Exported {
    /// Endings of the files that it can be written to.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Curves => &["png", "svg", "csv", "safetensors"],
            Self::Map => &["png", "svg", "gif", "csv", "json", "glb", "safetensors"],
            Self::Relief => &["png", "gif", "csv", "json", "glb", "safetensors"],
            Self::Training => &["png", "svg", "csv"],
        }
    }

    /// What the endings mean, for people.
    fn explained(self) -> &'static str {
        match self {
            Self::Curves => {
                ".png and .svg write the figure, .csv the numbers; a .json beside it says how it was made.\n\
                 .safetensors writes the marked point w + l·u, for PyTorch's load_state_dict"
            }
            Self::Map => {
                ".png and .svg write the map, .csv and .json the numbers, .gif the trajectory walking over it, .glb a \
                 model for ParaView or Blender;\na .json beside it says how it was made. .safetensors writes the \
                 marked point, for PyTorch's load_state_dict"
            }
            Self::Relief => {
                ".png writes the relief as it is turned, .gif the trajectory walking over it, .glb a model for \
                 ParaView or Blender, .csv and .json the numbers;\na .json beside it says how it was made. \
                 .safetensors writes the marked point, for PyTorch's load_state_dict"
            }
            Self::Training => {
                ".png and .svg write the figure, .csv the numbers; a .json beside it says how it was made"
            }
        }
    }
}

/// What to write, how large, and where.
#[derive(Clone, Debug, Default)]
pub struct ExportForm {
    /// Whether the window for it is open.
    pub open: bool,
    /// File name; its ending says what is written.
    pub path: String,
    /// What is written.
    pub what: Exported,
    /// Pixels of a picture; without, what suits its kind.
    pub size: Option<(u32, u32)>,
}

/// What can be written of what is on the stage, by name.
fn choices(state: &State) -> Vec<(Exported, &'static str)> {
    let mut choices = match state.shows_surface() {
        true => vec![
            (Exported::Map, "The map"),
            (Exported::Relief, "The relief"),
            (Exported::Curves, "The curves"),
        ],
        false => vec![(Exported::Curves, "The stage")],
    };
    // A checkpoint brings none.
    if !state.is_checkpoint() {
        choices.push((Exported::Training, "The training curves"));
    }
    choices
}

/// Opens the window with what is on the stage.
pub fn open(state: &mut State) {
    state.export.open = true;
    if let Some((first, _)) = choices(state).first() {
        state.export.what = *first;
    }
    state.export.path = state.export_path("png").display().to_string();
}

/// Shows the window if it is open.
pub fn show(context: &Context, state: &mut State, commands: &mut Vec<Command>) {
    if !state.export.open {
        return;
    }
    let response = Modal::new(egui::Id::unique("export")).show(context, |ui| {
        ui.heading("Export");
        let before = state.export.what;
        ui.horizontal(|ui| {
            for (what, text) in choices(state) {
                ui.selectable_value(&mut state.export.what, what, text);
            }
        });
        if state.export.what != before {
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
        size(ui, &mut state.export.size);
        ui.label(state.export.what.explained());
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

/// Pixels of the picture.
fn size(ui: &mut Ui, size: &mut Option<(u32, u32)>) {
    ui.horizontal(|ui| {
        ui.label("Size");
        let known = SIZES.iter().find(|(_, known)| known == size);
        let choice = ComboBox::from_id_salt("export size")
            .selected_text(known.map_or("own", |(text, _)| text))
            .width(150.0)
            .show_ui(ui, |ui| {
                for (text, value) in SIZES {
                    ui.selectable_value(size, value, text);
                }
            })
            .response
            .on_hover_text("of PNG, SVG and GIF; words and lines grow with it. Print is at 600 dots an inch");
        name(&choice, "Size of the picture");
        if let Some((width, height)) = size {
            for (side, text) in [(width, "Width in pixels"), (height, "Height in pixels")] {
                let field = ui.add(DragValue::new(side).range(SIDES).speed(8.0));
                name(&field, text);
            }
            ui.label("pixels");
        }
    });
}
