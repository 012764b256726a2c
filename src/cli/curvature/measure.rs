//! What `curvature` measures, one thing after another, with its progress.

use std::cell::{Cell, RefCell};

use super::{Arguments, Bar, words};
use crate::curvature::covariance::MOST_SAMPLES;
use crate::curvature::non_uniformity::{SETS, estimated_non_uniformity, non_uniformity as exact_non_uniformity};
use crate::curvature::record::{GradientCovariance, MeasuredNonUniformity, SpectralDensity};
use crate::curvature::{
    Covariance, Effort, Estimate, ImageHessians, Lanczos, LanczosOptions, Quadrature, Ritz, Spectrum, TraceEstimator,
    gradient_samples,
};
use crate::error::{Error, Result};
use crate::figure::chart::number;
use crate::landscape::direction::dot;
use crate::objective::Derivatives;

/// Products to find eigenvalues with, without any and for each of them.
pub(super) const STEPS: usize = 100;
pub(super) const STEPS_EACH: usize = 10;
/// Random vectors of a spectral density, and Lanczos steps for each (Ghorbani, Krishnan and Xiao take 10 of 90).
const DENSITY_VECTORS: usize = 4;
const DENSITY_STEPS: usize = 80;
/// Gradients of a covariance unless more are asked for: their eigenvalues take some seconds.
const GRADIENTS: usize = 1000;
/// Images whose Hessians tell the non-uniformity unless more are asked for.
pub(super) const IMAGES: usize = 200;
/// Products to find the largest eigenvalue of a covariance of Hessians with, at most: it has no other sign, and some 20
/// are enough.
const NON_UNIFORMITY_STEPS: usize = 100;

/// Checks numbers of images before anything is measured.
pub(super) fn check_images(arguments: &Arguments, images: usize) -> Result<()> {
    if images < 2 {
        return Err(Error::option(
            "--samples",
            images,
            "one image has no covariance; give two at least",
        ));
    }
    let most = MOST_SAMPLES.min(images);
    if let Some(Some(count)) = arguments.covariance
        && !(2..=most).contains(&count)
    {
        let reason = format!("a covariance's spectrum takes from 2 to {most} of these {images} images");
        return Err(Error::option("--covariance", count, reason));
    }
    if let (Some(_), Some(batch)) = (arguments.covariance, arguments.batch_size)
        && images / batch < 2
    {
        let reason = format!("two batches that have no image in common have to fit into {images} images");
        return Err(Error::option("--batch-size", batch, reason));
    }
    if let Some(Some(count)) = arguments.non_uniformity
        && count < images.min(2 * SETS)
    {
        let least = 2 * SETS;
        let reason = format!("give {least} at least, for {SETS} sets of two, or {images} for all");
        return Err(Error::option("--non-uniformity", count, reason));
    }
    Ok(())
}

/// The mean loss, refused where it is not finite: the point has then left what has a curvature.
pub(super) fn loss(derivatives: &Derivatives, bar: &Bar) -> Result<f64> {
    // The slope along no direction is 0, and the loss comes with it.
    let nowhere = vec![0.0; derivatives.parameters().len()];
    let (loss, _) = derivatives.slope(&nowhere, &mut |done| bar.report("loss", done))?;
    if loss.is_finite() {
        return Ok(loss);
    }
    Err(Error::Request(format!(
        "the loss over these {} images is {loss}, and has no curvature: the training has diverged here; choose an \
         earlier checkpoint",
        derivatives.images()
    )))
}

/// The ends of the spectrum. Stopped by Ctrl-C, says what is known by then.
pub(super) fn spectrum(arguments: &Arguments, derivatives: &Derivatives, bar: &Bar) -> Result<Spectrum> {
    let dimension = derivatives.parameters().len();
    let pairs = arguments.eigenvalues().min(dimension) + arguments.smallest.min(dimension);
    let steps = arguments.steps.unwrap_or(STEPS + STEPS_EACH * pairs).min(dimension);
    let options = LanczosOptions {
        largest: arguments.eigenvalues(),
        smallest: arguments.smallest,
        copies: arguments.copies,
        effort: Effort {
            steps,
            tolerance: arguments.tolerance,
            seed: arguments.seed,
        },
    };
    let mut lanczos = Lanczos::new(dimension, options)?;
    // The true residuals take a product for each pair.
    let total = (steps + pairs) as f64;
    let (done, stage) = (Cell::new(0), RefCell::new("eigenvalues".to_owned()));
    let mut tell = |share: f64| bar.report(&stage.borrow(), (done.get() as f64 + share) / total);
    let mut operator = arguments.matrix.operator(derivatives, &mut tell);
    loop {
        match lanczos.step(operator.as_mut()) {
            Ok(true) => {}
            Ok(false) => break,
            Err(Error::Cancelled) => {
                bar.print(&words::unfinished(lanczos.ritz(), arguments.matrix))?;
                return Err(Error::Cancelled);
            }
            Err(error) => return Err(error),
        }
        done.set(lanczos.ritz().steps);
        if let Some(largest) = lanczos.ritz().largest.first() {
            *stage.borrow_mut() = format!("eigenvalues, largest {}", number(largest.value));
        }
    }
    *stage.borrow_mut() = "eigenvalues, true residuals".to_owned();
    done.set(steps);
    lanczos.finish(operator.as_mut())
}

