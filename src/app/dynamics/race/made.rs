//! What is computed of the race, aside: the surface with the runs of one seed, and how many of a hundred seeds end at
//! the flat minimum.

use std::sync::Arc;
use std::time::Duration;

use egui::Context;

use crate::app::dynamics::aside::Aside;
use crate::dynamics::noise::Noise;
use crate::dynamics::proportion::Proportion;
use crate::dynamics::race::{COMPARED, LEARNING_RATE, MAGNITUDE, Run, STEPS, Settings, seen};
use crate::dynamics::surface::Samples;
use crate::error::Result;
use crate::figure::Colouring;
use crate::landscape::{Heights, Projected, Scale, SurfaceRecord};
use crate::render::relief::HEIGHT;
use crate::render::{Camera, Relief};

/// Seeds that shares are counted over, from 1; as many as in the paper.
pub const SEEDS: u64 = 100;
/// Nodes of the surface along each axis.
const NODES: usize = 161;
/// Iso-lines.
const LINES: usize = 14;
/// Straight pieces of a step on the relief, which is bent below it.
const PIECES: usize = 2;
/// How soon shares are drawn again: they grow many times a second.
const SOON: Duration = Duration::from_millis(50);

/// What can be chosen of the race beside the seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// How the surface's samples are drawn.
    pub samples: Samples,
    /// η.
    pub learning_rate: f64,
    /// E‖ε‖².
    pub magnitude: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            samples: Samples::Code,
            learning_rate: LEARNING_RATE,
            magnitude: MAGNITUDE,
        }
    }
}

impl Rules {
    fn settings(self, noise: Noise, seed: u64) -> Settings {
        Settings {
            noise,
            samples: self.samples,
            learning_rate: self.learning_rate,
            magnitude: self.magnitude,
            steps: STEPS,
            seed,
        }
    }
}

/// The surface and the runs of one seed.
pub struct Made {
    rules: Rules,
    seed: u64,
    /// A run of each of [`COMPARED`].
    pub runs: Vec<Run>,
    /// The two minima, as solutions.
    pub record: SurfaceRecord,
    /// The surface, square, with all runs on it.
    pub heights: Arc<Heights>,
    /// Its colours and iso-lines.
    pub colouring: Colouring,
    /// The ways of the runs in the relief's space, in [`PIECES`] a step.
    ways: Vec<Vec<Option<[f32; 3]>>>,
}

impl Made {
    /// Runs all dynamics and draws the surface below them.
    ///
    /// # Errors
    /// As [`Run::make`].
    pub fn make(rules: Rules, seed: u64) -> Result<Self> {
        let runs = COMPARED
            .into_iter()
            .map(|noise| Run::make(rules.settings(noise, seed)))
            .collect::<Result<Vec<Run>>>()?;
        let surface = rules.settings(COMPARED[0], seed).surface();
        let field = surface.field(seen(&runs), NODES);
        // On a logarithmic scale both minima would be pits: what is sharp and what is flat is seen on this one.
        let heights = Arc::new(field.heights(Scale::Linear));
        let minimum = |name: &str, position: [f64; 2]| Projected {
            name: name.to_owned(),
            position,
            distance: 0.0,
            own: None,
        };
        let [sharp, flat] = surface.minima();
        let mut made = Self {
            rules,
            seed,
            runs,
            record: SurfaceRecord {
                label: "two minima".to_owned(),
                axes: ["w₁".to_owned(), "w₂".to_owned()],
                lengths: Some([1.0; 2]),
                solutions: vec![minimum("sharp", sharp), minimum("flat", flat)],
                ..SurfaceRecord::default()
            },
            colouring: Colouring::of(&heights, None, None, LINES, 0.0),
            heights,
            ways: Vec::new(),
        };
        made.ways = {
            let relief = made.relief(Camera::default(), [0.0; 4], false, 1.0);
            made.runs.iter().map(|run| way(run, &relief)).collect()
        };
        Ok(made)
    }

    /// Whether it is of these rules and this seed.
    pub fn is_of(&self, rules: Rules, seed: u64) -> bool {
        (self.rules, self.seed) == (rules, seed)
    }

    /// The surface as a relief.
    pub fn relief(&self, camera: Camera, ink: [f32; 4], on_white: bool, pixels_per_point: f32) -> Relief<'_> {
        Relief {
            record: &self.record,
            heights: self.heights.clone(),
            colouring: self.colouring.clone(),
            camera,
            height: HEIGHT,
            curves: Vec::new(),
            landmarks: true,
            until: None,
            ink,
            on_white,
            pixels_per_point,
        }
    }

    /// Where dynamics number `index` are after a step, on the relief.
    pub fn place(&self, index: usize, step: usize) -> Option<[f32; 3]> {
        *self.ways.get(index)?.get(PIECES * step)?
    }

    /// The straight pieces of the way on the relief from one step to another.
    pub fn pieces(&self, index: usize, from: usize, to: usize) -> impl Iterator<Item = [[f32; 3]; 2]> {
        let way = self.ways.get(index).map_or(&[][..], Vec::as_slice);
        let end = (PIECES * to + 1).min(way.len());
        let part = &way[(PIECES * from).min(end)..end];
        part.windows(2).filter_map(|pair| Some([pair[0]?, pair[1]?]))
    }
}

