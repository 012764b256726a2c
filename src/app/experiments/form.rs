//! What the page of experiments shows: what was made, what the others will take, what runs and what waits.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::pictures::Pictures;
use crate::engine::{ExperimentStatus, MadeExperiment};
use crate::experiment::cost::Estimate;
use crate::experiment::laboratory::FOLDER;
use crate::experiment::outcome::{Made, Place};
use crate::experiment::recipe::Recipe;

/// The experiments, and what is known of them.
pub struct Experiments {
    /// Folder of their outcomes, and of the runs that they share.
    pub folder: PathBuf,
    /// All of them, once the page was open.
    pub recipes: Vec<Rc<Recipe>>,
    /// Which of them is on the page.
    pub chosen: usize,
    /// Outcomes by name.
    pub made: BTreeMap<String, Rc<Made>>,
    /// What each will take, by name, once that is known; nothing for one whose data cannot be opened here.
    pub estimates: Option<BTreeMap<String, Option<Estimate>>>,
    /// Name of the one that is being made.
    pub running: Option<String>,
    /// How far it is.
    pub status: Option<Arc<ExperimentStatus>>,
    /// Names of those that wait for it to end.
    pub waiting: VecDeque<String>,
    /// Name of the figure that has the whole page.
    pub enlarged: Option<String>,
    /// A run that is being opened, and where to stand in it then.
    pub visiting: Option<(PathBuf, Place)>,
    /// What was drawn of them.
    pub pictures: Pictures,
}

impl Default for Experiments {
    fn default() -> Self {
        Self {
            folder: PathBuf::from(FOLDER),
            recipes: Vec::new(),
            chosen: 0,
            made: BTreeMap::new(),
            estimates: None,
            running: None,
            status: None,
            waiting: VecDeque::new(),
            enlarged: None,
            visiting: None,
            pictures: Pictures::default(),
        }
    }
}

impl Experiments {
    /// The one on the page.
    pub fn on_page(&self) -> Option<Rc<Recipe>> {
        self.recipes.get(self.chosen).cloned()
    }

    /// Puts another on the page.
    pub fn choose(&mut self, index: usize) {
        self.chosen = index;
        self.enlarged = None;
    }

    /// Whether it is the one that is being made.
    pub fn is_running(&self, name: &str) -> bool {
        self.running.as_deref() == Some(name)
    }

    /// Whether it waits for its turn.
    pub fn is_waiting(&self, name: &str) -> bool {
        self.waiting.iter().any(|waiting| waiting == name)
    }

    /// Names of those that were not made yet and neither run nor wait.
    pub fn not_made(&self) -> Vec<String> {
        let names = self.recipes.iter().map(|recipe| &recipe.name);
        names
            .filter(|name| !self.made.contains_key(*name) && !self.is_running(name) && !self.is_waiting(name))
            .cloned()
            .collect()
    }

    /// What one will take: nothing while that is not known, and nothing within where it cannot be told.
    pub fn estimate(&self, name: &str) -> Option<Option<Estimate>> {
        let estimates = self.estimates.as_ref()?;
        Some(estimates.get(name).copied().flatten())
    }

    /// Takes an outcome.
    pub fn take(&mut self, made: MadeExperiment) {
        self.pictures.replace(&made.name, made.thumbnail);
        self.made.insert(made.name, Rc::new(made.made));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_runs_or_waits_is_not_run_again_with_all() {
        let mut experiments = Experiments {
            recipes: Recipe::built_in().unwrap().into_iter().map(Rc::new).collect(),
            ..Experiments::default()
        };
        let all: Vec<String> = experiments.recipes.iter().map(|recipe| recipe.name.clone()).collect();
        assert_eq!(experiments.not_made(), all);
        let made = crate::experiment::outcome::Outcome::empty();
        experiments.take(MadeExperiment {
            name: all[0].clone(),
            made: Made::new(made, crate::experiment::cost::Cost::default(), &experiments.recipes[0]),
            thumbnail: None,
            now: false,
        });
        experiments.running = Some(all[1].clone());
        experiments.waiting.push_back(all[2].clone());
        assert_eq!(experiments.not_made(), all[3..]);
    }

    #[test]
    fn what_cannot_be_told_is_not_what_is_not_known_yet() {
        let mut experiments = Experiments::default();
        assert_eq!(experiments.estimate("shift"), None);
        let known = Estimate {
            training: 1.0,
            measuring: 2.0,
        };
        let estimates = [("shift".to_owned(), Some(known)), ("logistic".to_owned(), None)];
        experiments.estimates = Some(estimates.into_iter().collect());
        assert_eq!(experiments.estimate("shift"), Some(Some(known)));
        assert_eq!(experiments.estimate("logistic"), Some(None));
    }
}
