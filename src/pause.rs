//! Points at which a test holds whoever comes by, so that what happens at the same moment happens in an order that it chooses.
//!
//! They are in debug builds only: in a release build `pause!` is nothing at all, and [`Pauses`] an empty value. Each database
//! that is opened has its own, so that tests which run side by side do not hold each other's.

use std::fmt;
#[cfg(debug_assertions)]
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

#[cfg(debug_assertions)]
use tokio::sync::oneshot;

/// Waits here for as long as a test says.
macro_rules! pause {
    ($db:expr, $point:ident) => {
        #[cfg(debug_assertions)]
        $db.pauses.at($crate::pause::Point::$point).await;
    };
}
pub(crate) use pause;

/// Where somebody can be held.
#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// A change is about to begin its transaction: what it looks at before, it has looked at.
    Change,
    /// A change has read and locked the token that it is about, and written nothing yet.
    Locked,
    /// A change is written, and not committed.
    Written,
    /// A change is committed, and nobody has heard: not those who remember, not whoever asked for it.
    Committed,
    /// A token has been read for a check, and is not remembered yet.
    Read,
    /// A look has counted the changes made elsewhere, and forgotten nothing yet.
    Counted,
    /// A job has read the clock, and not yet found out whether it is right.
    Clock,
    /// A batch of a purge is chosen by its condition, and not carried out.
    Batch,
    /// A batch of a purge is carried out, and not committed.
    Deleted,
    /// Uses of tokens have been taken to be written, and are not.
    Uses,
    /// Uses of tokens are written, and not committed.
    UsesWritten,
}

/// Who is to be held where.
#[derive(Clone, Default)]
pub struct Pauses(#[cfg(debug_assertions)] Arc<Mutex<HashMap<Point, Gate>>>);

#[cfg(debug_assertions)]
struct Gate {
    reached: oneshot::Sender<()>,
    open: oneshot::Receiver<()>,
}

/// Somebody who is held, or will be: until this is dropped.
#[cfg(debug_assertions)]
#[derive(Debug)]
pub struct Held {
    reached: oneshot::Receiver<()>,
    _open: oneshot::Sender<()>,
}

#[cfg(debug_assertions)]
impl Pauses {
    /// Holds the next who comes to this point, and nobody after.
    pub fn hold(&self, point: Point) -> Held {
        let ((reached, is_reached), (open, is_open)) = (oneshot::channel(), oneshot::channel());
        let gate = Gate { reached, open: is_open };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(point, gate);
        Held { reached: is_reached, _open: open }
    }

    /// Waits here if somebody is to be held.
    pub(crate) async fn at(&self, point: Point) {
        let gate = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&point);
        if let Some(Gate { reached, open }) = gate
            && reached.send(()).is_ok()
        {
            // Dropping the other end opens it.
            drop(open.await);
        }
    }
}

#[cfg(debug_assertions)]
impl Held {
    /// Waits until somebody is held; false if nobody ever will be.
    pub async fn reached(&mut self) -> bool {
        (&mut self.reached).await.is_ok()
    }
}

impl fmt::Debug for Pauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pauses(..)")
    }
}
