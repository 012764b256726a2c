//! Products of the loss's Hessian, made a batch or a few images at a time, for methods that ask for a whole one at once:
//! such a method is told that it was cancelled, and asked again once the product is there.

use super::place::Place;
use crate::curvature::{PerSample, SymmetricOperator};
use crate::error::{Error, Result};

/// A product under way.
enum Wanted {
    /// H·v.
    Mean {
        vector: Vec<f32>,
        sum: Vec<f64>,
        batches: usize,
    },
    /// Hᵢ·vᵢ of the listed images, one after another.
    Each {
        images: Vec<usize>,
        vectors: Vec<f32>,
        products: Vec<f32>,
    },
}

impl Wanted {
    fn product(self) -> Vec<f32> {
        match self {
            Self::Mean { sum, .. } => sum.into_iter().map(|value| value as f32).collect(),
            Self::Each { products, .. } => products,
        }
    }
}

/// The Hessian H of the mean loss, and those Hᵢ of its images, to whoever asks for products.
pub struct Products {
    dimension: usize,
    images: usize,
    /// Products that the attempt under way asked for, in its order.
    made: Vec<Vec<f32>>,
    /// How many of them it was given since it was asked last.
    given: usize,
    wanted: Option<Wanted>,
    /// Share done of what is wanted.
    share: f64,
}

impl Products {
    /// At a place; nothing is wanted yet.
    pub fn new(place: &Place) -> Self {
        Self {
            dimension: place.dimension(),
            images: place.images,
            made: Vec::new(),
            given: 0,
            wanted: None,
            share: 0.0,
        }
    }

    /// Lets a method that asks for the same products every time do its work; nothing where it waits for one. Then it
    /// must not have changed, as if the product had failed.
    ///
    /// # Errors
    /// What the method meets.
    pub fn attempt<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        self.given = 0;
        match act(self) {
            Ok(done) => {
                self.made.clear();
                Ok(Some(done))
            }
            Err(Error::Cancelled) if self.wanted.is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a product is wanted.
    pub fn is_awaited(&self) -> bool {
        self.wanted.is_some()
    }

    /// Products that the attempt under way has by now.
    pub fn made(&self) -> usize {
        self.made.len()
    }

    /// Share done of the product that is wanted, 0..1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Does one batch of the product that is wanted, or of those of images as many as fill the processor's lanes. True
    /// when it is whole.
    ///
    /// # Errors
    /// When the point has diverged, the product is not finite, or the device fails.
    pub fn step(&mut self, place: &Place) -> Result<bool> {
        let Some(wanted) = &mut self.wanted else {
            return Ok(true);
        };
        let derivatives = place.derivatives()?;
        let (done, all) = match wanted {
            Wanted::Mean { vector, sum, batches } => {
                let all = derivatives.batches();
                if let Some(range) = all.get(*batches) {
                    let weight = range.len() as f64 / place.images as f64;
                    let product = derivatives.batch_hessian_vector(range.clone(), vector)?;
                    for (sum, value) in sum.iter_mut().zip(product) {
                        *sum += weight * f64::from(value);
                    }
                    *batches += 1;
                }
                (*batches, all.len())
            }
            Wanted::Each {
                images,
                vectors,
                products,
            } => {
                let start = products.len() / self.dimension;
                // One would leave all but one of the processor's lanes empty.
                let end = (start + place.objective.fewest_images()).min(images.len());
                let theirs = vectors.get(products.len()..end * self.dimension);
                if let (Some(some), Some(theirs)) = (images.get(start..end), theirs) {
                    products.extend(derivatives.image_hessian_vectors(some, theirs, &mut |_| true)?);
                }
                (products.len() / self.dimension, images.len())
            }
        };
        self.share = done as f64 / all.max(1) as f64;
        if done < all {
            return Ok(false);
        }
        self.share = 0.0;
        self.made.extend(self.wanted.take().map(Wanted::product));
        Ok(true)
    }

    /// The next product that is there already; otherwise `wanted` is what is to be made.
    fn next(&mut self, wanted: impl FnOnce() -> Wanted) -> Result<Vec<f32>> {
        if let Some(product) = self.made.get(self.given) {
            self.given += 1;
            return Ok(product.clone());
        }
        self.wanted = Some(wanted());
        Err(Error::Cancelled)
    }
}

impl SymmetricOperator for Products {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
        self.next(|| Wanted::Mean {
            vector: vector.to_vec(),
            sum: vec![0.0; vector.len()],
            batches: 0,
        })
    }
}

