// SPDX-License-Identifier: Apache-2.0
//! `IWakeupStats` on binder: each call reads a snapshot, and converts it.
//!
//! The only module of the library that knows binder.

use std::error::Error as StdError;
use std::io;
use std::sync::{Mutex, PoisonError};

use log::warn;
use rsbinder::{BinderResult, Interface, ProcessState, Status, StatusCode, Strong, hub};
use rustix::system::uname;
use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;
use wakeupstats_aidl::{
    BnWakeupStats, ERROR_READ_FAILED, ERROR_REPLY_TOO_LARGE, IWakeupStats, SERVICE_NAME,
    SnapshotBackend, SnapshotQuery, WakeupSnapshot, WakeupSource,
};

use crate::model::{Backend, Snapshot, Source};
use crate::table::Table;
use crate::walk::{self, Program, Walker};

/// The largest reply that a client with binder's default mapping of 1 MiB less two pages can take,
/// less what the parcel's own header and the status need. Bytes.
const MAX_REPLY: usize = 1024 * 1024 - 2 * 4096 - 1024;

/// What a row takes in a parcel beside its two strings, which are UTF-16 and padded. Bytes.
const ROW_BYTES: usize = 4 + 4 + 4 * 4 + 10 * 8 + 2 * (4 + 2 + 2);

/// Why a call failed, or the service could not begin.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no binder device, or it can't be opened.
    #[error(
        "no binder device can be opened (tried /dev/binderfs/binder and /dev/binder): the kernel \
         needs CONFIG_ANDROID_BINDER_IPC, or its module binder_linux loaded, and this process \
         permission to open the device"
    )]
    NoDevice(#[source] Box<dyn StdError>),
    /// Nothing manages services.
    #[error(
        "no service manager answers on binder: start it first (rsb_hub, on Android servicemanager)"
    )]
    NoServiceManager(#[source] StatusCode),
    /// The service manager would not register the service.
    #[error(
        "the service manager refuses to register {SERVICE_NAME}: its policy must allow this \
         process to add it"
    )]
    NotRegistered(#[source] Status),
    /// The thread pool ended.
    #[error("binder's thread pool ended")]
    ThreadPool(#[source] StatusCode),
    /// No snapshot could be read.
    #[error(transparent)]
    Read(#[from] walk::Error),
    /// The snapshot does not fit into a reply.
    #[error("{sources} wakeup sources do not fit into one reply ({bytes} bytes of {MAX_REPLY})")]
    ReplyTooLarge {
        /// How many sources there are.
        sources: usize,
        /// How long the reply would be.
        bytes: usize,
    },
    /// The dump was called with an argument.
    #[error("unknown option: {0}\nUsage: dumpsys wakeupstats")]
    UnknownOption(String),
}

/// Opens binder and finds the service manager.
pub fn open() -> Result<(), Error> {
    ProcessState::init_default().map_err(Error::NoDevice)?;
    hub::default().map_err(Error::NoServiceManager)?;
    Ok(())
}

/// The service.
#[derive(Debug)]
pub struct WakeupStats<P> {
    walker: Mutex<Walker<P>>,
}

impl<P: Program + Send + 'static> WakeupStats<P> {
    /// A service that reads its snapshots from `walker`, one at a time.
    pub fn new(walker: Walker<P>) -> Self {
        WakeupStats { walker: Mutex::new(walker) }
    }

    /// Registers the service and serves calls. Does not return unless that fails.
    pub fn serve(self) -> Result<(), Error> {
        ProcessState::start_thread_pool();
        let service: Strong<dyn IWakeupStats> = BnWakeupStats::new_binder(self);
        hub::add_service(SERVICE_NAME, service).map_err(Error::NotRegistered)?;
        ProcessState::join_thread_pool().map_err(Error::ThreadPool)
    }

    fn snapshot(&self) -> Result<Snapshot, Error> {
        // A panic elsewhere can't have left half a walker: each snapshot begins with a new run.
        let mut walker = self.walker.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(walker.snapshot()?)
    }

    fn dump_text(&self, args: &[String]) -> Result<String, Error> {
        if let Some(arg) = args.first() {
            return Err(Error::UnknownOption(arg.escape_default().to_string()));
        }
        let snapshot = self.snapshot()?;
        let now = clock_gettime(ClockId::Monotonic);
        let now_ns = now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec);
        let kernel = uname();
        let kernel = kernel.release().to_string_lossy();
        Ok(Table { snapshot: &snapshot, kernel: &kernel, now_ns }.to_string())
    }
}

impl<P: Program + Send + 'static> Interface for WakeupStats<P> {
    fn dump(&self, writer: &mut dyn io::Write, args: &[String]) -> rsbinder::Result<()> {
        let text = self.dump_text(args).unwrap_or_else(|error| format!("{}\n", chain(&error)));
        // A reader that went away has nobody to tell.
        let _ = writer.write_all(text.as_bytes());
        Ok(())
    }
}

impl<P: Program + Send + 'static> IWakeupStats for WakeupStats<P> {
    fn getSnapshot(&self, _query: &SnapshotQuery) -> BinderResult<WakeupSnapshot> {
        self.snapshot().and_then(reply).map_err(status)
    }
}

/// The one place where an error becomes what a caller sees.
fn status(error: Error) -> Status {
    let code = match error {
        Error::ReplyTooLarge { .. } => ERROR_REPLY_TOO_LARGE,
        _ => ERROR_READ_FAILED,
    };
    let message = chain(&error);
    warn!("a call failed: {message}");
    Status::new_service_specific_error(code, Some(message))
}

/// An error with its causes.
pub fn chain(error: &dyn StdError) -> String {
    std::iter::successors(error.source(), |&cause| cause.source())
        .fold(error.to_string(), |message, cause| {
            format!("{message}: {}", cause.to_string().trim())
        })
}

fn reply(snapshot: Snapshot) -> Result<WakeupSnapshot, Error> {
    let row = |source: &Source| ROW_BYTES + 2 * (source.name.len() + source.device.len());
    let bytes = snapshot.sources.iter().map(row).sum();
    if bytes > MAX_REPLY {
        return Err(Error::ReplyTooLarge { sources: snapshot.sources.len(), bytes });
    }
    Ok(WakeupSnapshot {
        backend: match snapshot.backend {
            Backend::Load => SnapshotBackend::LOAD,
        },
        walks: int(snapshot.walks),
        monotonicNs: snapshot.monotonic_ns,
        boottimeNs: snapshot.boottime_ns,
        walkDurationNs: snapshot.duration_ns,
        totalSources: int(snapshot.total),
        complete: snapshot.complete,
        sources: snapshot.sources.into_iter().map(row_of).collect(),
    })
}

fn row_of(source: Source) -> WakeupSource {
    WakeupSource {
        id: int(source.id),
        name: source.name,
        nameTruncated: source.name_truncated,
        device: source.device,
        active: source.active,
        consistent: source.consistent,
        activeCount: long(source.active_count),
        eventCount: long(source.event_count),
        wakeupCount: long(source.wakeup_count),
        expireCount: long(source.expire_count),
        relaxCount: long(source.relax_count),
        activeTimeNs: source.active_time_ns,
        totalTimeNs: source.total_time_ns,
        maxTimeNs: source.max_time_ns,
        lastChangeNs: source.last_change_ns,
        preventSuspendTimeNs: source.prevent_suspend_time_ns,
    }
}

/// AIDL has no unsigned numbers; the kernel's ids and counts stay far below the limit.
fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
