//! The same work for many items on all cores, the results in the order of the items.
//!
//! Invariants: what is worked on runs ahead of what is taken by at most [`AHEAD`] chunks, so memory does not grow with the
//! number of items; a panic of the work reaches the caller.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

/// The most items that a thread takes at once: handing over costs more than a small item.
const MAX_CHUNK: usize = 16;
/// Chunks for each thread, at least, where there are enough items: threads then end at about the same time.
const CHUNKS_OF_THREAD: usize = 8;
/// Chunks that may be worked on or wait to be taken, for each thread.
const AHEAD: usize = 4;
/// The most threads: more of them wait for memory and disks.
const MAX_THREADS: usize = 32;
/// Bytes of a thread's stack: trees are walked recursively.
const STACK: usize = 8 * 1024 * 1024;

/// Calls `work` with each item, on as many threads as there are cores, and `take` with the results, on this thread, in the
/// order of the items.
pub(crate) fn in_order<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync, take: impl FnMut(R)) {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    on_threads(cores.min(MAX_THREADS), items, work, take);
}

fn on_threads<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(R),
) {
    let chunk = items.len().div_ceil(threads.max(1) * CHUNKS_OF_THREAD).clamp(1, MAX_CHUNK);
    let chunks: Vec<&[T]> = items.chunks(chunk).collect();
    let threads = threads.min(chunks.len());
    if threads <= 1 {
        items.iter().map(work).for_each(take);
        return;
    }
    let queue = Queue::new(chunks.len(), threads * AHEAD);
    thread::scope(|scope| {
        // Also when `take` panics: the threads must not wait for it.
        let _end = EndOnDrop { queue: &queue, only_on_panic: false };
        let mut started = 0;
        for _ in 0..threads {
            let worker = || {
                let _end = EndOnDrop { queue: &queue, only_on_panic: true };
                while let Some(index) = queue.next() {
                    queue.put(index, chunks[index].iter().map(&work).collect());
                }
            };
            started +=
                usize::from(thread::Builder::new().stack_size(STACK).spawn_scoped(scope, worker).is_ok());
        }
        if started == 0 {
            return items.iter().map(&work).for_each(take);
        }
        while let Some(ready) = queue.ready() {
            ready.into_iter().flatten().for_each(&mut take);
        }
    });
}

/// Chunks that are handed out, worked on and taken.
struct Queue<R> {
    progress: Mutex<Progress<R>>,
    /// Told when the chunk that is to be taken next is there, and when all has ended.
    arrived: Condvar,
    /// Told when chunks were taken, and when all has ended.
    taken: Condvar,
    chunks: usize,
    ahead: usize,
}

struct Progress<R> {
    /// The chunk that is handed out next.
    next: usize,
    /// The chunk that is taken next: the first of `done`.
    first: usize,
    /// Results of the chunks that were handed out and not taken.
    done: VecDeque<Option<Vec<R>>>,
    ended: bool,
}

impl<R> Queue<R> {
    fn new(chunks: usize, ahead: usize) -> Self {
        let progress = Progress { next: 0, first: 0, done: VecDeque::new(), ended: false };
        let (arrived, taken) = (Condvar::new(), Condvar::new());
        Self { progress: Mutex::new(progress), arrived, taken, chunks, ahead }
    }

    fn lock(&self) -> MutexGuard<'_, Progress<R>> {
        self.progress.lock().expect("nothing panics while it holds the lock")
    }

    /// The next chunk to work on; none when all are handed out.
    fn next(&self) -> Option<usize> {
        let waits = |progress: &mut Progress<R>| {
            !progress.ended && progress.next < self.chunks && progress.done.len() >= self.ahead
        };
        let progress = self.taken.wait_while(self.lock(), waits);
        let mut progress = progress.expect("nothing panics while it holds the lock");
        if progress.ended || progress.next == self.chunks {
            return None;
        }
        progress.next += 1;
        progress.done.push_back(None);
        Some(progress.next - 1)
    }

    /// The results of a chunk that was handed out.
    fn put(&self, index: usize, results: Vec<R>) {
        let mut progress = self.lock();
        let place = index - progress.first;
        progress.done[place] = Some(results);
        if place == 0 {
            self.arrived.notify_one();
        }
    }

    /// The next results, as many as are there; none after the last.
    fn ready(&self) -> Option<Vec<Vec<R>>> {
        let waits = |progress: &mut Progress<R>| {
            !progress.ended && progress.first < self.chunks && !matches!(progress.done.front(), Some(Some(_)))
        };
        let progress = self.arrived.wait_while(self.lock(), waits);
        let mut progress = progress.expect("nothing panics while it holds the lock");
        let mut ready = Vec::new();
        while let Some(Some(results)) = progress.done.pop_front_if(|first| first.is_some()) {
            ready.push(results);
        }
        progress.first += ready.len();
        self.taken.notify_all();
        (!ready.is_empty()).then_some(ready)
    }
}

/// Ends a queue for all who wait for it.
struct EndOnDrop<'q, R> {
    queue: &'q Queue<R>,
    only_on_panic: bool,
}

impl<R> Drop for EndOnDrop<'_, R> {
    fn drop(&mut self) {
        if self.only_on_panic && !thread::panicking() {
            return;
        }
        // A panic is on its way already where the lock cannot be had.
        if let Ok(mut progress) = self.queue.progress.lock() {
            progress.ended = true;
        }
        self.queue.arrived.notify_all();
        self.queue.taken.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{AHEAD, MAX_CHUNK, on_threads};

    fn check(threads: usize, count: usize) {
        let items: Vec<usize> = (0..count).collect();
        let mut taken = Vec::new();
        on_threads(threads, &items, |item| item * 2, |result| taken.push(result));
        assert!(
            taken.iter().copied().eq(items.iter().map(|item| item * 2)),
            "{threads} threads, {count} items"
        );
    }

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for threads in [0, 1, 2, 3, 8] {
            for count in [0, 1, 2, 7, 100, 1000] {
                check(threads, count);
            }
        }
    }

    #[test]
    fn work_runs_ahead_only_so_far() {
        let (begun, mut taken) = (AtomicUsize::new(0), 0);
        let (threads, items) = (3, vec![(); 5000]);
        let work = |_: &()| begun.fetch_add(1, Ordering::SeqCst);
        let most = 2 * threads * AHEAD * MAX_CHUNK;
        on_threads(threads, &items, work, |_| {
            let ahead = begun.load(Ordering::SeqCst) - taken;
            assert!(ahead <= most, "{ahead} are begun and not taken");
            taken += 1;
        });
        assert_eq!(taken, items.len());
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let items: Vec<usize> = (0..1000).collect();
        let work = |bad: usize| {
            catch_unwind(AssertUnwindSafe(|| {
                on_threads(2, &items, |item| assert_ne!(*item, bad), |()| {});
            }))
        };
        assert!(work(500).is_err());
        assert!(work(1000).is_ok());
        let take = catch_unwind(|| on_threads(2, &items, |item| *item, |item| assert_ne!(item, 0)));
        assert!(take.is_err());
    }
}
