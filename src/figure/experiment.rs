//! An experiment's outcome as files: figures, tables, and a Markdown page with claim, settings, results and verdict.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;

use super::chart::{BLUE, Chart, GREEN, GREY, Mark, ORANGE, PURPLE, Series, VERMILION};
use super::heat_map::{MapPicture, encode_png};
use super::pictures;
use super::surface::{self, Style};
use super::table::{table, write_lines};
use crate::error::{Error, Result};
use crate::experiment::cost::Cost;
pub use crate::experiment::outcome::THUMBNAIL;
use crate::experiment::outcome::{Content, Figure, Made, Map, Outcome, Table};
use crate::experiment::recipe::{Recipe, papers};
use crate::files::whole_file;
use crate::landscape::curve::loss_range;
use crate::landscape::line::positions;
use crate::landscape::{Quantity, Scale};

/// Colours of a chart's curves, in their order.
const COLOURS: [[u8; 3]; 6] = [BLUE, VERMILION, GREEN, PURPLE, ORANGE, GREY];
/// File of the recipe beside its outcome.
const RECIPE: &str = "recipe.toml";
/// Width of a thumbnail in pixels.
const THUMBNAIL_WIDTH: u32 = 320;
/// Size of a picture's file, at most.
const MOST_BYTES: u64 = 1 << 26;
/// Iso-lines of a surface.
pub const LINES: usize = 12;

/// Writes an outcome to `folder/NAME/`: figures as PNG and SVG with their numbers as CSV and JSON, the recipe,
/// `outcome.json` and the page `README.md`; and `folder/README.md` anew, which is of all that is made there.
///
/// # Errors
/// [`Error::File`], and when a picture cannot be drawn.
pub fn write(folder: &Path, recipe: &Recipe, made: &Made) -> Result<()> {
    let Made { outcome, cost, .. } = made;
    let own = folder.join(&recipe.name);
    whole_file::make_folder(&own)?;
    whole_file::write(&own.join(RECIPE), recipe.text.as_bytes())?;
    whole_file::write(&own.join("README.md"), page(recipe, outcome, *cost).as_bytes())?;
    // Tables before pictures: whatever happens to those, the numbers are there.
    for ending in ["csv", "svg", "png"] {
        for figure in &outcome.figures {
            if ending == "csv" || !is_empty(figure) {
                draw(&own.join(format!("{}.{ending}", figure.name)), figure)?;
            }
        }
    }
    if let Some(first) = outcome.figures.iter().find(|figure| !is_empty(figure)) {
        thumbnail(&own.join(format!("{}.png", first.name)), &own.join(THUMBNAIL))?;
    }
    // Last, since what has an outcome is made.
    made.write(folder, recipe)?;
    write_index(folder)
}

/// Whether nothing of a figure is finite, so that there is nothing to draw.
fn is_empty(figure: &Figure) -> bool {
    match &figure.content {
        Content::Lines { records, .. } => loss_range(records.iter().map(|record| &record.curve)).is_none(),
        Content::Interpolation { record, .. } => loss_range([&record.curve]).is_none(),
        Content::Surface(record) => record.grid.minimum(Quantity::TrainLoss).is_none(),
        Content::Map(map) => map.field().and_then(|field| field.range()).is_none(),
        Content::Chart { series, .. } => {
            let mut points = series.iter().flat_map(|one| &one.points);
            !points.any(|(x, y)| x.is_finite() && y.is_finite())
        }
    }
}

/// A picture in small, for lists.
fn thumbnail(from: &Path, to: &Path) -> Result<()> {
    let bytes = whole_file::read(from, MOST_BYTES)?;
    let failed =
        |error: image::ImageError| Error::file_reason(from, format!("this picture is not understood: {error}"));
    let picture = image::load_from_memory(&bytes).map_err(failed)?;
    let small = picture
        .resize(THUMBNAIL_WIDTH, u32::MAX, FilterType::Triangle)
        .to_rgb8();
    let size = small.dimensions();
    whole_file::write(to, &encode_png(small.into_raw(), size)?)
}

