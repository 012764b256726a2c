//! A state dict, and its match with a network: every entry by name and shape, nothing loaded by halves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::tensor::{ElementType, StoredTensor};
use crate::error::{Error, Result};
use crate::network::Graph;
use crate::network::graph::{Place, Shape, StateEntry};
use crate::network::zoo::{Fit, Shapes, fitting, fitting_as};
use crate::objective::Solution;

/// Prefixes that PyTorch's wrappers put before every name: `nn.DataParallel` and `AveragedModel`, and `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];
/// Counters that are no part of a solution: batches seen by a batch-norm layer, models seen by an average.
const COUNTERS: [&str; 2] = ["num_batches_tracked", "n_averaged"];
/// Entries of a kind that do not fit, listed by name.
const PROBLEMS_SHOWN: usize = 3;

/// A state dict of a file, its names without wrappers' prefixes and its counters left out.
#[derive(Clone, Debug)]
pub struct StateDict<'a> {
    path: &'a Path,
    entries: usize,
    tensors: BTreeMap<String, &'a StoredTensor>,
    /// The prefix that was taken off.
    prefix: String,
}

impl<'a> StateDict<'a> {
    pub(super) fn new(path: &'a Path, tensors: BTreeMap<&str, &'a StoredTensor>) -> Self {
        let entries = tensors.len();
        let is_counter = |name: &str| name.rsplit('.').next().is_some_and(|last| COUNTERS.contains(&last));
        let tensors = tensors
            .into_iter()
            .filter(|(name, tensor)| !is_counter(name) || tensor.is_float())
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .collect();
        let mut state = Self {
            path,
            entries,
            tensors,
            prefix: String::new(),
        };
        while let Some(wrapper) = WRAPPERS.into_iter().find(|wrapper| state.all_start_with(wrapper)) {
            state = state.without(wrapper);
        }
        // Others wrap a model in a class of their own. What they call it is taken off where a network fits without it.
        if let Some(first) = state.tensors.keys().next().and_then(|name| name.split_once('.'))
            && let wrapper = format!("{}.", first.0)
            && state.all_start_with(&wrapper)
            && fitting(&state.shapes(), None).is_empty()
        {
            let unwrapped = state.clone().without(&wrapper);
            if !fitting(&unwrapped.shapes(), None).is_empty() {
                return unwrapped;
            }
        }
        state
    }

    fn all_start_with(&self, prefix: &str) -> bool {
        !self.tensors.is_empty() && self.tensors.keys().all(|name| name.starts_with(prefix))
    }

