//! The non-uniformity at a point from some of its images, in steps: [`crate::curvature::non_uniformity`] does the same
//! at once.

use super::CurvatureStage;
use super::place::Place;
use super::product::Products;
use crate::curvature::non_uniformity::{HessianCovariance, SETS, sets};
use crate::curvature::{Effort, Lanczos, LanczosOptions, NonUniformity};
use crate::error::{Error, Result};
use crate::objective::BatchNormPolicy;

/// Products with a set's covariance at most, and the share of the eigenvalue that its residual may be.
const EFFORT: (usize, f64) = (60, 1e-2);
/// Memory for the products of one set's images, in bytes.
const MOST_BYTES: usize = 256 << 20;

/// The largest eigenvalue of the covariance of the images' Hessians: of all images at once where all are asked for and
/// there is room for their products, and otherwise one set of images after another.
pub struct UniformityJob {
    images: usize,
    seed: u64,
    dimension: usize,
    sets: Vec<Vec<usize>>,
    lanczos: Lanczos,
    squares: Vec<f64>,
    converged: bool,
}

impl UniformityJob {
    /// From so many of the place's images, drawn with a seed.
    ///
    /// # Errors
    /// When an image has no loss of its own, there are too few images, or too many for memory.
    pub fn new(place: &Place, images: usize, seed: u64) -> Result<Self> {
        if place.policy == BatchNormPolicy::Batch && place.objective.graph().statistics_count() > 0 {
            return Err(Error::Request(
                "under the policy `batch` an image's loss depends on the others in its batch, so that it has no \
                 Hessian of its own; choose `running` or `recompute`"
                    .to_owned(),
            ));
        }
        let (taken, dimension) = (images.min(place.images), place.dimension());
        let most = MOST_BYTES / size_of::<f32>() / dimension.max(1);
        // All at once are exact; sets of them err to the large side.
        let is_exact = taken == place.images && (2..=most).contains(&taken);
        let size = taken / SETS;
        if !is_exact && size < 2 {
            let least = 2 * SETS;
            let reason = format!("a non-uniformity of some images takes {least} at least: {SETS} sets of two");
            return Err(Error::option("images", taken, reason));
        }
        if !is_exact && size > most {
            let most = SETS * most;
            let reason = format!("their Hessians' products would not fit in memory; at most {most} do");
            return Err(Error::option("images", images, reason));
        }
        let sets = match is_exact {
            true => vec![(0..taken).collect()],
            false => sets(place.images, SETS, size, seed),
        };
        Ok(Self {
            images,
            seed,
            dimension,
            sets,
            lanczos: lanczos(dimension, seed)?,
            squares: Vec::new(),
            converged: true,
        })
    }

    /// Images asked for.
    pub fn images(&self) -> usize {
        self.images
    }

    /// How far it is.
    pub fn stage(&self) -> CurvatureStage {
        CurvatureStage::NonUniformity {
            subset: self.squares.len(),
            subsets: self.sets.len(),
            steps: self.lanczos.ritz().steps,
        }
    }

    /// Goes on as far as there are products. Gives the non-uniformity once it is found.
    ///
    /// # Errors
    /// When a product is not finite.
    pub fn advance(&mut self, products: &mut Products) -> Result<Option<NonUniformity>> {
        let Some(set) = self.sets.get(self.squares.len()) else {
            return Ok(NonUniformity::of(&self.squares, self.converged));
        };
        let search = &mut self.lanczos;
        let step = |products: &mut Products| {
            let mut covariance = HessianCovariance::new(products, set.clone())?;
            search.step(&mut covariance)
        };
        let Some(false) = products.attempt(step)? else {
            return Ok(None);
        };
        let ritz = self.lanczos.ritz();
        self.squares.extend(ritz.largest.first().map(|pair| pair.value));
        self.converged &= ritz.converged;
        if self.squares.len() == self.sets.len() {
            return Ok(NonUniformity::of(&self.squares, self.converged));
        }
        self.lanczos = lanczos(self.dimension, self.seed)?;
        Ok(None)
    }
}

