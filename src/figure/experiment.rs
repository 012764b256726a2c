//! An experiment's outcome as files: figures, tables, and a Markdown page with claim, settings, results and verdict.

use std::fmt::Write as _;
use std::path::Path;

use super::chart::{BLUE, Chart, GREEN, Mark, PURPLE, Series, VERMILION};
use super::pictures;
use super::surface::{self, Style};
use super::table::{table, write_lines};
use crate::error::{Error, Result};
use crate::experiment::outcome::{Content, Figure, Outcome, Table};
use crate::experiment::recipe::Recipe;
use crate::files::whole_file;
use crate::landscape::{Quantity, Scale};

/// Colours of a chart's curves, in their order.
const COLOURS: [[u8; 3]; 6] = [BLUE, VERMILION, GREEN, PURPLE, [230, 159, 0], [90, 90, 90]];
/// Iso-lines of a surface.
const LINES: usize = 12;

/// What it took to make an experiment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Seconds.
    pub seconds: f64,
}

/// Writes an outcome to `folder/NAME/`: figures as PNG and SVG with their numbers as CSV and JSON, `outcome.json`, and the
/// page `README.md`.
///
/// # Errors
/// [`Error::File`], and when nothing of a figure is finite.
pub fn write(folder: &Path, recipe: &Recipe, outcome: &Outcome, cost: Cost) -> Result<()> {
    let folder = folder.join(&recipe.name);
    whole_file::make_folder(&folder)?;
    let text = serde_json::to_string_pretty(outcome)
        .map_err(|error| Error::Request(format!("the outcome could not be encoded: {error}")))?;
    whole_file::write(&folder.join("outcome.json"), text.as_bytes())?;
    whole_file::write(&folder.join("README.md"), page(recipe, outcome, cost).as_bytes())?;
    // Tables before pictures: whatever happens to those, the numbers are there.
    for ending in ["csv", "svg", "png"] {
        for figure in &outcome.figures {
            draw(&folder.join(format!("{}.{ending}", figure.name)), figure)?;
        }
    }
    Ok(())
}

fn draw(path: &Path, figure: &Figure) -> Result<()> {
    match &figure.content {
        Content::Lines { axis, records } => write_lines(path, records, None, || {
            pictures::lines(&figure.title, axis, records, Scale::Automatic)
        }),
        Content::Interpolation { names, record } => write_lines(path, std::slice::from_ref(&**record), None, || {
            pictures::interpolation(names, record, Scale::Automatic)
        }),
        Content::Surface(record) => {
            let style = Style {
                title: figure.title.clone(),
                quantities: vec![Quantity::TrainLoss],
                lines: LINES,
                ..Style::default()
            };
            surface::write(path, record, &style, &mut |_| true)
        }
        Content::Chart { .. } if path.extension().is_some_and(|ending| ending == "csv") => {
            whole_file::write(path, &series_csv(&figure.content)?)
        }
        Content::Chart {
            x_label,
            y_label,
            series,
            marks,
            footnote,
        } => {
            let chart = Chart {
                title: figure.title.clone(),
                x_label: x_label.clone(),
                y_label: y_label.clone(),
                series: series
                    .iter()
                    .enumerate()
                    .map(|(index, one)| Series {
                        label: one.label.clone(),
                        colour: COLOURS[index % COLOURS.len()],
                        points: one.points.clone(),
                        mark_minimum: false,
                        dashed: one.dashed,
                    })
                    .collect(),
                marks: marks
                    .iter()
                    .map(|(position, label)| Mark {
                        position: *position,
                        label: label.clone(),
                    })
                    .collect(),
                footnote: footnote.clone(),
                scale: Scale::Automatic,
            };
            chart.write(path, None)
        }
    }
}

/// CSV of a chart's curves: a row a point, with the name of its curve.
fn series_csv(content: &Content) -> Result<Vec<u8>> {
    let Content::Chart {
        x_label,
        y_label,
        series,
        ..
    } = content
    else {
        return Ok(Vec::new());
    };
    let header = ["curve", x_label, y_label].map(str::to_owned);
    let rows = series.iter().flat_map(|one| {
        one.points
            .iter()
            .map(|(x, y)| vec![one.label.clone(), x.to_string(), y.to_string()])
    });
    table(header, rows)
}