/// The trace from so many random vectors.
pub(super) fn trace(arguments: &Arguments, derivatives: &Derivatives, count: usize, bar: &Bar) -> Result<Estimate> {
    let mut estimator = TraceEstimator::new(derivatives.parameters().len(), arguments.seed)?;
    let done = Cell::new(0);
    let mut tell = |share: f64| bar.report("trace", (done.get() as f64 + share) / count as f64);
    let mut operator = arguments.matrix.operator(derivatives, &mut tell);
    for vector in 0..count {
        done.set(vector);
        estimator.sample(operator.as_mut())?;
    }
    estimator
        .estimate()
        .ok_or_else(|| Error::option("--trace", count, "give one random vector at least"))
}

/// Lanczos steps of a search that usually has so many, or fewer where fewer are asked for.
fn steps(arguments: &Arguments, usual: usize) -> usize {
    arguments.steps.map_or(usual, |most| most.min(usual))
}

/// The density of the whole spectrum.
pub(super) fn density(arguments: &Arguments, derivatives: &Derivatives, bar: &Bar) -> Result<SpectralDensity> {
    let steps = steps(arguments, DENSITY_STEPS);
    let mut quadrature = Quadrature::new(derivatives.parameters().len(), steps, arguments.seed)?;
    let done = Cell::new(0.0);
    let mut tell = |_: f64| bar.report("density", done.get());
    let mut operator = arguments.matrix.operator(derivatives, &mut tell);
    for vector in 0..DENSITY_VECTORS {
        quadrature.sample(operator.as_mut(), &mut |share| {
            done.set((vector as f64 + share) / DENSITY_VECTORS as f64);
            true
        })?;
    }
    SpectralDensity::new(&quadrature)
}

/// How many gradients a covariance is taken of, and of how many images each: of single images, and with a batch size of
/// batches.
pub(super) fn gradients(arguments: &Arguments, count: Option<usize>, images: usize) -> Vec<(usize, usize)> {
    let single = (count.unwrap_or(GRADIENTS).min(images), 1);
    let batches = arguments.batch_size.filter(|&batch| batch > 1);
    let batches = batches.map(|batch| ((images / batch).min(GRADIENTS), batch));
    std::iter::once(single).chain(batches).collect()
}

/// The covariance of `count` gradients of `batch` images each, and its leading eigenvectors `[k, d]` where they are to be
/// saved.
pub(super) fn covariance(
    arguments: &Arguments,
    derivatives: &Derivatives,
    count: usize,
    batch: usize,
    bar: &Bar,
) -> Result<(GradientCovariance, Vec<Vec<f32>>)> {
    let done = Cell::new(0.0);
    let stage = match batch {
        1 => "covariance of gradients".to_owned(),
        batch => format!("covariance of gradients, batches of {batch}"),
    };
    let mut read = |_: f64| bar.report(&stage, done.get());
    let mut samples = gradient_samples(derivatives, count, batch, &mut read)?;
    let kept = arguments.eigenvalues();
    let leading = arguments.save_noise.as_ref().map_or(0, |_| kept);
    let covariance = Covariance::new(&mut samples, leading, &mut |share| {
        done.set(share);
        true
    })?;
    let found = GradientCovariance {
        batch_size: batch,
        gradients: count,
        mean_length: dot(&covariance.mean, &covariance.mean).sqrt(),
        trace: covariance.trace,
        eigenvalues: covariance.eigenvalues.into_iter().take(kept).collect(),
    };
    Ok((found, covariance.vectors))
}

/// The non-uniformity from `count` images in some sets, or from all at once.
pub(super) fn non_uniformity(
    arguments: &Arguments,
    derivatives: &Derivatives,
    count: Option<usize>,
    bar: &Bar,
) -> Result<MeasuredNonUniformity> {
    let images = derivatives.images();
    let count = count.unwrap_or(IMAGES).min(images);
    // From all images it is exact, and has no error to state.
    let sets = if count < images { SETS } else { 1 };
    let steps = steps(arguments, NON_UNIFORMITY_STEPS);
    let effort = Effort {
        steps,
        tolerance: arguments.tolerance,
        seed: arguments.seed,
    };
    let (set, done) = (Cell::new(0_u32), Cell::new(0.0));
    let mut tell = |_: f64| bar.report("non-uniformity", done.get());
    let mut hessians = ImageHessians::new(derivatives, &mut tell)?;
    let mut step = |ritz: &Ritz| {
        // A set begins with its first step.
        if ritz.steps == 1 {
            set.set(set.get() + 1);
        }
        let share = ritz.steps as f64 / steps as f64;
        done.set((f64::from(set.get() - 1) + share) / sets as f64);
        true
    };
    let (measured, images) = match sets {
        1 => (exact_non_uniformity(&mut hessians, effort, &mut step)?, images),
        _ => {
            let size = count / sets;
            let measured = estimated_non_uniformity(&mut hessians, sets, size, effort, &mut step)?;
            (measured, size)
        }
    };
    Ok(MeasuredNonUniformity { measured, images })
}
