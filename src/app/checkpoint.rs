//! Left, while a checkpoint file is being opened: what it holds, which network it fits, and which data to measure it on.

use egui::{Button, ComboBox, RichText, Ui};

use super::command::Command;
use super::source::{examples, name, text_row};
use super::state::State;
use super::theme;
use crate::checkpoint::Listing;
use crate::data;
use crate::engine::{CheckpointRequest, Inspection};

/// A checkpoint file that was looked into, and what is chosen of it.
#[derive(Clone, Debug)]
pub struct CheckpointForm {
    /// What it holds.
    pub inspection: Inspection,
    /// Index of the state dict to stand at first.
    pub first: usize,
    /// Index of another to go to.
    pub second: Option<usize>,
    /// Model name; chosen already where only one fits.
    pub model: String,
    /// Data specification.
    pub data: String,
}

impl CheckpointForm {
    /// The usual choice: in the papers' layout the average first and the SGD iterate second, the only model that fits,
    /// and the data that the file names, or else those used last.
    pub fn new(inspection: Inspection, data: &str) -> Self {
        let keys: Vec<&str> = inspection.listings.iter().map(|listing| listing.key.as_str()).collect();
        let find = |key: &str| keys.iter().position(|known| *known == key);
        let asked = inspection.reference.key.as_deref().and_then(find);
        let average = keys.iter().position(|key| key.starts_with("swa"));
        let first = asked.or(average).unwrap_or(0);
        let fits = |index: usize| inspection.listings.get(index).map(|listing| &listing.fits);
        let second = (0..keys.len()).find(|&index| index != first && asked.is_none() && fits(index) == fits(first));
        let model = inspection.model.clone().unwrap_or_default();
        let data = inspection.data.clone().unwrap_or_else(|| data.to_owned());
        let mut form = Self {
            first,
            second,
            model,
            data,
            inspection,
        };
        if form.model.is_empty() {
            form.choose_model();
        }
        form
    }

    /// The only model that fits the entry to stand at; none where there are several.
    fn choose_model(&mut self) {
        self.model = match self.listing().map(|listing| listing.fits.as_slice()) {
            Some([only]) => only.model.clone(),
            _ => String::new(),
        };
    }

    fn listing(&self) -> Option<&Listing> {
        self.inspection.listings.get(self.first)
    }

    /// Whether there is nothing left to choose.
    pub fn is_complete(&self) -> bool {
        self.inspection.data.is_some() && !self.model.is_empty()
    }

    /// What the worker is asked for.
    pub fn request(&self) -> Option<CheckpointRequest> {
        let key = |index: usize| Some(self.inspection.listings.get(index)?.key.clone());
        let model = self.model.trim();
        Some(CheckpointRequest {
            path: self.inspection.reference.path.clone(),
            first: key(self.first)?,
            second: self.second.and_then(key),
            model: (!model.is_empty()).then(|| model.to_owned()),
            data: self.data.trim().to_owned(),
        })
    }
}

/// The form.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let Some(form) = &mut state.checkpoint else { return };
    let palette = theme::palette(ui.ctx());
    theme::caption(ui, "THIS CHECKPOINT");
    let path = &form.inspection.reference.path;
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    ui.add(egui::Label::new(RichText::new(file).strong()).truncate())
        .on_hover_text(path.display().to_string());
    let mut about = vec![form.inspection.format.to_owned()];
    about.extend(
        form.inspection
            .values
            .iter()
            .take(3)
            .map(|(name, value)| format!("{name} = {value}")),
    );
    small(ui, &about.join(" · "), palette.faint);
    entries(ui, form);
    if let Some(listing) = form.listing() {
        let text = format!("{} parameters, {}", listing.parameters, listing.types.join(" and "));
        small(ui, &text, palette.faint);
        for note in &listing.notes {
            small(ui, note, palette.faint);
        }
    }
    model(ui, form);
    let entered = text_row(
        ui,
        "On data",
        &mut form.data,
        [
            "cifar10:DIR",
            "the data to measure it on, such as cifar10:/data/cifar10; options follow with colons: :subset=1000, \
             :test-subset=1000, :classes=0,1, :mean=…, :std=…",
        ],
        |text, ui| examples(text, ui, data::FAMILIES),
    );
    let ready = state.pending.is_none() && !form.data.trim().is_empty();
    if entered && ready {
        commands.push(Command::OpenCheckpoint);
    }
    ui.horizontal(|ui| {
        let white = RichText::new("Open").strong().color(egui::Color32::WHITE);
        let button = Button::new(white)
            .fill(ui.visuals().selection.bg_fill)
            .min_size(egui::vec2(72.0, 28.0));
        if ui
            .add_enabled(ready, button)
            .on_hover_text("read the data and look into the valleys of this network")
            .on_disabled_hover_text(state.pending.unwrap_or("name the data first"))
            .clicked()
        {
            commands.push(Command::OpenCheckpoint);
        }
        if ui
            .add(Button::new("Data folder…").min_size(egui::vec2(0.0, 28.0)))
            .on_hover_text("choose the folder of a data set; its files tell which it is")
            .clicked()
        {
            commands.push(Command::ChooseData);
        }
        if ui
            .add(Button::new("Close").min_size(egui::vec2(0.0, 28.0)))
            .on_hover_text("leave this checkpoint aside")
            .clicked()
        {
            commands.push(Command::CloseCheckpoint);
        }
    });
    ui.add_space(6.0);
    ui.separator();
}

