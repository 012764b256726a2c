//! L-BFGS on a function of the flat vector (Nocedal, *Updating Quasi-Newton Matrices With Limited Storage*, 1980;
//! Nocedal and Wright, *Numerical Optimization*, Algorithms 7.4 and 7.5).
//!
//! The line search is that of Lewis and Overton (*Nonsmooth optimization via quasi-Newton methods*, 2013): bisection
//! and doubling until the loss has fallen by enough (Armijo's condition) and the slope has risen by enough (the weak
//! Wolfe condition). It needs no smoothness, which networks of ReLUs do not have.

use std::collections::VecDeque;

use super::full_batch::{End, FullBatch, Function, Look, Until, length, look};
use crate::error::{Error, Result};

/// Share of the fall that the slope promises which a step has to keep.
const FALL: f64 = 1e-4;
/// Share of the slope at the start that the slope at the end may have.
const SLOPE: f64 = 0.9;
/// Points that a line search looks at, at most: bisection is at the end of single precision long before.
const MOST_TRIALS: usize = 40;
/// A pair of changes is used where the cosine between them is larger than this: others are rounding.
const LEAST_COSINE: f64 = 1e-10;
/// Pairs kept at most.
const MOST_MEMORY: usize = 1000;

/// A step that was made, and what it changed.
#[derive(Clone, Debug)]
struct Pair {
    /// s = w′ − w.
    step: Vec<f32>,
    /// y = ∇f(w′) − ∇f(w).
    change: Vec<f32>,
    /// ⟨s, y⟩ > 0.
    product: f64,
}

/// A point with the loss and the gradient there.
#[derive(Clone, Debug)]
struct Point {
    parameters: Vec<f32>,
    loss: f64,
    gradient: Vec<f32>,
}

/// The method's state.
#[derive(Clone, Debug)]
pub struct Lbfgs {
    parameters: Vec<f32>,
    /// Loss and gradient there, where they are known already.
    known: Option<(f64, Vec<f32>)>,
    memory: usize,
    pairs: VecDeque<Pair>,
    steps: usize,
}

impl Lbfgs {
    /// From a point `[d]`, with so many pairs of changes in memory.
    ///
    /// # Errors
    /// [`Error::Option`] for no memory, or too much.
    pub fn new(parameters: Vec<f32>, memory: usize) -> Result<Self> {
        check_memory(memory)?;
        Ok(Self {
            parameters,
            known: None,
            memory,
            pairs: VecDeque::new(),
            steps: 0,
        })
    }

    /// −B·∇f `[d]`, with the approximate inverse Hessian B of the pairs, by the two loops of Algorithm 7.4.
    fn direction(&self, gradient: &[f32]) -> Vec<f64> {
        let mut direction: Vec<f64> = gradient.iter().map(|&g| -f64::from(g)).collect();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let share = inner(&pair.step, &direction) / pair.product;
            add(&mut direction, -share, &pair.change);
            shares.push(share);
        }
        // The newest pair's curvature; without one, a step of unit length is tried first.
        let scale = match self.pairs.back() {
            Some(pair) => pair.product / length(&pair.change).powi(2),
            None => 1.0 / length(gradient),
        };
        for entry in &mut direction {
            *entry *= scale;
        }
        for (pair, share) in self.pairs.iter().zip(shares.into_iter().rev()) {
            let back = inner(&pair.change, &direction) / pair.product;
            add(&mut direction, share - back, &pair.step);
        }
        direction
    }

    /// The next point; nothing where no step leads down, not even along the gradient.
    fn next(&mut self, function: &mut Function, loss: f64, gradient: &[f32]) -> Result<Option<Point>> {
        let direction = self.direction(gradient);
        let found = search(function, &self.parameters, (loss, gradient), &direction)?;
        if found.is_some() || self.pairs.is_empty() {
            return Ok(found);
        }
        self.pairs.clear();
        let direction = self.direction(gradient);
        search(function, &self.parameters, (loss, gradient), &direction)
    }

    /// Takes in the pair of a step.
    fn remember(&mut self, gradient: &[f32], to: &Point) {
        let step = difference(&to.parameters, &self.parameters);
        let change = difference(&to.gradient, gradient);
        let products = step.iter().zip(&change).map(|(&s, &y)| f64::from(s) * f64::from(y));
        let product: f64 = products.sum();
        if product > LEAST_COSINE * length(&step) * length(&change) {
            if self.pairs.len() == self.memory {
                self.pairs.pop_front();
            }
            self.pairs.push_back(Pair { step, change, product });
        }
    }
}

impl FullBatch for Lbfgs {
    fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Takes a step: one evaluation of the function, as a rule, and several at the start. Ends with
    /// [`End::Stuck`] where no step leads down.
    fn step(&mut self, function: &mut Function, until: &Until) -> Result<Look> {
        let (loss, gradient) = match self.known.take() {
            Some(known) => known,
            None => function(&self.parameters)?,
        };
        let mut look = look(&self.parameters, loss, &gradient, self.steps, until);
        if look.end.is_none() {
            match self.next(function, loss, &gradient)? {
                Some(to) => {
                    self.remember(&gradient, &to);
                    self.parameters = to.parameters;
                    self.known = Some((to.loss, to.gradient));
                    self.steps += 1;
                }
                None => look.end = Some(End::Stuck),
            }
        }
        Ok(look)
    }
}

