// SPDX-License-Identifier: Apache-2.0
//! Who may call: the second gate, behind the service manager's `find`.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rsbinder::permission_controller;
use rustix::process::geteuid;
use thiserror::Error;

/// Reading the wakeup sources.
pub const BATTERY_STATS: &str = "android.permission.BATTERY_STATS";

/// Dumping them.
pub const DUMP: &str = "android.permission.DUMP";

/// How long the permission service may take before the answer is no.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// How many callers may wait for the permission service at a time.
const MAX_WAITING: usize = 8;

/// How long a yes holds. A caller that loses a permission keeps access for as long at the most.
const YES_HOLDS: Duration = Duration::from_secs(10);

/// A caller that is turned away.
#[derive(Debug, Error)]
#[error("uid {uid} may not do this: {why}")]
pub struct Denied {
    uid: u32,
    why: String,
}

/// The rule by which callers are let in.
#[derive(Debug)]
pub enum Access {
    /// Those who hold an Android permission, as the service "permission" says.
    Permissions(Permissions),
    /// Those with one of these uids, where there is no such service.
    Uids(BTreeSet<u32>),
}

impl Access {
    /// Lets in whoever holds the permission.
    pub fn permissions() -> Self {
        Access::Permissions(Permissions::default())
    }

    /// Lets in root, the uid of this process, and these.
    pub fn uids(also: impl IntoIterator<Item = u32>) -> Self {
        Access::Uids([0, geteuid().as_raw()].into_iter().chain(also).collect())
    }

    /// Whether the caller of the binder transaction at hand is let in.
    pub fn check(&self, permission: &'static str) -> Result<(), Denied> {
        let uid = rsbinder::get_calling_uid();
        let denied = |why: String| Denied { uid, why };
        match self {
            Access::Permissions(permissions) => {
                permissions.check(permission, rsbinder::get_calling_pid(), uid).map_err(denied)
            }
            Access::Uids(uids) if uids.contains(&uid) => Ok(()),
            Access::Uids(_) => Err(denied(format!(
                "it does not have {permission}, which the option --allow-uid stands for here"
            ))),
        }
    }
}

/// What the permission service said, and is being asked.
#[derive(Debug, Default)]
pub struct Permissions {
    granted: Mutex<HashMap<(u32, &'static str), Instant>>,
    waiting: Arc<AtomicUsize>,
}

impl Permissions {
    fn check(&self, permission: &'static str, pid: i32, uid: u32) -> Result<(), String> {
        let key = (uid, permission);
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.retain(|_, when| when.elapsed() < YES_HOLDS);
        if granted.contains_key(&key) {
            return Ok(());
        }
        drop(granted);
        self.ask(permission, pid, uid)?;
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.insert(key, Instant::now());
        Ok(())
    }

    /// Asks in a thread, as nothing else bounds how long an answer over binder takes.
    fn ask(&self, permission: &'static str, pid: i32, uid: u32) -> Result<(), String> {
        let place = Place::take(&self.waiting)?;
        let (sender, receiver) = mpsc::channel();
        let ask = move || {
            let _place = place;
            let uid = uid.cast_signed();
            let answer = permission_controller::default()
                .map_err(Into::into)
                .and_then(|controller| controller.checkPermission(permission, pid, uid));
            // Nobody may wait for it any more.
            let _ = sender.send(answer);
        };
        let asked = thread::Builder::new().name("permission".into()).spawn(ask);
        asked.map_err(|error| format!("the permission service can't be asked: {error}"))?;
        match receiver.recv_timeout(ANSWER_LIMIT) {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(format!("it does not have {permission}")),
            Ok(Err(error)) => Err(format!("the permission service is away, so no: {error}")),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(format!("the permission service did not answer within {ANSWER_LIMIT:?}, so no"))
            }
        }
    }
}

/// A place among those who wait, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>) -> Result<Self, String> {
        let place = Place(Arc::clone(waiting));
        if waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING {
            Ok(place)
        } else {
            Err(format!("{MAX_WAITING} others wait for the permission service, so no"))
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