fn draw(path: &Path, figure: &Figure) -> Result<()> {
    let drawn = || chart(figure).unwrap_or_default();
    let is_table = path.extension().is_some_and(|ending| ending == "csv");
    match &figure.content {
        Content::Lines { records, .. } => write_lines(path, records, None, drawn),
        Content::Interpolation { record, .. } => write_lines(path, std::slice::from_ref(&**record), None, drawn),
        Content::Surface(record) => {
            let style = Style {
                title: figure.title.clone(),
                quantities: vec![Quantity::TrainLoss],
                lines: LINES,
                ..Style::default()
            };
            surface::write(path, record, &style, &mut |_| true)
        }
        Content::Map(map) if is_table => whole_file::write(path, &map_csv(map)?),
        Content::Map(map) => {
            let (title, lines) = (figure.title.as_str(), LINES);
            MapPicture { title, map, lines }.write(path)
        }
        Content::Chart { .. } if is_table => whole_file::write(path, &series_csv(&figure.content)?),
        Content::Chart { .. } => drawn().write(path, None),
    }
}

/// The chart that a figure of curves is drawn as; none for a surface and a map.
pub fn chart(figure: &Figure) -> Option<Chart> {
    match &figure.content {
        Content::Lines { axis, records } => Some(pictures::lines(&figure.title, axis, records, Scale::Automatic)),
        Content::Interpolation { names, record } => Some(pictures::interpolation(names, record, Scale::Automatic)),
        Content::Surface(_) | Content::Map(_) => None,
        Content::Chart {
            x_label,
            y_label,
            series,
            marks,
            footnote,
        } => Some(Chart {
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
        }),
    }
}

/// CSV of a chart's curves: a row a point, with the name of its curve. What only parts points is left out.
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
            .filter(|(x, _)| x.is_finite())
            .map(|(x, y)| vec![one.label.clone(), x.to_string(), y.to_string()])
    });
    table(header, rows)
}

/// CSV of a map: a row a point of its ways, with the name of its way, and after them a row a node with the loss there.
fn map_csv(map: &Map) -> Result<Vec<u8>> {
    let [across, up] = &map.axes;
    let header = ["curve", across, up, Quantity::TrainLoss.name()].map(str::to_owned);
    let row = |label: &str, [a, b]: [f64; 2], loss: String| vec![label.to_owned(), a.to_string(), b.to_string(), loss];
    let ways = map.ways.iter().flat_map(|way| {
        let points = way.points.iter();
        points.map(move |&point| row(&way.label, point, String::new()))
    });
    let field = map.field().unwrap_or_default();
    let first = positions(field.first.0, field.first.1, field.columns);
    let second = positions(field.second.0, field.second.1, field.rows);
    let nodes = second.iter().flat_map(|&b| first.iter().map(move |&a| [a, b]));
    let nodes = nodes.zip(&field.values);
    let nodes = nodes.map(|(position, loss)| row("surface", position, loss.to_string()));
    table(header, ways.chain(nodes))
}

/// The page of an experiment.
fn page(recipe: &Recipe, outcome: &Outcome, cost: Cost) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# {}\n\n*{}*: {}\n\n**Claim.** {}\n\n**Verdict: {}.** {}\n\n",
        recipe.title,
        recipe.paper,
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
        "Made by valleyscope {}, `valleyscope reproduce {}`: {:.1} seconds of training, {:.1} of measuring{}.",
        env!("CARGO_PKG_VERSION"),
        recipe.name,
        cost.training,
        cost.measuring,
        cost.memory
            .map_or(String::new(), |bytes| format!(", {} MiB at most", mebibytes(bytes)))
    );
    text
}

/// What a recipe trains and with which seeds, a row a run; and what it trains as it measures.
pub fn settings(recipe: &Recipe) -> Table {
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
        if let Some(epoch) = stage.from_epoch {
            let _ = write!(words, " after epoch {epoch}");
        }
        if let Some(folder) = &stage.checkpoint {
            let _ = write!(words, ", there already in {}", folder.display());
        }
        rows.push(vec![format!("run `{name}`"), words]);
    }
    rows.extend(recipe.measure.experiment().settings().into_iter().map(Vec::from));
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