/// The search for one set's eigenvalue.
fn lanczos(dimension: usize, seed: u64) -> Result<Lanczos> {
    let (steps, tolerance) = EFFORT;
    let effort = Effort { steps, tolerance, seed };
    let options = LanczosOptions {
        largest: 1,
        smallest: 0,
        copies: false,
        effort,
    };
    Lanczos::new(dimension, options)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::curvature::PerSample;
    use crate::curvature::non_uniformity::{estimated_non_uniformity, non_uniformity};
    use crate::data::{Dataset, Part};
    use crate::network::zoo;
    use crate::objective::{Compute, Derivatives, Objective, Solution};
    use crate::random::{Purpose, Random};

    /// A perceptron with random weights.
    fn place(model: &str, data: &str, policy: BatchNormPolicy) -> Place {
        let data = Arc::new(Dataset::open(data).unwrap());
        let graph = Arc::new(zoo::build(model, data.shape, data.classes.len()).unwrap());
        let mut random = Random::new(5, Purpose::Initialisation, 0);
        let parameters = (0..graph.parameter_count()).map(|_| random.normal()).collect();
        let statistics = graph.initial_statistics();
        Place {
            images: data.train.len(),
            objective: Arc::new(Objective::new(graph, data, Compute::flex(), 8).unwrap()),
            solution: Arc::new(Solution { parameters, statistics }),
            policy,
        }
    }

    /// The Hessians of single images.
    struct Single<'a>(Derivatives<'a>, &'a Place);

    impl PerSample for Single<'_> {
        fn count(&self) -> usize {
            self.1.images
        }

        fn dimension(&self) -> usize {
            self.1.dimension()
        }

        fn apply_each(&mut self, samples: &[usize], vectors: &[f32]) -> Result<Vec<f32>> {
            self.0.image_hessian_vectors(samples, vectors, &mut |_| true)
        }
    }

    /// What a job finds, with one seed.
    fn found(place: &Place, images: usize) -> NonUniformity {
        let mut products = Products::new(place);
        let mut job = UniformityJob::new(place, images, 7).unwrap();
        loop {
            if let Some(found) = job.advance(&mut products).unwrap() {
                return found;
            }
            while !products.step(place).unwrap() {}
        }
    }

    #[test]
    fn it_is_what_the_library_estimates_at_once() {
        let place = place("mlp:3", "two-gaussians", BatchNormPolicy::Running);
        // Of 18 images, 16 make four sets of the same size; all are taken at once.
        let [found, whole] = [18, 20].map(|images| found(&place, images));
        let (objective, solution) = (&place.objective, &place.solution);
        let all = usize::MAX;
        let (policy, silent) = (place.policy, &mut |_: f64| true);
        let derivatives = Derivatives::new(objective, solution, policy, Part::Train, all, silent).unwrap();
        let (steps, tolerance) = EFFORT;
        let effort = Effort {
            steps,
            tolerance,
            seed: 7,
        };
        let mut single = Single(derivatives, &place);
        let expected = estimated_non_uniformity(&mut single, SETS, 4, effort, &mut |_| true).unwrap();
        assert_eq!(found, expected);
        assert!(found.value > 0.0 && found.standard_error.is_some_and(|error| error > 0.0));
        assert_eq!(whole, non_uniformity(&mut single, effort, &mut |_| true).unwrap());
        assert!(whole.value > 0.0 && whole.standard_error.is_none());
        let stage = |images: usize| UniformityJob::new(&place, images, 7).unwrap().stage();
        for (images, expected) in [(19, 4), (20, 1), (usize::MAX, 1)] {
            let CurvatureStage::NonUniformity { subsets, .. } = stage(images) else {
                panic!("{images}: another stage");
            };
            assert_eq!(subsets, expected, "{images}");
        }
    }

    #[test]
    fn what_has_none_is_refused_in_words() {
        let running = place("mlp:3", "two-gaussians", BatchNormPolicy::Running);
        let refused = |place: &Place, images: usize| match UniformityJob::new(place, images, 1) {
            Ok(_) => panic!("{images} images were taken"),
            Err(error) => error.to_string(),
        };
        assert!(refused(&running, 7).contains("8 at least"), "{}", refused(&running, 7));
        assert!(UniformityJob::new(&running, 8, 1).is_ok());
        // Of all images two are enough.
        let of_few = |images: usize| Place {
            images,
            ..place("mlp:3", "two-gaussians", BatchNormPolicy::Running)
        };
        assert!(UniformityJob::new(&of_few(2), 8, 1).is_ok());
        assert!(refused(&of_few(1), 8).contains("8 at least"));
        let batch = place("resnet8:width=2", "builtin:train=20:test=20", BatchNormPolicy::Batch);
        assert!(refused(&batch, 20).contains("no Hessian of its own"));
        // Without batch norm an image's loss is its own under any policy.
        let batch = place("mlp:3", "two-gaussians", BatchNormPolicy::Batch);
        assert!(UniformityJob::new(&batch, 8, 1).is_ok());
    }
}