/// Refuses a number of pairs that cannot be kept.
///
/// # Errors
/// [`Error::Option`].
pub fn check_memory(memory: usize) -> Result<()> {
    match (1..=MOST_MEMORY).contains(&memory) {
        true => Ok(()),
        false => Err(Error::option(
            "memory",
            memory,
            format!("it must be from 1 to {MOST_MEMORY}"),
        )),
    }
}

/// A point along `direction` `[d]` that both conditions hold at; where none is found, the farthest one found that the
/// loss has fallen at by enough.
fn search(
    function: &mut Function,
    from: &[f32],
    (loss, gradient): (f64, &[f32]),
    direction: &[f64],
) -> Result<Option<Point>> {
    let slope = inner(gradient, direction);
    if !slope.is_finite() || slope >= 0.0 {
        return Ok(None);
    }
    let (mut low, mut high, mut far) = (0.0, f64::INFINITY, 1.0);
    let mut found = None;
    for _ in 0..MOST_TRIALS {
        let entries = from.iter().zip(direction);
        let parameters: Vec<f32> = entries.map(|(&w, &p)| (f64::from(w) + far * p) as f32).collect();
        if parameters == from {
            break;
        }
        let (trial, trial_gradient) = function(&parameters)?;
        // A loss that is not a number has not fallen.
        if trial <= loss + FALL * far * slope {
            let is_flat = inner(&trial_gradient, direction) >= SLOPE * slope;
            found = Some(Point {
                parameters,
                loss: trial,
                gradient: trial_gradient,
            });
            if is_flat {
                break;
            }
            low = far;
        } else {
            high = far;
        }
        far = if high.is_finite() {
            0.5 * (low + high)
        } else {
            2.0 * far
        };
    }
    Ok(found)
}

fn inner(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * b).sum()
}

