//! What a tab asks the worker for while it is looked at: once until something else is wanted, and to hold once it is
//! left.

/// What was asked for last, and what a person stopped.
#[derive(Debug)]
pub struct Asking<T> {
    asked: Option<T>,
    stopped: Option<T>,
}

impl<T> Default for Asking<T> {
    fn default() -> Self {
        Self {
            asked: None,
            stopped: None,
        }
    }
}

impl<T: Clone + PartialEq> Asking<T> {
    /// What to ask for, where it is another than before: what is wanted, and nothing, within, once nothing is. What is
    /// `like` that which a person stopped is not asked for, and while a hand is on a slider it has not chosen yet.
    pub fn next(&mut self, wanted: Option<T>, held: bool, like: impl Fn(&T, &T) -> bool) -> Option<Option<T>> {
        let Some(wanted) = wanted else {
            // Opened again, it begins by itself.
            self.stopped = None;
            return self.asked.take().map(|_| None);
        };
        let is_stopped = self.stopped.as_ref().is_some_and(|stopped| like(stopped, &wanted));
        if held || is_stopped || self.asked.as_ref() == Some(&wanted) {
            return None;
        }
        self.stopped = None;
        self.asked = Some(wanted.clone());
        Some(Some(wanted))
    }

    /// Whether something is asked for and was not stopped.
    pub fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Lets it be asked for again, stopped or not.
    pub fn again(&mut self) {
        *self = Self::default();
    }

    /// Keeps it from being asked for until something else is.
    pub fn stop(&mut self) {
        self.stopped = self.asked.take();
    }
}