fn way(run: &Run, relief: &Relief) -> Vec<Option<[f32; 3]>> {
    let between = run.trajectory.windows(2).flat_map(|step| {
        (0..PIECES).map(move |piece| {
            let share = piece as f64 / PIECES as f64;
            [0, 1].map(|axis: usize| step[0][axis] + share * (step[1][axis] - step[0][axis]))
        })
    });
    let last = run.trajectory.last().copied();
    between.chain(last).map(|w| relief.on_surface(w)).collect()
}

/// How many seeds end at the flat minimum, of those counted so far.
pub struct Success {
    rules: Rules,
    found: [Proportion; COMPARED.len()],
    counting: Option<Aside<Result<[bool; COMPARED.len()]>>>,
}

impl Success {
    /// Begins to count.
    ///
    /// # Errors
    /// As [`Aside::start`].
    pub fn start(context: &Context, rules: Rules) -> Result<Self> {
        let counting = Aside::start(context, SOON, move |send| {
            for seed in 1..=SEEDS {
                let ends = ends(rules, seed);
                let failed = ends.is_err();
                if !send(ends) || failed {
                    return;
                }
            }
        })?;
        Ok(Self {
            rules,
            found: [Proportion::default(); COMPARED.len()],
            counting: Some(counting),
        })
    }

    /// Whether it is of these rules.
    pub fn is_of(&self, rules: Rules) -> bool {
        self.rules == rules
    }

    /// Whether all seeds are counted.
    pub fn is_complete(&self) -> bool {
        self.found.iter().all(|share| share.all as u64 == SEEDS)
    }

    /// The share of seeds with which dynamics number `index` end at the flat minimum.
    pub fn share(&self, index: usize) -> Proportion {
        self.found[index]
    }

    /// Takes what was counted since; says why where it cannot be.
    pub fn receive(&mut self) -> Option<String> {
        let counted: Vec<_> = self.counting.iter().flat_map(Aside::found).collect();
        for ends in counted {
            match ends {
                Ok(ends) => {
                    for (share, flat) in self.found.iter_mut().zip(ends) {
                        share.all += 1;
                        share.count += usize::from(flat);
                    }
                }
                Err(error) => {
                    self.counting = None;
                    return Some(error.to_string());
                }
            }
        }
        if self.is_complete() {
            self.counting = None;
        }
        None
    }
}

/// Which of the dynamics end at the flat minimum with a seed.
fn ends(rules: Rules, seed: u64) -> Result<[bool; COMPARED.len()]> {
    let mut ends = [false; COMPARED.len()];
    for (end, noise) in ends.iter_mut().zip(COMPARED) {
        *end = Run::make(rules.settings(noise, seed))?.ends_flat();
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surface_holds_all_runs_and_both_minima() {
        for (seed, magnitude) in [(1, MAGNITUDE), (2, 3.0 * MAGNITUDE), (3, 0.0)] {
            let made = Made::make(
                Rules {
                    magnitude,
                    ..Rules::default()
                },
                seed,
            )
            .unwrap();
            assert_eq!([made.heights.first, made.heights.second], [seen(&made.runs); 2]);
            for index in 0..COMPARED.len() {
                assert!((0..=STEPS).all(|step| made.place(index, step).is_some()));
                // Pieces join the places of the steps.
                let pieces: Vec<_> = made.pieces(index, 3, 7).collect();
                assert_eq!(pieces.len(), 4 * PIECES);
                assert_eq!(Some(pieces[0][0]), made.place(index, 3));
                assert_eq!(Some(pieces[4 * PIECES - 1][1]), made.place(index, 7));
                assert!(pieces.windows(2).all(|two| two[0][1] == two[1][0]));
                assert_eq!(made.pieces(index, 0, STEPS).count(), STEPS * PIECES);
            }
            assert!(made.pieces(COMPARED.len(), 0, STEPS).next().is_none());
            // Both minima are low, and the surface between them is not.
            let [sharp, flat] = [0, 1].map(|index: usize| made.record.solutions[index].position);
            let value = |w: [f64; 2]| made.heights.value(w).unwrap();
            let middle = [0, 1].map(|axis: usize| 0.25 * flat[axis] + 0.75 * sharp[axis]);
            assert!(value(sharp) < 0.2 && value(flat) < 0.2 && value(middle) > 2.0);
        }
    }
}
