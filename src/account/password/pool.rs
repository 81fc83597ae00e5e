//! The threads that hash, and the queue before them.
//!
//! Hashing takes tens of milliseconds of a core and tens of megabytes on purpose. A few threads, each with one buffer
//! that it keeps, bound both; a queue of bounded length bounds the wait, and beyond it the answer is [`Error::Busy`] at
//! once. Checking tokens never waits here.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use entity::PasswordHash;
use tokio::sync::oneshot;

use super::{
    Password,
    argon2id::{self, Cost, Memory},
};
use crate::error::Error;

/// How many hashes may wait for each thread: about a second and a half of work at the default cost.
const QUEUE_PER_THREAD: usize = 64;

/// Hashes and verifies passwords on a small, fixed pool of threads, which ends when the last clone is dropped.
#[derive(Clone)]
pub struct Hasher {
    queue: SyncSender<Job>,
    /// What an unknown user's password is compared with, so that it takes as long as a wrong one.
    dummy: Arc<PasswordHash>,
}

/// What came of a verification.
#[derive(Debug)]
pub struct Verified {
    /// Whether the password is the one.
    pub matches: bool,
    /// The password hashed anew, if it matched a hash that costs less than configured.
    pub rehashed: Option<PasswordHash>,
}

enum Task {
    Hash(Password),
    Verify(Password, Arc<PasswordHash>),
}

struct Job {
    task: Task,
    reply: oneshot::Sender<Result<Reply, Error>>,
}

enum Reply {
    Hashed(PasswordHash),
    Verified(Verified),
}

impl Hasher {
    /// Starts `threads` threads, or one per core if 0.
    pub fn start(cost: Cost, threads: usize) -> io::Result<Self> {
        Self::with_queue(cost, threads, QUEUE_PER_THREAD)
    }

    fn with_queue(cost: Cost, threads: usize, queue_per_thread: usize) -> io::Result<Self> {
        let threads = if threads == 0 { thread::available_parallelism()?.get() } else { threads };
        let (queue, jobs) = sync_channel(threads * queue_per_thread);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new().name("password".to_owned()).spawn(move || work(&jobs, cost))?;
        }
        let dummy = argon2id::dummy(cost).map_err(io::Error::other)?;
        Ok(Self { queue, dummy: Arc::new(dummy) })
    }

    /// Hashes a password at the configured cost.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Error> {
        match self.ask(Task::Hash(password)).await? {
            Reply::Hashed(hash) => Ok(hash),
            Reply::Verified(_) => Err(lost()),
        }
    }

    /// Compares a password with a stored hash; with none at all it takes the same time and does not match.
    pub async fn verify(&self, password: Password, stored: Option<PasswordHash>) -> Result<Verified, Error> {
        let stored = stored.map_or_else(|| Arc::clone(&self.dummy), Arc::new);
        match self.ask(Task::Verify(password, stored)).await? {
            Reply::Verified(verified) => Ok(verified),
            Reply::Hashed(_) => Err(lost()),
        }
    }

    async fn ask(&self, task: Task) -> Result<Reply, Error> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Job { task, reply }).map_err(|_| Error::Busy)?;
        answer.await.map_err(|_| lost())?
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(..)")
    }
}

fn lost() -> Error {
    Error::Internal("a password was not hashed".to_owned())
}

/// One thread: takes jobs until there can be no more. What nobody waits for any longer is left undone.
fn work(jobs: &Mutex<Receiver<Job>>, cost: Cost) {
    let mut memory = Memory::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { task, reply }) = job else { return };
        if reply.is_closed() {
            continue;
        }
        let done = catch_unwind(AssertUnwindSafe(|| carry_out(task, cost, &mut memory)));
        // Whoever asked may have gone away meanwhile; that is no loss.
        drop(reply.send(done.unwrap_or_else(|_| Err(lost()))));
        shrink(&mut memory, cost);
    }
}

fn carry_out(task: Task, cost: Cost, memory: &mut Memory) -> Result<Reply, Error> {
    match task {
        Task::Hash(password) => hash(&password, cost, memory).map(Reply::Hashed),
        Task::Verify(password, stored) => {
            let verified = argon2id::verify(&password, &stored, cost, memory);
            let (matches, is_cheap) = verified.unwrap_or_else(|unverifiable| {
                tracing::error!(%unverifiable, "a user cannot log in");
                (false, false)
            });
            let rehashed = if matches && is_cheap { Some(hash(&password, cost, memory)?) } else { None };
            Ok(Reply::Verified(Verified { matches, rehashed }))
        }
    }
}

fn hash(password: &Password, cost: Cost, memory: &mut Memory) -> Result<PasswordHash, Error> {
    argon2id::hash(password, cost, memory).map_err(|error| Error::Internal(format!("hashing a password: {error}")))
}

/// A hash from elsewhere may have needed more than ours do; that much is not kept.
fn shrink(memory: &mut Memory, cost: Cost) {
    let ours = usize::try_from(cost.memory_kib).unwrap_or(usize::MAX);
    if memory.len() > ours {
        memory.truncate(ours);
        memory.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[tokio::test]
    async fn verifies_what_it_hashed() {
        let hasher = Hasher::start(CHEAP, 1).unwrap();
        let stored = hasher.hash(password("secret")).await.unwrap();
        let verify = async |text, stored| hasher.verify(password(text), stored).await.unwrap();
        assert!(verify("secret", Some(stored.clone())).await.matches);
        assert!(!verify("other", Some(stored)).await.matches);
        assert!(!verify("secret", None).await.matches);
        assert!(!verify("x", Some(PasswordHash::new("nonsense".to_owned()))).await.matches);
    }

    #[tokio::test]
    async fn a_cheap_hash_is_made_anew_when_the_password_is_right() {
        let stored = Hasher::start(CHEAP, 1).unwrap().hash(password("secret")).await.unwrap();
        let dearer = Hasher::start(Cost { iterations: 2, ..CHEAP }, 1).unwrap();
        let right = dearer.verify(password("secret"), Some(stored.clone())).await.unwrap();
        assert!(right.rehashed.is_some_and(|hash| hash.as_str().contains("t=2")));
        assert!(dearer.verify(password("wrong"), Some(stored)).await.unwrap().rehashed.is_none());
    }

    /// A pool without threads: what is sent to it stays in the queue.
    fn idle(queue: usize) -> (Hasher, Receiver<Job>) {
        let (queue, jobs) = sync_channel(queue);
        (Hasher { queue, dummy: Arc::new(PasswordHash::new(String::new())) }, jobs)
    }

    #[tokio::test]
    async fn a_full_queue_is_told_at_once() {
        let (hasher, jobs) = idle(1);
        let first = hasher.clone();
        tokio::spawn(async move { first.hash(password("first")).await.map(drop) });
        tokio::task::yield_now().await; // The test's runtime has one thread: now the first is in the queue.
        assert!(matches!(hasher.hash(password("second")).await, Err(Error::Busy)));
        drop(jobs);
    }

    #[test]
    fn what_nobody_waits_for_is_not_hashed() {
        let (hasher, jobs) = idle(2);
        let (reply, abandoned) = oneshot::channel();
        drop(abandoned);
        hasher.queue.try_send(Job { task: Task::Hash(password("abandoned")), reply }).unwrap();
        let (reply, mut wanted) = oneshot::channel();
        hasher.queue.try_send(Job { task: Task::Hash(password("wanted")), reply }).unwrap();
        drop(hasher);
        work(&Mutex::new(jobs), CHEAP);
        assert!(matches!(wanted.try_recv(), Ok(Ok(Reply::Hashed(_)))));
    }
}