impl PerSample for Products {
    fn count(&self) -> usize {
        self.images
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn apply_each(&mut self, samples: &[usize], vectors: &[f32]) -> Result<Vec<f32>> {
        self.next(|| Wanted::Each {
            images: samples.to_vec(),
            vectors: vectors.to_vec(),
            products: Vec::with_capacity(vectors.len()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::curvature::non_uniformity::HessianCovariance;
    use crate::curvature::{Effort, Lanczos, LanczosOptions};
    use crate::data::{Dataset, Part};
    use crate::network::zoo;
    use crate::objective::{BatchNormPolicy, Compute, Objective, Solution};
    use crate::random::{Purpose, Random};

    const IMAGES: usize = 17;
    const BATCH: usize = 7;
    const OPTIONS: LanczosOptions = LanczosOptions {
        largest: 2,
        smallest: 1,
        copies: false,
        effort: Effort {
            steps: 5,
            tolerance: 1e-6,
            seed: 3,
        },
    };

    /// A perceptron with random weights, and images in three batches.
    fn place() -> Place {
        let data = Arc::new(Dataset::open("two-gaussians").unwrap());
        let graph = Arc::new(zoo::build("mlp:3", data.shape, data.classes.len()).unwrap());
        let parameters = normal(graph.parameter_count());
        Place {
            objective: Arc::new(Objective::new(graph, data, Compute::flex(), BATCH).unwrap()),
            solution: Arc::new(Solution {
                parameters,
                statistics: Vec::new(),
            }),
            policy: BatchNormPolicy::Running,
            images: IMAGES,
        }
    }

    fn normal(count: usize) -> Vec<f32> {
        let mut random = Random::new(5, Purpose::Initialisation, 0);
        (0..count).map(|_| random.normal()).collect()
    }

    /// The same Hessians, whole.
    struct Direct<'a>(&'a Place);

    impl SymmetricOperator for Direct<'_> {
        fn dimension(&self) -> usize {
            self.0.dimension()
        }

        fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
            let Place { solution, policy, .. } = self.0;
            let objective = &self.0.objective;
            objective.hessian_vector(solution, vector, *policy, Part::Train, self.0.images)
        }
    }

    impl PerSample for Direct<'_> {
        fn count(&self) -> usize {
            self.0.images
        }

        fn dimension(&self) -> usize {
            self.0.dimension()
        }

        fn apply_each(&mut self, samples: &[usize], vectors: &[f32]) -> Result<Vec<f32>> {
            let derivatives = self.0.derivatives()?;
            // As many at once as in a step, since others are rounded otherwise.
            let fewest = self.0.objective.fewest_images();
            let parts = samples.chunks(fewest).zip(vectors.chunks(fewest * self.0.dimension()));
            let products = parts.map(|(some, theirs)| derivatives.image_hessian_vectors(some, theirs, &mut |_| true));
            Ok(products.collect::<Result<Vec<_>>>()?.concat())
        }
    }

    /// Attempts until it is done; gives the number of steps, too.
    fn done<T>(place: &Place, products: &mut Products, mut act: impl FnMut(&mut Products) -> Result<T>) -> (T, usize) {
        let mut steps = 0;
        loop {
            if let Some(done) = products.attempt(&mut act).unwrap() {
                return (done, steps);
            }
            while !products.step(place).unwrap() {
                steps += 1;
                assert!(products.share() > 0.0 && products.share() < 1.0);
            }
            steps += 1;
        }
    }

    #[test]
    fn a_method_finds_with_products_in_parts_what_it_finds_with_whole_ones() {
        let place = place();
        let mut products = Products::new(&place);
        let mut whole = Lanczos::new(place.dimension(), OPTIONS).unwrap();
        let mut parts = Lanczos::new(place.dimension(), OPTIONS).unwrap();
        loop {
            let goes_on = whole.step(&mut Direct(&place)).unwrap();
            let (again, steps) = done(&place, &mut products, |products| parts.step(products));
            assert_eq!((again, steps), (goes_on, IMAGES.div_ceil(BATCH)));
            assert_eq!(parts.ritz(), whole.ritz());
            if !goes_on {
                break;
            }
        }
        let expected = whole.finish(&mut Direct(&place)).unwrap();
        let (found, steps) = done(&place, &mut products, |products| parts.finish(products));
        assert_eq!(found, expected);
        assert_eq!(steps, 3 * IMAGES.div_ceil(BATCH));
        assert!(!products.is_awaited() && products.made() == 0);
    }

    #[test]
    fn products_of_images_come_a_few_at_a_time() {
        let place = place();
        let mut products = Products::new(&place);
        let samples: Vec<usize> = (0..IMAGES).rev().collect();
        let vector = normal(place.dimension());
        let covariance = HessianCovariance::new(&mut Direct(&place), samples.clone())
            .unwrap()
            .apply(&vector)
            .unwrap();
        let act = |products: &mut Products| HessianCovariance::new(products, samples.clone())?.apply(&vector);
        let (found, steps) = done(&place, &mut products, act);
        let fewest = place.objective.fewest_images();
        assert_eq!((found, steps), (covariance, 2 * IMAGES.div_ceil(fewest)));

        // The Hessian is the mean of its images' own.
        let each = Direct(&place).apply_each(&(0..IMAGES).collect::<Vec<_>>(), &vector.repeat(IMAGES));
        let mut mean = vec![0.0; vector.len()];
        for product in each.unwrap().chunks(vector.len()) {
            for (sum, &value) in mean.iter_mut().zip(product) {
                *sum += f64::from(value) / IMAGES as f64;
            }
        }
        let product = Direct(&place).apply(&vector).unwrap();
        let length = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let whole = length(&mut mean.iter().copied());
        let error = length(&mut mean.iter().zip(&product).map(|(mean, &value)| mean - f64::from(value)));
        // A product of single precision is off by some 1e-6 of its length.
        assert!(whole > 0.0 && error <= 1e-5 * whole, "{error} of {whole}");
    }

    #[test]
    fn what_fails_is_no_product() {
        let mut diverged = place();
        let mut solution = (*diverged.solution).clone();
        solution.parameters[2] = f32::NAN;
        diverged.solution = Arc::new(solution);
        let mut products = Products::new(&diverged);
        let vector = normal(diverged.dimension());
        assert!(products.attempt(|products| products.apply(&vector)).unwrap().is_none());
        let message = products.step(&diverged).unwrap_err().to_string();
        assert!(message.contains("diverged point"), "{message}");
        assert_eq!(products.made(), 0);
        // An error that is not a wish for a product is passed on.
        let failed: Result<Option<()>> = Products::new(&diverged).attempt(|_| Err(Error::Cancelled));
        assert!(matches!(failed, Err(Error::Cancelled)));

        let place = place();
        let derivatives = place.derivatives().unwrap();
        for range in [3..3, 19..21] {
            let message = derivatives
                .batch_hessian_vector(range, &vector)
                .unwrap_err()
                .to_string();
            assert!(message.contains("there are no train images"), "{message}");
        }
        assert!(derivatives.batch_hessian_vector(0..1, &vector[1..]).is_err());
    }
}
