//! Computations beside the window's thread: each sends what it has so far, and ends once nobody listens.

use std::sync::mpsc::{self, Receiver, TryIter};
use std::time::Duration;

use egui::Context;

use crate::error::{Error, Result};

/// A computation on a thread of its own. Dropped, it ends at the next thing that it sends.
pub struct Aside<T>(Receiver<T>);

impl<T: Send + 'static> Aside<T> {
    /// Starts `work`, which sends what it finds by the function that it is given; that says whether to go on. The
    /// window is drawn again so soon after each.
    ///
    /// # Errors
    /// [`Error::Request`] when the system gives no thread.
    pub fn start(
        context: &Context,
        soon: Duration,
        work: impl FnOnce(&mut dyn FnMut(T) -> bool) + Send + 'static,
    ) -> Result<Self> {
        let (sender, found) = mpsc::channel();
        let context = context.clone();
        let run = move || {
            work(&mut |one| {
                let wanted = sender.send(one).is_ok();
                if wanted {
                    context.request_repaint_after(soon);
                }
                wanted
            });
        };
        std::thread::Builder::new()
            .name("dynamics".to_owned())
            .spawn(run)
            .map_err(|error| Error::Request(format!("the dynamics could not be computed: {error}")))?;
        Ok(Self(found))
    }

    /// What was found since one asked last.
    pub fn found(&self) -> TryIter<'_, T> {
        self.0.try_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Sends numbers up to 4; over, it lets go of `ended`.
    fn count(from: u32, ended: mpsc::Sender<()>) -> impl FnOnce(&mut dyn FnMut(u32) -> bool) + Send + 'static {
        move |send| {
            let mut next = from;
            while next < 5 && send(next) {
                next += 1;
            }
            drop(ended);
        }
    }

    /// Sends until nobody listens.
    fn endless(ended: mpsc::Sender<()>) -> impl FnOnce(&mut dyn FnMut(u32) -> bool) + Send + 'static {
        move |send| {
            while send(1) {
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(ended);
        }
    }

    #[test]
    fn all_that_is_found_arrives_and_nothing_is_sought_for_nobody() {
        let context = Context::default();
        let over = Err(mpsc::RecvTimeoutError::Disconnected);
        let (ended, end) = mpsc::channel();
        let aside = Aside::start(&context, Duration::ZERO, count(2, ended)).unwrap();
        assert_eq!(end.recv_timeout(PATIENCE), over);
        assert_eq!(aside.found().collect::<Vec<u32>>(), [2, 3, 4]);
        let (ended, end) = mpsc::channel();
        drop(Aside::start(&context, Duration::ZERO, endless(ended)).unwrap());
        assert_eq!(end.recv_timeout(PATIENCE), over);
    }
}