fn small(ui: &mut Ui, text: &str, colour: egui::Color32) {
    ui.add(egui::Label::new(RichText::new(text).small().color(colour)).wrap());
}

fn entry_name(listing: &Listing) -> &str {
    match listing.key.as_str() {
        "" => "the file itself",
        key => key,
    }
}

/// Which state dicts: one to stand at, and another to go to.
fn entries(ui: &mut Ui, form: &mut CheckpointForm) {
    let before = form.first;
    let listings = &form.inspection.listings;
    if listings.len() < 2 {
        return;
    }
    if form.second == Some(form.first) {
        form.second = (0..listings.len()).find(|&index| index != form.first);
    }
    egui::Grid::new("entries")
        .num_columns(2)
        .spacing([8.0, 4.0])
        .show(ui, |ui| {
            ui.label("Stand at");
            let combo = ComboBox::from_id_salt("first entry")
                .width(150.0)
                .selected_text(listings.get(form.first).map_or("", entry_name))
                .show_ui(ui, |ui| {
                    for (index, listing) in listings.iter().enumerate() {
                        ui.selectable_value(&mut form.first, index, entry_name(listing));
                    }
                })
                .response
                .on_hover_text("the solution at position 0");
            name(&combo, "First entry");
            ui.end_row();
            ui.label("Go to");
            let second = form.second.and_then(|index| listings.get(index));
            let combo = ComboBox::from_id_salt("second entry")
                .width(150.0)
                .selected_text(second.map_or("none", entry_name))
                .show_ui(ui, |ui| {
                    ui.selectable_value(&mut form.second, None, "none");
                    for (index, listing) in listings.iter().enumerate().filter(|(index, _)| *index != form.first) {
                        ui.selectable_value(&mut form.second, Some(index), entry_name(listing));
                    }
                })
                .response
                .on_hover_text("the solution at position 1 of the interpolation");
            name(&combo, "Second entry");
            ui.end_row();
        });
    if form.first != before {
        form.choose_model();
    }
}

/// Which network: told by the file where only one fits.
fn model(ui: &mut Ui, form: &mut CheckpointForm) {
    let palette = theme::palette(ui.ctx());
    let fits = form.listing().map_or_else(Vec::new, |listing| listing.fits.clone());
    text_row(
        ui,
        "Network",
        &mut form.model,
        [
            "choose one",
            "the network of the zoo that these entries are; the list beside it has those that fit",
        ],
        |text, ui| {
            for fit in &fits {
                if ui.button(&fit.model).clicked() {
                    text.clone_from(&fit.model);
                    ui.close();
                }
            }
        },
    );
    let text = match fits.as_slice() {
        [] => "no network of the zoo has exactly these entries; name the nearest to see how they differ".to_owned(),
        [only] => {
            let [channels, height, width] = only.input;
            let images = match only.any_size {
                true => format!("{channels}-channel images"),
                false => format!("images of {channels}×{height}×{width}"),
            };
            format!("fits: {images}, {} classes", only.classes)
        }
        several => format!("{} networks fit; choose one", several.len()),
    };
    let colour = if fits.len() == 1 {
        palette.faint
    } else {
        palette.warning
    };
    small(ui, &text, colour);
}