/// The page that puts all that is made in a folder side by side with what the papers published, `README.md`, paper by
/// paper, and what each took, `costs.csv`.
fn write_index(folder: &Path) -> Result<()> {
    let made = &made_in(folder)?;
    whole_file::write(&folder.join("costs.csv"), &costs_csv(made)?)?;
    let mut text = "# Experiments, made anew\n\n".to_owned();
    for paper in papers(made.iter().map(|(recipe, _)| recipe)) {
        let of: Vec<&(Recipe, Made)> = made.iter().filter(|(recipe, _)| recipe.paper == paper).collect();
        text += &format!("## {paper}\n\n{}", markdown(&overview(&of)));
        for (recipe, made) in of {
            text += &side_by_side(recipe, &made.outcome);
        }
    }
    whole_file::write(&folder.join("README.md"), text.as_bytes())
}

/// What is made in a folder: the program's experiments, and after them others by name, each by the recipe that is kept
/// beside it.
fn made_in(folder: &Path) -> Result<Vec<(Recipe, Made)>> {
    let mut recipes = Recipe::built_in()?;
    let known: Vec<String> = recipes.iter().map(|recipe| recipe.name.clone()).collect();
    let entries = std::fs::read_dir(folder).map_err(|error| Error::file(folder, "read this folder", &error))?;
    let mut others: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path().join(RECIPE)))
        .filter(|path| path.exists())
        .collect();
    others.sort();
    // What is not understood any more is left out.
    let others = others.iter().filter_map(|path| {
        let text = String::from_utf8(whole_file::read(path, MOST_BYTES).ok()?).ok()?;
        Recipe::parse(&text, path)
            .ok()
            .filter(|recipe| !known.contains(&recipe.name))
    });
    recipes.extend(others);
    Ok(recipes
        .into_iter()
        .filter_map(|recipe| {
            let made = Made::read(folder, &recipe).ok()?;
            Some((recipe, made))
        })
        .collect())
}

/// The experiments of one paper.
fn overview(made: &[&(Recipe, Made)]) -> Table {
    let rows = made
        .iter()
        .map(|(recipe, Made { outcome, cost, .. })| {
            let [training, measuring] = [cost.training, cost.measuring].map(|seconds| format!("{seconds:.1}"));
            vec![
                format!("[{}]({}/README.md)", recipe.title, recipe.name),
                recipe.figures.join(", "),
                outcome.verdict.answer.name().to_owned(),
                training,
                measuring,
                cost.memory.map_or(String::new(), mebibytes),
            ]
        })
        .collect();
    Table {
        caption: "Each with what it takes from nothing; runs that several share are counted with each, and memory is \
                  the largest that was resident"
            .to_owned(),
        header: [
            "experiment",
            "of the paper",
            "verdict",
            "training (s)",
            "measuring (s)",
            "memory (MiB)",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows,
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / f64::from(1 << 20))
}

/// What each experiment took, a row each: seconds and bytes.
fn costs_csv(made: &[(Recipe, Made)]) -> Result<Vec<u8>> {
    let header = ["experiment", "training_seconds", "measuring_seconds", "memory_bytes"].map(str::to_owned);
    let rows = made.iter().map(|(recipe, Made { cost, .. })| {
        vec![
            recipe.name.clone(),
            format!("{:.3}", cost.training),
            format!("{:.3}", cost.measuring),
            cost.memory.map_or(String::new(), |bytes| bytes.to_string()),
        ]
    });
    table(header, rows)
}

/// Our figure and numbers on the left, what the paper claims and published on the right.
fn side_by_side(recipe: &Recipe, outcome: &Outcome) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let figure = outcome.figures.first().map_or(String::new(), |figure| {
        format!("![{}]({}/{}.png)<br>", cell(&figure.title), recipe.name, figure.name)
    });
    let published: String = recipe
        .published
        .iter()
        .map(|published| format!("<br>• {}: {}", cell(&published.what), cell(&published.value)))
        .collect();
    format!(
        "### {}\n\n| measured here: {} | {} |\n|---|---|\n| {figure}{} | {}{published} |\n\n",
        recipe.title,
        outcome.verdict.answer.name(),
        recipe.figures.join(", "),
        cell(&outcome.verdict.measured),
        cell(&recipe.claim),
    )
}
