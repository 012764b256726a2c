//! Which networks of the zoo fit a state dict: every family guesses names from a few of its entries, and a guess is
//! kept when the network it builds has exactly these entries.

use std::collections::BTreeMap;

use super::{build, densenet, lenet, logistic, mlp, preresnet, resnet, vgg, wide_resnet};
use crate::network::graph::{Graph, Shape};

/// Names and shapes of a state dict, running statistics included.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// Sides of square images tried where nothing says the size.
const USUAL_SIDES: [usize; 5] = [32, 28, 16, 64, 96];

/// Names and shapes of a state dict, as the families ask for them.
#[derive(Debug)]
pub struct Entries<'a>(&'a Shapes);

impl Entries<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Length of an entry along `axis`.
    pub(super) fn size(&self, name: &str, axis: usize) -> Option<usize> {
        self.0.get(name)?.get(axis).copied()
    }

    /// Number of blocks `{stage}.0`, `{stage}.1`, … that have a first convolution.
    pub(super) fn count_blocks(&self, stage: &str) -> usize {
        (0..)
            .take_while(|block| self.has(&format!("{stage}.{block}.conv1.weight")))
            .count()
    }
}

/// A family's guess.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    model: String,
    /// The weight that sees the images.
    first: String,
    /// The weight that gives the logits.
    last: String,
}

impl Guess {
    pub(super) fn new(model: String, first: &str, last: &str) -> Self {
        Self {
            model,
            first: first.to_owned(),
            last: last.to_owned(),
        }
    }
}

/// A network that fits a state dict.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fit {
    /// Model name with options.
    pub model: String,
    /// Shape of its images.
    pub input: Shape,
    /// Whether images of other sizes fit as well, as behind a global pooling.
    pub any_size: bool,
    /// Number of classes.
    pub classes: usize,
}

/// The networks of the zoo whose entries are exactly `shapes`, simplest names first. Where the data are known, only
/// those that take images of shape `input`.
pub fn fitting(shapes: &Shapes, input: Option<Shape>) -> Vec<Fit> {
    guesses(shapes)
        .iter()
        .filter_map(|guess| guess.fit(shapes, input))
        .collect()
}

/// The ways in which the network called `model` has exactly the entries `shapes`: its image sizes and classes.
pub fn fitting_as(shapes: &Shapes, model: &str) -> Vec<Fit> {
    let mut fits: Vec<Fit> = Vec::new();
    for mut guess in guesses(shapes) {
        guess.model = model.to_owned();
        fits.extend(guess.fit(shapes, None).filter(|fit| !fits.contains(fit)));
    }
    fits
}

fn guesses(shapes: &Shapes) -> Vec<Guess> {
    let entries = Entries(shapes);
    let families = [
        resnet::guess,
        preresnet::guess,
        vgg::guess,
        densenet::guess,
        wide_resnet::guess,
        mlp::guess,
        lenet::guess,
        logistic::guess,
    ];
    families.iter().flat_map(|guesses| guesses(&entries)).collect()
}

impl Guess {
    fn fit(&self, shapes: &Shapes, input: Option<Shape>) -> Option<Fit> {
        let first = shapes.get(&self.first)?;
        let classes = match shapes.get(&self.last)?.first()? {
            // One logit tells two classes apart.
            1 => 2,
            classes => *classes,
        };
        let inputs = match input {
            Some(input) => vec![input],
            None => usual_inputs(first),
        };
        let fitting: Vec<Shape> = inputs
            .into_iter()
            .filter(|&input| build(&self.model, input, classes).is_ok_and(|graph| has_entries(&graph, shapes)))
            .collect();
        Some(Fit {
            model: self.model.clone(),
            input: *fitting.first()?,
            any_size: fitting.len() > 1,
            classes,
        })
    }
}

/// Image shapes that a first weight of this shape could see.
fn usual_inputs(first: &[usize]) -> Vec<Shape> {
    match *first {
        [_, channels, _, _] => USUAL_SIDES.map(|side| [channels, side, side]).to_vec(),
        [_, features] => {
            let square = |channels: usize| {
                let side = (features / channels).isqrt();
                (channels * side * side == features).then_some([channels, side, side])
            };
            square(1).or(square(3)).or(Some([features, 1, 1])).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn has_entries(graph: &Graph, shapes: &Shapes) -> bool {
    let entries = graph.state_dict();
    entries.len() == shapes.len() && entries.iter().all(|e| shapes.get(&e.name) == Some(&e.shape))
}
