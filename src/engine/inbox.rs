//! Requests on their way to the worker: a queue, and one place for the newest live request.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use super::request::{Request, SliceRequest};

#[derive(Default)]
struct Content {
    queue: VecDeque<Request>,
    live: Option<Option<SliceRequest>>,
}

/// Shared by window and worker; locked only to push and to take.
#[derive(Default)]
pub struct Inbox {
    content: Mutex<Content>,
    filled: Condvar,
}

/// What was taken out.
pub struct Taken {
    /// Queued requests, in order.
    pub queue: VecDeque<Request>,
    /// The newest live request, if there was one.
    pub live: Option<Option<SliceRequest>>,
}

impl Inbox {
    pub fn push(&self, request: Request) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        match request {
            Request::Slice(request) => content.live = Some(request.map(|r| *r)),
            other => content.queue.push_back(other),
        }
        drop(content);
        self.filled.notify_one();
    }

    /// Takes all there is; when asked to wait, sleeps until there is something.
    pub fn take(&self, wait: bool) -> Taken {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        while wait && content.queue.is_empty() && content.live.is_none() {
            content = self.filled.wait(content).unwrap_or_else(PoisonError::into_inner);
        }
        Taken {
            queue: std::mem::take(&mut content.queue),
            live: content.live.take(),
        }
    }
}