    /// Takes a prefix that all names have off them.
    fn without(mut self, prefix: &str) -> Self {
        self.prefix += prefix;
        self.tensors = self
            .tensors
            .into_iter()
            .map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor))
            .collect();
        self
    }

    /// Number of entries in the file, counters included.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Names and tensors.
    pub fn tensors(&self) -> &BTreeMap<String, &'a StoredTensor> {
        &self.tensors
    }

    /// Names and shapes.
    pub fn shapes(&self) -> Shapes {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
            .collect()
    }

    /// Numbers in its weights, statistics aside.
    pub fn parameter_count(&self) -> usize {
        self.tensors
            .iter()
            .filter(|(name, _)| !name.ends_with("running_mean") && !name.ends_with("running_var"))
            .map(|(_, tensor)| tensor.count())
            .sum()
    }

    /// Element types of its entries.
    pub fn types(&self) -> BTreeSet<ElementType> {
        self.tensors.values().map(|tensor| tensor.element).collect()
    }

    /// What is done to its names and values, in words.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.prefix.is_empty() {
            notes.push(format!("prefix `{}` taken off", self.prefix));
        }
        for element in self.types() {
            if !matches!(element, ElementType::Float32 | ElementType::Other(_)) {
                notes.push(format!("{} converted to float32", element.name()));
            }
        }
        notes
    }

    /// The network that fits, with the images it takes, where no data say their size: the one called `model`, or the
    /// only one.
    ///
    /// # Errors
    /// [`Error::File`] that names those that fit, or says that none does.
    pub fn fit_without_data(&self, model: Option<&str>) -> Result<Fit> {
        let shapes = self.shapes();
        let fits = match model {
            Some(model) => fitting_as(&shapes, model),
            None => fitting(&shapes, None),
        };
        match (fits.as_slice(), model) {
            ([only], _) => Ok(only.clone()),
            ([first, ..], Some(_)) => Ok(first.clone()),
            ([], Some(model)) => Err(Error::file_reason(
                self.path,
                format!("it does not hold the model {model}; give --data to see how they differ"),
            )),
            ([], None) => Err(self.fits_nothing()),
            (several, None) => Err(self.fits_several(several)),
        }
    }

    /// The model name, when just one network of the zoo fits images of `input` shape.
    ///
    /// # Errors
    /// [`Error::File`] that names those that fit, or says that none does.
    pub fn only_fit(&self, input: Shape) -> Result<String> {
        let shapes = self.shapes();
        match fitting(&shapes, Some(input)).as_slice() {
            [only] => Ok(only.model.clone()),
            [] => match fitting(&shapes, None).as_slice() {
                [] => Err(self.fits_nothing()),
                others => Err(Error::file_reason(
                    self.path,
                    format!(
                        "{} fits, but for images of {:?} and not {input:?}; choose other data",
                        names(others),
                        others[0].input
                    ),
                )),
            },
            several => Err(self.fits_several(several)),
        }
    }

    fn fits_nothing(&self) -> Error {
        Error::file_reason(
            self.path,
            "no network of the zoo has exactly its entries; name the nearest with --model, and --data, to see how they \
             differ",
        )
    }

    fn fits_several(&self, fits: &[Fit]) -> Error {
        Error::file_reason(
            self.path,
            format!("several networks fit it: name one with --model: {}", names(fits)),
        )
    }

    /// The solution for `graph`, every entry matched by name and shape, and no memory taken before all of them fit. A
    /// network's values must be finite: a checkpoint whose are not has diverged, or is damaged.
    ///
    /// # Errors
    /// [`Error::File`] that lists what is missing (with the nearest name left over), of another shape, or left over.
    pub fn solution(&self, graph: &Graph) -> Result<Solution> {
        let entries = graph.state_dict();
        self.check(graph, &entries, &[])?;
        self.read(graph, &entries)
    }

    /// A vector `[d]` over the parameters of `graph`, such as a direction; statistics beside them are left aside.
    ///
    /// # Errors
    /// As [`StateDict::solution`].
    pub fn parameters(&self, graph: &Graph) -> Result<Vec<f32>> {
        let (parameters, statistics): (Vec<_>, Vec<_>) = graph
            .state_dict()
            .into_iter()
            .partition(|entry| matches!(entry.place, Place::Parameters(_)));
        self.check(graph, &parameters, &statistics)?;
        Ok(self.read(graph, &parameters)?.parameters)
    }

    /// Whether there is a float tensor of the right shape for every wanted entry, and nothing else but `allowed`.
    fn check(&self, graph: &Graph, wanted: &[StateEntry], allowed: &[StateEntry]) -> Result<()> {
        let mut left_over: BTreeMap<&str, &StoredTensor> = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), *tensor))
            .collect();
        let (mut missing, mut wrong) = (Vec::new(), Vec::new());
        for entry in wanted {
            match left_over.remove(entry.name.as_str()) {
                None => missing.push(entry),
                Some(tensor) if tensor.shape != entry.shape => wrong.push(format!(
                    "`{}` is {:?} instead of {:?}",
                    entry.name, tensor.shape, entry.shape
                )),
                Some(tensor) if !tensor.is_float() => {
                    wrong.push(format!("`{}` holds {}", entry.name, tensor.element.name()));
                }
                Some(_) => {}
            }
        }
        for entry in allowed {
            left_over.remove(entry.name.as_str());
        }
        if missing.is_empty() && wrong.is_empty() && left_over.is_empty() {
            return Ok(());
        }
        let missing: Vec<String> = missing
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                // Names that are not shown need no neighbour.
                let nearest = left_over
                    .keys()
                    .filter(|_| index < PROBLEMS_SHOWN)
                    .map(|name| (distance(name, &entry.name), *name))
                    .min()
                    .filter(|(distance, _)| *distance <= entry.name.len() / 2)
                    .map_or(String::new(), |(_, name)| format!(" (the nearest is `{name}`)"));
                format!("`{}`{nearest}", entry.name)
            })
            .collect();
        let left_over: Vec<String> = left_over.keys().map(|name| format!("`{name}`")).collect();
        let parts: Vec<String> = [("", wrong), ("missing: ", missing), ("left over: ", left_over)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}{}", shortened(&names)))
            .collect();
        let cure = match fitting(&self.shapes(), None).first() {
            Some(fit) => format!("; {} fits it, with {} classes", fit.model, fit.classes),
            None => String::new(),
        };
        Err(Error::file_reason(
            self.path,
            format!("it does not hold the model {}: {}{cure}", graph.name, parts.join("; ")),
        ))
    }

    /// Reads checked entries to their places; what is not wanted stays 0.
    fn read(&self, graph: &Graph, wanted: &[StateEntry]) -> Result<Solution> {
        let mut solution = Solution {
            parameters: vec![0.0; graph.parameter_count()],
            statistics: vec![0.0; graph.statistics_count()],
        };
        for entry in wanted {
            let Some(tensor) = self.tensors.get(&entry.name) else {
                continue;
            };
            let values = tensor.floats()?;
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::file_reason(
                    self.path,
                    format!(
                        "entry {index} of `{}` is {} as a 32-bit float: this network has diverged, or the file is \
                         damaged; open an earlier checkpoint",
                        entry.name, values[index]
                    ),
                ));
            }
            let place = match &entry.place {
                Place::Parameters(range) => &mut solution.parameters[range.clone()],
                Place::Statistics(range) => &mut solution.statistics[range.clone()],
            };
            if place.len() != values.len() {
                return Err(Error::file_reason(
                    self.path,
                    format!(
                        "`{}` holds {} values instead of {}; save it again",
                        entry.name,
                        values.len(),
                        place.len()
                    ),
                ));
            }
            place.copy_from_slice(&values);
        }
        Ok(solution)
    }
}

/// The first few of a list, and how many more there are.
fn shortened(names: &[String]) -> String {
    let shown = names
        .iter()
        .take(PROBLEMS_SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(PROBLEMS_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn names(fits: &[Fit]) -> String {
    let names: Vec<&str> = fits.iter().map(|fit| fit.model.as_str()).collect();
    names.join(", ")
}

/// Number of letters to change, add or leave out to make `a` of `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_changed_letters() {
        assert_eq!(distance("conv1.weight", "conv1.weight"), 0);
        assert_eq!(distance("fc.weight", "linear.weight"), 6);
        assert_eq!(distance("bn1", "bn"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
