//! Sharpness and non-uniformity along the run that is open (Wu, Ma and E, 2018), beside what SGD's stability allows at
//! every epoch: measured from coarse to fine while the tab is looked at, and scrubbed through as the timeline is.

mod asked;
mod chart;
mod form;
mod series;

use egui::{CentralPanel, Label, Panel, RichText, ScrollArea, Ui};
use egui_plot::LineStyle;

pub use self::asked::AlongRun;
use self::chart::{Across, Bound, Chart};
use self::series::{Series, told};
use super::form::WIDTH;
use crate::app::command::Command;
use crate::app::state::State;
use crate::app::theme;
use crate::curvature::along_run::Allowed;
use crate::engine::AlongRunView;
use crate::training::{EpochMetrics, TrainingOptions};

/// Shares of the height that the plots of a, of s and of the loss have, with the second and without.
const HEIGHTS: [[f32; 3]; 2] = [[0.44, 0.34, 0.22], [0.76, 0.0, 0.24]];
/// Lowest plots together, in points.
const LOWEST: f32 = 300.0;

/// The tab: what is asked on the left, and the curves.
pub fn show(ui: &mut Ui, state: &mut State, commands: &mut Vec<Command>) {
    let context = ui.ctx().clone();
    Panel::left("along run form")
        .exact_size(WIDTH)
        .frame(theme::panel_frame(&context))
        .show(ui, |ui| {
            ScrollArea::vertical().show(ui, |ui| form::show(ui, state, commands));
        });
    CentralPanel::default()
        .frame(theme::stage_frame(&context))
        .show(ui, |ui| curves(ui, state, commands));
}

/// The plots below each other.
fn curves(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let view = state.along_run_view().filter(|view| !view.epochs.is_empty());
    let (Some(view), Some(run)) = (view, &state.run) else {
        waiting(ui, state);
        return;
    };
    let estimates = view.request.uniformity.is_some();
    let what = match estimates {
        true => "Sharpness and non-uniformity along the run",
        false => "Sharpness along the run",
    };
    ui.add(Label::new(RichText::new(what).heading()).wrap());
    let [images, all] = view.images;
    let made = format!(
        "{} parameters · {images} of {all} training images · bn {}",
        run.parameters, view.request.policy
    );
    let faint = theme::palette(ui.ctx()).faint;
    ui.label(RichText::new(made).small().color(faint));
    ui.add_space(2.0);
    let options = &run.record.options;
    let charts = charts(ui, &view, options, &run.metrics);
    let allowed = Allowed { options, samples: all };
    let across = Across {
        last: options.total_epochs().max(state.last_epoch()),
        now: state.epoch(),
    };
    let told = |epoch: usize| told(&view, allowed, &run.metrics, epoch);
    for chart in &charts {
        if let Some(epoch) = chart::show(ui, chart, across, told) {
            commands.push(Command::GoToEpoch(epoch));
        }
    }
}

/// What stands where no epoch is measured.
fn waiting(ui: &mut Ui, state: &State) {
    let faint = theme::palette(ui.ctx()).faint;
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.35);
        let failed = state.along_run_view().is_some_and(|view| view.problem.is_some());
        let text = match (state.is_measuring_along_run(), failed) {
            (_, true) => "nothing could be measured; what to do is said on the left",
            (true, false) => {
                ui.spinner();
                "the first epoch …"
            }
            (false, false) => "nothing is being measured: press Start",
        };
        ui.label(RichText::new(text).color(faint));
    });
}

/// What is drawn: a, then s where it is asked for, then the train loss where there is one, in the height there is.
fn charts<'a>(
    ui: &Ui,
    view: &'a AlongRunView,
    options: &TrainingOptions,
    metrics: &'a [EpochMetrics],
) -> Vec<Chart<'a>> {
    let palette = theme::palette(ui.ctx());
    let allowed = Allowed {
        options,
        samples: view.images[1],
    };
    let last = options.total_epochs();
    let bound = |name: &'static str, line: Vec<[f64; 2]>, index: usize| Bound {
        name,
        points: line,
        colour: palette.answers[index],
        style: [LineStyle::dashed_loose(), LineStyle::dashed_dense()][index],
    };
    let sharpness = [
        bound("2/η", allowed.line(last, Allowed::sharpness), 0),
        bound("2(1 + μ)/η", allowed.line(last, Allowed::heavy_ball), 1),
    ];
    let most = allowed.line(last, Allowed::non_uniformity);
    let non_uniformity = [bound("(1/η)√(B(n − 1)/(n − B))", most, 0)];
    let there = |bounds: Vec<Bound>| -> Vec<Bound> {
        let bounds = bounds.into_iter();
        bounds.filter(|bound| !bound.points.is_empty()).collect()
    };
    let chart = |name: &'static str, axis: &'static str, legend: &'static str, series: Series<'a>| Chart {
        name,
        axis,
        legend,
        colour: palette.train,
        series,
        bounds: Vec::new(),
        height: 0.0,
        is_lowest: false,
    };
    let a = Chart {
        bounds: there(sharpness.into()),
        ..chart(
            "Sharpness by epoch",
            "sharpness a",
            "a = λ_max(H)",
            Series::sharpness(view),
        )
    };
    let s = Chart {
        colour: palette.test,
        bounds: there(non_uniformity.into()),
        ..chart(
            "Non-uniformity by epoch",
            "non-uniformity s",
            "s = λ_max(Σ)^½",
            Series::non_uniformity(view),
        )
    };
    let loss = Chart {
        colour: palette.faint,
        ..chart("Train loss by epoch", "train loss", "train loss", Series::loss(metrics))
    };
    let estimates = view.request.uniformity.is_some();
    let shown = [true, estimates, !metrics.is_empty()];
    let mut charts: Vec<Chart> = [a, s, loss]
        .into_iter()
        .zip(HEIGHTS[usize::from(!estimates)])
        .zip(shown)
        .filter(|(_, shown)| *shown)
        .map(|((chart, height), _)| Chart { height, ..chart })
        .collect();
    let gaps = charts.len() as f32 * ui.spacing().item_spacing.y;
    let room = (ui.available_height() - gaps).max(LOWEST);
    let shares: f32 = charts.iter().map(|chart| chart.height).sum();
    for chart in &mut charts {
        chart.height *= room / shares;
    }
    if let Some(lowest) = charts.last_mut() {
        lowest.is_lowest = true;
    }
    charts
}