/// The page of an experiment.
fn page(recipe: &Recipe, outcome: &Outcome, cost: Cost) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# {}\n\n{}\n\n**Claim.** {}\n\n**Verdict: {}.** {}\n\n",
        recipe.title,
        recipe.figures.join(" · "),
        recipe.claim,
        outcome.verdict.answer.name(),
        outcome.verdict.measured
    );
    for table in &outcome.tables {
        text += &markdown(table);
    }
    for figure in &outcome.figures {
        let _ = write!(text, "![{}]({}.png)\n\n", figure.title, figure.name);
    }
    if !recipe.published.is_empty() {
        text += &markdown(&Table {
            caption: "What the paper published".to_owned(),
            header: ["what", "value"].map(str::to_owned).to_vec(),
            rows: recipe
                .published
                .iter()
                .map(|published| vec![published.what.clone(), published.value.clone()])
                .collect(),
        });
    }
    text += &markdown(&settings(recipe));
    let _ = writeln!(
        text,
        "Made by valleyscope {} in {:.0} seconds, `valleyscope reproduce {}`.",
        env!("CARGO_PKG_VERSION"),
        cost.seconds,
        recipe.name
    );
    text
}

fn settings(recipe: &Recipe) -> Table {
    let seeds: Vec<String> = recipe.seeds.iter().map(u64::to_string).collect();
    let mut rows = vec![vec!["seeds".to_owned(), seeds.join(", ")]];
    for (name, stage) in &recipe.runs {
        let options = stage.options(recipe.seeds.first().copied().unwrap_or_default());
        let mut words = format!(
            "{} on {}: {} epochs in batches of {}, learning rate {}",
            stage.model, stage.data, options.epochs, options.batch_size, options.learning_rate
        );
        if options.averages() {
            let _ = write!(
                words,
                ", averaged from epoch {} at {}, then {} epochs of SGD at {}",
                options.swa_start, options.swa_learning_rate, options.sgd_epochs, options.sgd_learning_rate
            );
        }
        if let Some(before) = &stage.from {
            let _ = write!(words, ", from the weights of `{before}`");
        }
        if let Some(folder) = &stage.checkpoint {
            let _ = write!(words, ", there already in {}", folder.display());
        }
        rows.push(vec![format!("run `{name}`"), words]);
    }
    Table {
        caption: "Settings".to_owned(),
        header: ["what", "value"].map(str::to_owned).to_vec(),
        rows,
    }
}

fn markdown(table: &Table) -> String {
    let row = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = format!("{}:\n\n", table.caption) + &row(&table.header);
    text += &format!("|{}\n", "---|".repeat(table.header.len()));
    text.extend(table.rows.iter().map(|cells| row(cells)));
    text + "\n"
}

/// The page that puts experiments side by side with what the paper claims and published.
///
/// # Errors
/// [`Error::File`].
pub fn write_index(folder: &Path, made: &[(Recipe, Outcome, Cost)]) -> Result<()> {
    let mut text = "# Asymmetric Valleys, reproduced\n\n".to_owned();
    text +=
        "| experiment | of the paper | verdict | measured here | published | seconds |\n|---|---|---|---|---|--:|\n";
    for (recipe, outcome, cost) in made {
        let published: Vec<String> = recipe
            .published
            .iter()
            .map(|published| format!("{}: {}", published.what, published.value))
            .collect();
        let _ = writeln!(
            text,
            "| [{}]({}/README.md) | {} | {} | {} | {} | {:.0} |",
            recipe.title,
            recipe.name,
            recipe.figures.join(", "),
            outcome.verdict.answer.name(),
            outcome.verdict.measured.replace('|', "\\|"),
            published.join("; ").replace('|', "\\|"),
            cost.seconds
        );
    }
    text += "\n";
    for (recipe, outcome, _) in made {
        if let Some(figure) = outcome.figures.first() {
            let _ = write!(text, "![{}]({}/{}.png)\n\n", recipe.title, recipe.name, figure.name);
        }
    }
    whole_file::write(&folder.join("README.md"), text.as_bytes())
}
