// SPDX-License-Identifier: Apache-2.0
//! Who may call: the second gate, behind the service manager's `find`.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rsbinder::permission_controller;
use rustix::process::geteuid;
use thiserror::Error;

use crate::places::{Place, Places};

/// Reading the wakeup sources.
pub const BATTERY_STATS: &str = "android.permission.BATTERY_STATS";

/// Dumping them.
pub const DUMP: &str = "android.permission.DUMP";

/// How long the permission service may take before the answer is no.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// How many callers may be asked for at a time. Others wait, within the same limit.
const MAX_ASKING: usize = 8;

/// How long a yes holds. A caller that loses a permission keeps access for as long at the most.
const YES_HOLDS: Duration = Duration::from_secs(10);

/// A caller that is turned away.
#[derive(Debug, Error)]
#[error("uid {uid} may not do this, which needs {permission}: {why}")]
pub struct Denied {
    uid: u32,
    permission: &'static str,
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
        Access::Permissions(Permissions {
            granted: Mutex::default(),
            asking: Places::new(MAX_ASKING),
        })
    }

    /// Lets in root, the uid of this process, and these.
    pub fn uids(also: impl IntoIterator<Item = u32>) -> Self {
        Access::Uids([0, geteuid().as_raw()].into_iter().chain(also).collect())
    }

    /// Whether the caller of the binder transaction at hand is let in.
    pub fn check(&self, permission: &'static str) -> Result<(), Denied> {
        let uid = rsbinder::get_calling_uid();
        let denied = |why: String| Denied { uid, permission, why };
        match self {
            Access::Permissions(permissions) => {
                permissions.check(permission, rsbinder::get_calling_pid(), uid).map_err(denied)
            }
            Access::Uids(uids) if uids.contains(&uid) => Ok(()),
            Access::Uids(_) => {
                Err(denied("its uid is not allowed; the option --allow-uid allows one".into()))
            }
        }
    }
}

/// What the permission service said, and is being asked.
#[derive(Debug)]
pub struct Permissions {
    granted: Mutex<HashMap<(u32, &'static str), Instant>>,
    asking: Arc<Places>,
}

impl Permissions {
    fn check(&self, permission: &'static str, pid: i32, uid: u32) -> Result<(), String> {
        if self.is_granted(permission, uid) {
            return Ok(());
        }
        let place = self.asking.take(ANSWER_LIMIT);
        let place = place.ok_or("the permission service keeps too many others waiting, so no")?;
        // Whoever had the place before may have asked the same.
        if self.is_granted(permission, uid) {
            return Ok(());
        }
        ask(place, permission, pid, uid)?;
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.insert((uid, permission), Instant::now());
        Ok(())
    }

    fn is_granted(&self, permission: &'static str, uid: u32) -> bool {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.retain(|_, when| when.elapsed() < YES_HOLDS);
        granted.contains_key(&(uid, permission))
    }
}

/// Asks in a thread, as nothing else bounds how long an answer over binder takes.
fn ask(place: Place, permission: &'static str, pid: i32, uid: u32) -> Result<(), String> {
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
        Ok(Ok(false)) => Err("the permission service says no".into()),
        Ok(Err(error)) => Err(format!("the permission service is away, so no: {error}")),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(format!("the permission service did not answer within {ANSWER_LIMIT:?}, so no"))
        }
    }
}
