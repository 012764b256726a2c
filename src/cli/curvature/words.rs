//! What `curvature` says of what it measured.

use std::fmt::Write as _;

use crate::curvature::record::{Eigenvalue, GradientCovariance, MeasuredNonUniformity, SgdBounds, SpectralDensity};
use crate::curvature::{CurvatureRecord, Estimate, Matrix, Ritz};

/// Eigenvalues of a covariance shown.
const SHOWN: usize = 5;
/// Letters before what is said.
const MARGIN: usize = 16;

/// Where it is measured.
pub(super) fn point(record: &CurvatureRecord) -> String {
    let provenance = &record.provenance;
    let (from, model, count) = (&provenance.origin, &provenance.model, record.parameters);
    let (loss, images, part) = (shown(record.loss), record.samples, record.part.name());
    let (data, policy) = (&provenance.data, provenance.batch_norm);
    let point = line("point", &format!("{from} ({model}, {count} parameters)"));
    let over = format!("{loss} over {images} {part} images of {data}, bn {policy}");
    format!("{point}\n{}", line("loss", &over))
}

/// What is said, behind what it is of.
pub(super) fn line(what: &str, text: &str) -> String {
    format!("{what:<MARGIN$}{text}")
}

/// The ends of the spectrum.
pub(super) fn spectrum(record: &CurvatureRecord) -> String {
    let (ends, symbol) = (&record.spectrum, record.matrix.symbol());
    let mut text = line(record.matrix.name(), &format!("{} products", ends.products));
    for (end, values) in [("largest", &ends.largest), ("smallest", &ends.smallest)] {
        if !values.is_empty() {
            table(&mut text, end, values);
        }
    }
    let wanted = format!("‖{symbol}v − λv‖ ≤ {:e}·|λ| of the largest", ends.tolerance);
    let mut say = |what: &str, more: &str| {
        text.push('\n');
        text += &line(what, more);
    };
    if ends.converged {
        say("found", &format!("to {wanted}"));
    } else {
        say("not found", &format!("to {wanted}; give more --steps"));
        say("", "an eigenvalue lies within each residual, but others may be missing");
    }
    if ends.converged && !ends.complete {
        say("", "copies of a multiple eigenvalue were not looked for (--copies)");
    }
    if let Some(Eigenvalue { value, residual, .. }) = ends.largest.first() {
        say("sharpness", &format!("a = {} ± {residual:.1e}", shown(*value)));
    }
    text
}

fn table(text: &mut String, end: &str, values: &[Eigenvalue]) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\n{end:>8}      eigenvalue   residual");
    for (index, pair) in values.iter().enumerate() {
        let (number, value) = (index + 1, shown(pair.value));
        let _ = write!(text, "\n{number:>8}  {value:>14}   {:>8.1e}", pair.residual);
    }
}

/// What is known of the eigenvalues of a search that was stopped.
pub(super) fn unfinished(ritz: &Ritz, matrix: Matrix) -> String {
    let mut text = format!(
        "stopped after {} products with the {}; so far, with estimated residuals:",
        ritz.steps,
        matrix.name()
    );
    for (end, values) in [("largest", &ritz.largest), ("smallest", &ritz.smallest)] {
        let known: Vec<Eigenvalue> = values
            .iter()
            .map(|pair| Eigenvalue {
                value: pair.value,
                residual: pair.residual,
                estimate: pair.residual,
            })
            .collect();
        if !known.is_empty() {
            table(&mut text, end, &known);
        }
    }
    text
}

/// The trace, and with it the mean eigenvalue.
pub(super) fn trace(record: &CurvatureRecord, trace: Estimate) -> String {
    let symbol = record.matrix.symbol();
    let mean = shown(trace.mean / record.parameters as f64);
    let (vectors, trace) = (trace.samples, with_error(trace));
    let text = format!("tr {symbol} = {trace} from {vectors} random vectors; the mean eigenvalue is {mean}");
    line("trace", &text)
}

/// How the spectral density was found.
pub(super) fn density(density: &SpectralDensity) -> String {
    let SpectralDensity {
        vectors,
        steps,
        smoothed,
    } = density;
    let ends = [smoothed.grid.first(), smoothed.grid.last()].map(|end| end.copied().unwrap_or_default());
    let ([from, to], width) = (ends.map(shown), shown(smoothed.width));
    let how = format!("{vectors} random vectors, {steps} Lanczos steps each");
    let text = format!("{how}; λ from {from} to {to}, smoothed with σ = {width}");
    line("density", &text)
}

