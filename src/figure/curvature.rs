//! The curvature at a point as files: the spectral density as a chart, the density or the eigenvalues as a table, and
//! the whole record as JSON.

use std::path::Path;

use super::chart::{BLUE, Chart, Mark, Series, number};
use super::table::{refuse_files_of_a_run, table};
use crate::curvature::CurvatureRecord;
use crate::curvature::record::SpectralDensity;
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::Scale;

/// A density is drawn down to this share of what one eigenvalue of all adds to it: below is the tail of a bell.
const LOWEST: f64 = 1e-3;

/// Endings of the files that [`write`] makes.
pub const ENDINGS: [&str; 4] = ["json", "csv", "png", "svg"];
/// Endings of pictures, which show the spectral density.
pub const PICTURES: [&str; 2] = ["png", "svg"];

/// Writes a record as its file's ending says: JSON with everything; CSV with the spectral density or, without one, the
/// eigenvalues; PNG or SVG of `size` pixels with the spectral density. Beside a table or a picture lies the JSON file.
///
/// # Errors
/// [`Error::File`], also for the names of a run folder's own files; [`Error::Request`] where there is no density to
/// draw or it has a size that cannot be drawn.
pub fn write(path: &Path, record: &CurvatureRecord, size: Option<(u32, u32)>) -> Result<()> {
    refuse_files_of_a_run(path)?;
    whole_file::write(&path.with_extension("json"), json(record)?.as_bytes())?;
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => Ok(()),
        Some("csv") => whole_file::write(path, &csv(record)?),
        _ => density_chart(record)?.write(path, size),
    }
}

fn json(record: &CurvatureRecord) -> Result<String> {
    serde_json::to_string_pretty(record)
        .map_err(|error| Error::Request(format!("the record could not be encoded: {error}")))
}

/// The spectral density, or without one the eigenvalues.
fn csv(record: &CurvatureRecord) -> Result<Vec<u8>> {
    let header = |names: [&str; 3]| names.map(str::to_owned);
    let Some(SpectralDensity { smoothed, .. }) = &record.density else {
        let ends = [
            ("largest", &record.spectrum.largest),
            ("smallest", &record.spectrum.smallest),
        ];
        let rows = ends.into_iter().flat_map(|(end, pairs)| {
            pairs
                .iter()
                .map(move |pair| vec![end.to_owned(), pair.value.to_string(), pair.residual.to_string()])
        });
        return table(header(["end", "eigenvalue", "residual"]), rows);
    };
    let rows = smoothed.grid.iter().enumerate().map(|(index, position)| {
        let error = smoothed.standard_error.as_ref().map(|errors| errors[index].to_string());
        vec![
            position.to_string(),
            smoothed.density[index].to_string(),
            error.unwrap_or_default(),
        ]
    });
    table(header(["eigenvalue", "density", "standard_error"]), rows)
}

/// The spectral density, by its logarithm: most eigenvalues are near 0, and the few that are not would not be seen
/// beside them.
fn density_chart(record: &CurvatureRecord) -> Result<Chart> {
    let Some(SpectralDensity {
        vectors,
        steps,
        smoothed,
    }) = &record.density
    else {
        return Err(Error::Request(
            "a picture shows the spectral density; ask for one with --density".to_owned(),
        ));
    };
    let one = 1.0 / (record.parameters as f64 * smoothed.width * std::f64::consts::TAU.sqrt());
    let points: Vec<(f64, f64)> = smoothed
        .grid
        .iter()
        .zip(&smoothed.density)
        .map(|(&position, &height)| (position, height))
        .collect();
    // Where there is nothing, a line down to it and up again would look like a density.
    let mut series: Vec<Series> = points
        .split(|(_, height)| *height < LOWEST * one)
        .filter(|stretch| !stretch.is_empty())
        .map(|stretch| Series {
            colour: BLUE,
            points: stretch.to_vec(),
            ..Series::default()
        })
        .collect();
    if let Some(first) = series.first_mut() {
        first.label = format!("{vectors} random vectors, {steps} Lanczos steps each");
    }
    let sharpest = record.spectrum.largest.first();
    let (matrix, symbol, part) = (record.matrix.name(), record.matrix.symbol(), record.part.name());
    Ok(Chart {
        title: format!("Eigenvalues of the {matrix} of the {part} loss"),
        x_label: format!("eigenvalue λ of {symbol}"),
        y_label: format!("density, smoothed with σ = {}", number(smoothed.width)),
        series,
        marks: sharpest
            .map(|pair| Mark {
                position: pair.value,
                label: format!("largest {}", number(pair.value)),
            })
            .into_iter()
            .collect(),
        footnote: record.provenance.footnote(),
        scale: Scale::Logarithmic,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curvature::record::{Eigenvalue, Ends};
    use crate::curvature::{Density, Matrix};
    use crate::data::Part;
    use crate::landscape::Provenance;

    /// A record of two bells with nothing between them.
    fn record() -> CurvatureRecord {
        let grid: Vec<f64> = (0..200).map(|index| f64::from(index) * 0.1).collect();
        let bell = |position: f64, mean: f64| (-0.5 * ((position - mean) / 0.2).powi(2)).exp() / 0.5;
        let height = |position: &f64| 0.99 * bell(*position, 3.0) + 0.01 * bell(*position, 17.0);
        CurvatureRecord {
            provenance: Provenance::default(),
            matrix: Matrix::Hessian,
            part: Part::Train,
            samples: 100,
            parameters: 100,
            seed: 1,
            loss: 0.5,
            spectrum: Ends {
                largest: vec![Eigenvalue {
                    value: 17.0,
                    residual: 0.25,
                    estimate: 0.2,
                }],
                smallest: Vec::new(),
                products: 10,
                tolerance: 1e-3,
                converged: true,
                complete: true,
            },
            trace: None,
            density: Some(SpectralDensity {
                vectors: 2,
                steps: 10,
                smoothed: Density {
                    density: grid.iter().map(height).collect(),
                    standard_error: None,
                    width: 0.2,
                    grid,
                },
            }),
            covariances: Vec::new(),
            non_uniformity: None,
            stability: None,
        }
    }

    #[test]
    fn what_lies_apart_is_drawn_apart_and_named_once() {
        let chart = density_chart(&record()).unwrap();
        assert_eq!(chart.series.len(), 2);
        let [first, second] = [0, 1].map(|index| &chart.series[index]);
        assert!(!first.label.is_empty() && second.label.is_empty());
        assert!(
            first.points.iter().all(|(x, y)| *x < 6.0 && *y > 0.0),
            "{:?}",
            first.points
        );
        assert!(second.points.iter().all(|(x, _)| *x > 14.0), "{:?}", second.points);
        assert_eq!(chart.marks[0].position, 17.0);
        let svg = chart.svg((640, 400)).unwrap();
        assert_eq!(svg.matches("random vectors").count(), 1);
    }

    #[test]
    fn a_table_has_the_density_or_else_the_eigenvalues() {
        let mut record = record();
        let text = |record: &CurvatureRecord| String::from_utf8(csv(record).unwrap()).unwrap();
        let density = text(&record);
        assert!(
            density.starts_with("eigenvalue,density,standard_error\n0,"),
            "{density}"
        );
        assert_eq!(density.lines().count(), 201);
        record.density = None;
        assert_eq!(text(&record), "end,eigenvalue,residual\nlargest,17,0.25\n");
        let message = density_chart(&record).unwrap_err().to_string();
        assert!(message.contains("--density"), "{message}");
    }
}