/// to ← to + share · what.
fn add(to: &mut [f64], share: f64, what: &[f32]) {
    for (entry, &value) in to.iter_mut().zip(what) {
        *entry += share * f64::from(value);
    }
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};

    use super::*;
    use crate::random::{Purpose, Random};

    fn until(gradient: f64, steps: usize) -> Until {
        Until {
            loss: f64::NEG_INFINITY,
            gradient,
            steps,
        }
    }

    /// The last look of a whole descent, and how often the function was asked.
    fn finish(machine: &mut Lbfgs, function: &mut Function, until: Until) -> (Look, usize) {
        let mut asked = 0;
        loop {
            let mut counted = |w: &[f32]| {
                asked += 1;
                function(w)
            };
            let look = machine.step(&mut counted, &until).unwrap();
            if look.end.is_some() {
                return (look, asked);
            }
        }
    }

    fn rosenbrock(w: &[f32]) -> Result<(f64, Vec<f32>)> {
        let (x, y) = (f64::from(w[0]), f64::from(w[1]));
        let beside = y - x * x;
        let gradient = [-2.0 * (1.0 - x) - 400.0 * x * beside, 200.0 * beside];
        Ok((
            (1.0 - x).powi(2) + 100.0 * beside * beside,
            gradient.map(|g| g as f32).to_vec(),
        ))
    }

    #[test]
    fn rosenbrocks_valley_is_walked_to_its_end() {
        for start in [[-1.2, 1.0], [0.0, 0.0], [2.0, -3.0], [-3.0, 4.0]] {
            for memory in [2, 5, 10] {
                let mut machine = Lbfgs::new(start.to_vec(), memory).unwrap();
                let (look, asked) = finish(&mut machine, &mut rosenbrock, until(1e-3, 200));
                assert_eq!(look.end, Some(End::Gradient), "{start:?}, {memory}: {look:?}");
                // An independent program takes 24 to 48 steps to a gradient of 1e-4, and 31 to 74 evaluations.
                assert!(
                    look.steps <= 60 && asked <= 120,
                    "{start:?}, {memory}: {look:?}, {asked}"
                );
                // The smallest curvature at the minimum is 0.4: a gradient of 1e-3 is 2.5e-3 away from it at most, and
                // a little further for the curvature's change on the way.
                let far = machine
                    .parameters()
                    .iter()
                    .map(|w| (w - 1.0).powi(2))
                    .sum::<f32>()
                    .sqrt();
                assert!(far < 3e-3, "{start:?}, {memory}: {:?}", machine.parameters());
            }
        }
    }

    /// A quadratic function ½ wᵀAw with eigenvalues from 1 to 100.
    fn quadratic() -> DMatrix<f64> {
        let mut random = Random::new(4, Purpose::TestData, 0);
        let turned = DMatrix::from_fn(12, 12, |_, _| f64::from(random.normal())).qr().q();
        let values = DVector::from_fn(12, |i, _| 100.0_f64.powf(i as f64 / 11.0));
        &turned * DMatrix::from_diagonal(&values) * turned.transpose()
    }

    fn of_matrix(matrix: &DMatrix<f64>) -> impl FnMut(&[f32]) -> Result<(f64, Vec<f32>)> {
        let matrix = matrix.clone();
        move |w: &[f32]| {
            let w = DVector::from_iterator(w.len(), w.iter().map(|&w| f64::from(w)));
            let gradient = &matrix * &w;
            Ok((0.5 * w.dot(&gradient), gradient.iter().map(|&g| g as f32).collect()))
        }
    }

    #[test]
    fn the_two_loops_are_the_products_of_the_whole_matrix() {
        let matrix = quadratic();
        let mut function = of_matrix(&matrix);
        let mut machine = Lbfgs::new(vec![1.0; 12], 4).unwrap();
        for _ in 0..7 {
            assert_eq!(machine.step(&mut function, &until(0.0, 100)).unwrap().end, None);
        }
        assert_eq!(machine.pairs.len(), 4);
        // B ← (I − s·yᵀ/⟨s, y⟩)·B·(I − y·sᵀ/⟨s, y⟩) + s·sᵀ/⟨s, y⟩ from ⟨s, y⟩/⟨y, y⟩·I of the newest pair (6.17, 7.20).
        let vector = |values: &[f32]| DVector::from_iterator(values.len(), values.iter().map(|&x| f64::from(x)));
        let newest = machine.pairs.back().unwrap();
        let mut inverse = DMatrix::<f64>::identity(12, 12) * (newest.product / vector(&newest.change).norm_squared());
        for pair in &machine.pairs {
            let (s, y) = (vector(&pair.step), vector(&pair.change));
            let turned = DMatrix::<f64>::identity(12, 12) - &y * s.transpose() / pair.product;
            inverse = turned.transpose() * inverse * &turned + &s * s.transpose() / pair.product;
        }
        let gradient: Vec<f32> = (0..12).map(|i| (i as f32 - 4.0) / 3.0).collect();
        let expected = -(&inverse * vector(&gradient));
        let found = DVector::from_vec(machine.direction(&gradient));
        // Both are sums of some dozen products in double precision.
        assert!(
            (&found - &expected).norm() < 1e-11 * expected.norm(),
            "{found} {expected}"
        );
    }

    #[test]
    fn on_a_quadratic_it_needs_far_fewer_steps_than_gradient_descent() {
        let matrix = quadratic();
        let mut machine = Lbfgs::new(vec![1.0; 12], 12).unwrap();
        let (look, asked) = finish(&mut machine, &mut of_matrix(&matrix), until(1e-3, 1000));
        assert_eq!(look.end, Some(End::Gradient));
        // Gradient descent shrinks the flattest entry by (κ − 1)/(κ + 1) a step at best: to a thousandth in 345 steps.
        assert!(look.steps < 60 && asked < 90, "{look:?}, {asked}");
        // Every step lowers the loss, so that the memory's pairs are all of positive curvature.
        assert!(machine.pairs.iter().all(|pair| pair.product > 0.0));
    }

    #[test]
    fn a_kink_is_no_obstacle_and_a_slope_without_end_diverges() {
        // |x| + 2|y|: the gradient never gets short, so that the search ends where no step leads down.
        let mut kinks = |w: &[f32]| -> Result<(f64, Vec<f32>)> {
            let loss = f64::from(w[0].abs()) + 2.0 * f64::from(w[1].abs());
            Ok((loss, vec![w[0].signum(), 2.0 * w[1].signum()]))
        };
        let mut machine = Lbfgs::new(vec![3.0, -1.7], 5).unwrap();
        let (look, _) = finish(&mut machine, &mut kinks, until(0.0, 500));
        assert!(look.loss < 1e-6, "{look:?}");
        let mut falling = |w: &[f32]| -> Result<(f64, Vec<f32>)> {
            let x = w[0];
            Ok((-f64::from(x).powi(3), vec![-3.0 * x * x]))
        };
        let mut machine = Lbfgs::new(vec![1.0], 5).unwrap();
        let (look, _) = finish(&mut machine, &mut falling, until(0.0, 500));
        assert!(matches!(look.end, Some(End::Diverged | End::Stuck)), "{look:?}");
    }

    #[test]
    fn where_nothing_leads_down_it_is_stuck_and_says_so() {
        // A gradient that lies.
        let mut wrong = |w: &[f32]| -> Result<(f64, Vec<f32>)> {
            let x = w[0];
            Ok((f64::from(x).powi(2), vec![-2.0 * x]))
        };
        let mut machine = Lbfgs::new(vec![1.0], 3).unwrap();
        let look = machine.step(&mut wrong, &until(0.0, 10)).unwrap();
        assert_eq!((look.end, machine.parameters()), (Some(End::Stuck), &[1.0][..]));
        let mut lost = |_: &[f32]| -> Result<(f64, Vec<f32>)> { Ok((f64::NAN, vec![0.0])) };
        let look = machine.step(&mut lost, &until(0.0, 10)).unwrap();
        assert_eq!(look.end, Some(End::Diverged));
        assert!(Lbfgs::new(vec![1.0], 0).is_err() && Lbfgs::new(vec![1.0], MOST_MEMORY + 1).is_err());
    }
}
