//! What the export dialog asks for, as work for another thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Exported;
use crate::app::look::Picture;
use crate::app::state::{State, WRITING};
use crate::app::surface::look::{colourings, shared_scale};
use crate::data::Progress;
use crate::engine::{Request, SaveRequest, View};
use crate::error::Result;
use crate::experiment::recipe::Recipe;
use crate::figure::surface::{self, Style};
use crate::figure::{pictures, table};
use crate::landscape::{Heights, LineRecord};
use crate::render::Artist;

/// Writes one file, and says how far it is.
pub type Writer = Box<dyn FnOnce(&Path, Progress) -> Result<()> + Send>;

/// What a command asks of the worker.
pub enum Effect {
    /// A request.
    Send(Request),
    /// A file to write, off the window's thread.
    Write(PathBuf, Writer),
    /// Reading and writing are to stop.
    Stop,
    /// Outcomes of experiments to read from a folder.
    Outcomes(Vec<Recipe>, PathBuf),
    /// Experiments whose cost is wanted, with what a folder has already.
    Estimate(Vec<Recipe>, PathBuf),
    /// An experiment to make in a folder.
    Experiment(Box<Recipe>, PathBuf),
    /// The experiment is to stop.
    StopExperiment,
}

/// Writes what the dialog says.
pub fn export(state: &mut State) -> Vec<Effect> {
    let path = PathBuf::from(state.export.path.trim());
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let endings = state.export.what.endings();
    if !endings.contains(&ending) {
        let text = format!("the file name must end in .{}", endings.join(", ."));
        state.notice(text, true);
        return Vec::new();
    }
    if ending == "safetensors" {
        return save_point(state, path);
    }
    let write = match state.export.what {
        Exported::Curves => curves(state),
        Exported::Map | Exported::Relief => surface(state),
        Exported::Training => training(state),
    };
    let Some(write) = write else { return Vec::new() };
    state.export.open = false;
    vec![Effect::Write(path, write)]
}

/// Asks the worker, which has the vectors, to write the marked point.
fn save_point(state: &mut State, path: PathBuf) -> Vec<Effect> {
    // What is looked at, not what is on the stage: a slice on its way there is of another point.
    let Some(mut slice) = state.looked_at() else {
        state.notice("there is no point yet: train or open a run", true);
        return Vec::new();
    };
    let mut position = state.look.position;
    if state.look.picture == Picture::Plane {
        let turn = state
            .surface
            .as_ref()
            .and_then(|view| view.turn(state.look.surface.mark));
        let Some((turn, length)) = turn else {
            state.notice("the plane is not there yet; wait for the map", true);
            return Vec::new();
        };
        (slice.view, position) = (View::Direction(turn), length);
    }
    slice.surface = None;
    state.export.open = false;
    state.pending = Some(WRITING);
    let request = SaveRequest { slice, position, path };
    vec![Effect::Send(Request::Save(Box::new(request)))]
}

fn curves(state: &mut State) -> Option<Writer> {
    let Some(slice) = state.slice.clone() else {
        state.notice("there is no curve yet: train or open a run", true);
        return None;
    };
    let records: Vec<LineRecord> = slice.lines.iter().map(|line| line.record.clone()).collect();
    let view = slice.request.view;
    let (scale, names, size) = (state.scale, state.names().map(str::to_owned), state.export.size);
    Some(Box::new(move |path, _| {
        let chart = || {
            if view == View::Interpolation {
                return pictures::interpolation(&names, &records[0], scale);
            }
            let labels: Vec<&str> = records.iter().map(|record| record.label.as_str()).collect();
            let title = format!("Loss along {}", labels.join(" and "));
            let axis = match view {
                View::Marginals(_) => pictures::PLANE_AXIS,
                _ => pictures::ray_axis(view.normalisation()),
            };
            pictures::lines(&title, axis, &records, scale)
        };
        table::write_lines(path, &records, size, chart)
    }))
}

fn training(state: &mut State) -> Option<Writer> {
    let Some(run) = state.run.clone() else {
        state.notice("there is no training curve yet: train or open a run", true);
        return None;
    };
    let size = state.export.size;
    Some(Box::new(move |path, _| {
        table::write_training(path, &run.record, &run.metrics, size)
    }))
}

/// The surface with the colours and from the side that it is looked at.
fn surface(state: &mut State) -> Option<Writer> {
    let Some(view) = state.surface.clone() else {
        state.notice("there is no surface yet; wait for the map", true);
        return None;
    };
    let look = &state.look.surface;
    let quantities = look.shown.quantities();
    let scale = shared_scale(&view, look.shown, state.scale);
    let heights: Vec<Arc<Heights>> = quantities
        .iter()
        .filter_map(|&quantity| view.field(quantity))
        .map(|field| Arc::new(field.heights(scale)))
        .collect();
    let range = colourings(look, &heights).first().map(|colouring| colouring.range);
    let relief = (state.export.what == Exported::Relief)
        .then(|| state.graphics.clone())
        .flatten()
        .map(|(device, queue)| Artist {
            device,
            queue,
            camera: look.camera,
            height: look.height,
        });
    let style = Style {
        title: view.record.label.clone(),
        quantities,
        map: look.map,
        range,
        lines: look.lines,
        offset: look.offset,
        scale,
        size: state.export.size,
        relief: relief.map(|artist| Arc::new(artist) as _),
    };
    Some(Box::new(move |path, progress| {
        surface::write(path, &view.record, &style, progress)
    }))
}
