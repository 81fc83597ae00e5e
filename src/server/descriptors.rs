//! File descriptors: a connection takes one, and systems let a process begin with few, commonly 1024, and have more if it asks.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many connections there may be: as many as are asked for, if the system allows three for every four descriptors. The
/// others are for the database, which must not be without because somebody holds connections.
pub(super) fn connections(asked_for: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return asked_for };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    let descriptors = usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX);
    let allowed = descriptors - descriptors / 4;
    if allowed < asked_for {
        tracing::warn!(
            asked_for,
            allowed,
            descriptors,
            "limits.max_connections is more than there may be open files (ulimit -n)"
        );
    }
    asked_for.min(allowed)
}
