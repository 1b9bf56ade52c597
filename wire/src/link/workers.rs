//! Tasks that serve calls, one after the other.
//!
//! A task per call would be made, moved and freed with every one of them, and it is large: all of an exchange is in it. That
//! was a quarter of what a node spent on a small call. A worker that has served its call waits for the next one, up to a
//! bound. A panic is the end of one call, and of its worker.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Workers that wait: as many as there are calls under way on a busy core. Each is a few KiB.
const WAITING: usize = 256;

/// The workers of one core, who turn a job `J` into a future.
#[derive(Debug)]
pub(super) struct Workers<J>(Rc<RefCell<Vec<Rc<Desk<J>>>>>);

/// Where a worker finds its next job.
#[derive(Debug)]
struct Desk<J>(RefCell<(Option<J>, Option<Waker>)>);

impl<J: 'static> Workers<J> {
    pub(super) fn new() -> Self {
        Self(Rc::default())
    }

    /// Starts `job`, with `serve` where nobody waits for one. All jobs are served alike: it is the same each time.
    pub(super) fn start<F: Future<Output = ()>>(&self, job: J, serve: impl Fn(J) -> F + 'static) {
        if let Some(desk) = self.0.borrow_mut().pop() {
            desk.put(job);
            return;
        }
        let waiting = Rc::clone(&self.0);
        tokio::task::spawn_local(async move {
            let desk = Rc::new(Desk(RefCell::new((Some(job), None))));
            loop {
                let job = desk.take().await;
                serve(job).await;
                let mut waiting = waiting.borrow_mut();
                if waiting.len() >= WAITING {
                    return;
                }
                waiting.push(Rc::clone(&desk));
            }
        });
    }
}

impl<J> Desk<J> {
    fn put(&self, job: J) {
        let mut desk = self.0.borrow_mut();
        desk.0 = Some(job);
        if let Some(waker) = desk.1.take() {
            waker.wake();
        }
    }

    async fn take(&self) -> J {
        poll_fn(|cx| {
            let mut desk = self.0.borrow_mut();
            match desk.0.take() {
                Some(job) => Poll::Ready(job),
                None => {
                    desk.1 = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::sync::oneshot;
    use tokio::task::{LocalSet, yield_now};

    #[tokio::test]
    async fn a_worker_takes_the_next_job_and_one_that_panicked_takes_none() {
        let served = Rc::new(Cell::new(0));
        let count = Rc::clone(&served);
        let serve = move |job: oneshot::Receiver<()>| {
            let count = Rc::clone(&count);
            async move {
                job.await.expect("the test says when it is over, or a panic follows");
                count.set(count.get() + 1);
            }
        };
        let local = LocalSet::new();
        local
            .run_until(async {
                let workers = Workers::new();
                for _ in 0..3 {
                    let (tell, told) = oneshot::channel();
                    workers.start(told, serve.clone());
                    yield_now().await;
                    assert_eq!(workers.0.borrow().len(), 0, "the only worker is busy");
                    tell.send(()).expect("the job waits");
                    while workers.0.borrow().is_empty() {
                        yield_now().await;
                    }
                    assert_eq!(workers.0.borrow().len(), 1);
                }
                let (tell, told) = oneshot::channel();
                workers.start(told, serve.clone());
                drop(tell);
                yield_now().await;
                let (tell, told) = oneshot::channel();
                workers.start(told, serve.clone());
                tell.send(()).expect("another worker has it");
                while served.get() < 4 {
                    yield_now().await;
                }
            })
            .await;
    }
}