/// The covariance of gradients.
pub(super) fn covariance(covariance: &GradientCovariance) -> String {
    let gradients = match covariance.batch_size {
        1 => format!("{} images' gradients", covariance.gradients),
        size => format!("{} gradients of {size} images each", covariance.gradients),
    };
    let leading: Vec<String> = covariance
        .eigenvalues
        .iter()
        .take(SHOWN)
        .map(|&value| shown(value))
        .collect();
    let is_cut = covariance.eigenvalues.len() > SHOWN;
    let more = if is_cut { ", …" } else { "" };
    let (trace, length) = (shown(covariance.trace), shown(covariance.mean_length));
    let leading = leading.join(", ");
    let text =
        format!("tr Σ = {trace} of {gradients}, their mean's length {length}; largest eigenvalues {leading}{more}");
    line("covariance", &text)
}

/// The non-uniformity.
pub(super) fn non_uniformity(spread: &MeasuredNonUniformity) -> String {
    let MeasuredNonUniformity { measured, images } = spread;
    let how = match measured.squared.samples {
        1 => format!("from all {images} images"),
        sets => format!("from {sets} sets of {images} images; of so few it is too large on average"),
    };
    let error = measured
        .standard_error
        .map_or(String::new(), |error| format!(" ± {}", shown(error)));
    let settled = match measured.converged {
        true => "",
        false => " (its eigenvalue was not found to --tolerance)",
    };
    let value = shown(measured.value);
    line("non-uniformity", &format!("s = {value}{error} {how}{settled}"))
}

/// What the bounds say of SGD.
pub(super) fn stability(bounds: &SgdBounds) -> String {
    let SgdBounds {
        learning_rate,
        batch_size,
        samples,
        ..
    } = bounds;
    let (within, most) = (bounds.sharpness_within, bounds.sharpness_bound);
    let sharpness = compared("a", bounds.sharpness, "2/η", most, within);
    let bound = "(1/η)·√(B(n − 1)/(n − B))";
    let spread = match (bounds.non_uniformity_bound, bounds.non_uniformity) {
        (None, _) => "with B = n batches do not differ, and s does not matter".to_owned(),
        (Some(most), None) => {
            let most = shown(most);
            format!("s is not known (--non-uniformity); (8) fails where it exceeds {bound} = {most}")
        }
        (Some(most), Some(value)) => compared("s", value, bound, most, bounds.non_uniformity_within),
    };
    let verdict = match (bounds.sharpness_within, bounds.non_uniformity_within) {
        (Some(false), _) => "gradient descent and SGD leave: the point is too sharp for this learning rate",
        (None, _) => "not known yet: a search that has not converged bounds a from below; give more --steps",
        (_, Some(false)) => "(8) fails for this B, so nothing says that SGD stays, though gradient descent would",
        (_, None) if bounds.non_uniformity.is_some() => {
            "undecided: s is nearer to its bound than its standard error; give --non-uniformity more images"
        }
        (_, None) if bounds.non_uniformity_bound.is_some() => "by its sharpness alone, SGD may stay",
        _ => "neither bound is exceeded: SGD may stay",
    };
    let sgd = format!("of SGD with η = {learning_rate}, B = {batch_size} of n = {samples} images:");
    let texts = [sgd.as_str(), sharpness.as_str(), spread.as_str(), verdict];
    let lines = ["stability", "", "", ""].into_iter().zip(texts);
    let lines: Vec<String> = lines.map(|(what, text)| line(what, text)).collect();
    lines.join("\n")
}

fn compared(name: &str, value: f64, what: &str, bound: f64, within: Option<bool>) -> String {
    let sign = match within {
        Some(true) => "≤",
        Some(false) => ">",
        None => "beside",
    };
    format!("{name} = {} {sign} {what} = {}", shown(value), shown(bound))
}

/// How eigenvectors in a file were made, as JSON.
pub(super) fn of_eigenvectors(record: &CurvatureRecord) -> String {
    let values = |values: &[Eigenvalue]| values.iter().map(|pair| pair.value).collect::<Vec<f64>>();
    let provenance = &record.provenance;
    let description = serde_json::json!({
        "what": format!("eigenvectors of the {} at {}", provenance.line, provenance.origin),
        "model": provenance.model, "data": provenance.data, "batch_norm": provenance.batch_norm,
        "batch_size": provenance.batch_size, "samples": record.samples, "seed": record.seed,
        "largest": values(&record.spectrum.largest), "smallest": values(&record.spectrum.smallest),
        "device": provenance.device, "version": provenance.version,
    });
    description.to_string()
}

/// The same of the eigenvectors of gradients' covariances.
pub(super) fn of_noise(record: &CurvatureRecord) -> String {
    let provenance = &record.provenance;
    let of = |batches: bool| {
        let mut all = record.covariances.iter();
        let found = all.find(|found| (found.batch_size > 1) == batches);
        found.map(|found| {
            serde_json::json!({ "batch_size": found.batch_size, "gradients": found.gradients,
            "eigenvalues": found.eigenvalues })
        })
    };
    let description = serde_json::json!({
        "what": format!("eigenvectors of the covariance of {} gradients at {}", record.part.name(), provenance.origin),
        "model": provenance.model, "data": provenance.data, "batch_norm": provenance.batch_norm,
        "images": of(false), "batches": of(true),
        "device": provenance.device, "version": provenance.version,
    });
    description.to_string()
}

/// A mean and its standard error.
fn with_error(estimate: Estimate) -> String {
    match estimate.standard_error {
        Some(error) => format!("{} ± {}", shown(estimate.mean), shown(error)),
        None => format!("{} (of unknown error)", shown(estimate.mean)),
    }
}

/// A number to five digits.
pub(super) fn shown(value: f64) -> String {
    let magnitude = value.abs();
    if value != 0.0 && !(1e-3..1e6).contains(&magnitude) {
        return format!("{value:.4e}");
    }
    let before = match value == 0.0 {
        true => 0,
        false => magnitude.log10().floor() as i32,
    };
    format!("{value:.*}", (4 - before).max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_five_digits() {
        let shown: Vec<String> = [0.0, 12.345_678, -0.001_234_567, 123_456.7, 1.5e7, -2.5e-9]
            .map(shown)
            .to_vec();
        assert_eq!(
            shown,
            ["0.0000", "12.346", "-0.0012346", "123457", "1.5000e7", "-2.5000e-9"]
        );
    }

    #[test]
    fn the_verdict_is_that_of_the_bounds() {
        let all = |sharpness, spread: Option<f64>, batch| {
            let spread = spread.map(|value| (value, 1.0));
            stability(&SgdBounds::new(0.1, batch, 1000, sharpness, spread).unwrap())
        };
        let said = |sharpness, spread, batch| all((sharpness, true), spread, batch);
        let stays = said(12.0, Some(15.0), 4);
        assert!(
            stays.contains("a = 12.000 ≤ 2/η = 20.000") && stays.contains("s = 15.000 ≤"),
            "{stays}"
        );
        assert!(stays.ends_with("neither bound is exceeded: SGD may stay"), "{stays}");
        assert!(said(25.0, Some(15.0), 4).contains("a = 25.000 > 2/η"));
        assert!(said(25.0, None, 4).contains("SGD leave: the point is too sharp"));
        let fails = said(12.0, Some(30.0), 4);
        assert!(
            fails.contains("s = 30.000 >") && fails.contains("(8) fails for this B"),
            "{fails}"
        );
        assert!(!fails.contains("SGD leave"), "{fails}");
        let unknown = said(12.0, None, 4);
        assert!(
            unknown.contains("--non-uniformity") && unknown.ends_with("SGD may stay"),
            "{unknown}"
        );
        assert!(said(12.0, Some(1e9), 1000).ends_with("SGD may stay"));
        // The bound on s is a little above 20, and the standard error 1.
        for spread in [19.5, 20.5] {
            let undecided = said(12.0, Some(spread), 4);
            assert!(
                undecided.contains("beside") && undecided.contains("undecided"),
                "{undecided}"
            );
        }
        // Before it has converged, a search shows only that a point is too sharp.
        let under_way = all((12.0, false), Some(15.0), 4);
        assert!(
            under_way.contains("a = 12.000 beside 2/η") && under_way.contains("not known yet"),
            "{under_way}"
        );
        assert!(all((25.0, false), None, 4).contains("too sharp"));
    }
}
