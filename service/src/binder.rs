// SPDX-License-Identifier: Apache-2.0
//! `IWakeupStats` on binder. A method checks access, delegates, and converts.

use std::error::Error as StdError;
use std::io;

use log::warn;
use rsbinder::{
    BinderResult, ExceptionCode, Interface, ProcessState, Status, StatusCode, Strong, hub,
};
use rustix::system::uname;
use thiserror::Error;
use wakeupstats_aidl::{
    BnWakeupStats, ERROR_READ_FAILED, ERROR_REPLY_FAILED, IWakeupStats, PassedOverBackend,
    SERVICE_NAME, ServiceStatus, SnapshotBackend, SnapshotQuery, WakeupSnapshot,
};

use crate::access::{self, Access};
use crate::chain;
use crate::model::Snapshot;
use crate::query;
use crate::reader::{Reader, monotonic_ns};
use crate::reply;
use crate::table::Table;
use crate::walk::{self, Program};

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
    /// The caller may not call.
    #[error(transparent)]
    Denied(#[from] access::Denied),
    /// The query makes no sense.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// No snapshot could be read.
    #[error(transparent)]
    Read(#[from] walk::Error),
    /// The snapshot could not be put into a reply.
    #[error(transparent)]
    Reply(#[from] reply::Error),
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
    reader: Reader<P>,
    access: Access,
}

impl<P: Program + Send + 'static> WakeupStats<P> {
    /// A service that answers from `reader` those whom `access` lets in.
    pub fn new(reader: Reader<P>, access: Access) -> Self {
        WakeupStats { reader, access }
    }

    /// Registers the service and serves calls. Does not return unless that fails.
    pub fn serve(self) -> Result<(), Error> {
        ProcessState::start_thread_pool();
        let service: Strong<dyn IWakeupStats> = BnWakeupStats::new_binder(self);
        hub::add_service(SERVICE_NAME, service).map_err(Error::NotRegistered)?;
        ProcessState::join_thread_pool().map_err(Error::ThreadPool)
    }

    fn snapshot(&self, query: &SnapshotQuery) -> Result<WakeupSnapshot, Error> {
        self.access.check(access::BATTERY_STATS)?;
        let (core, max_age) = reply::query(query)?;
        let answer =
            self.reader.read(max_age, |tracker| reply::snapshot(query, &core.answer(tracker)));
        let mut reply = answer?;
        reply::move_large_sources(&mut reply)?;
        Ok(reply)
    }

    fn status(&self) -> Result<ServiceStatus, Error> {
        self.access.check(access::BATTERY_STATS)?;
        Ok(self.reader.known(|tracker, room, error| ServiceStatus {
            backend: reply::backend(self.reader.backend()),
            passedOver: vec![PassedOverBackend {
                backend: SnapshotBackend::PINNED,
                reason: "this version has no such backend".into(),
            }],
            kernelRelease: kernel_release(),
            instance: tracker.instance(),
            sequence: tracker.sequence(),
            lastSnapshotNs: tracker.walk().map_or(0, |walk| walk.monotonic_ns),
            totalSources: tracker.walk().map_or(0, |walk| reply::int(walk.total)),
            roomBytes: room.cast_signed(),
            lastError: error.map(|error| error.message.clone()).unwrap_or_default(),
            lastErrorNs: error.map_or(0, |error| error.monotonic_ns),
        }))
    }

    fn dump_text(&self, args: &[String]) -> Result<String, Error> {
        self.access.check(access::DUMP)?;
        if let Some(arg) = args.first() {
            return Err(Error::UnknownOption(arg.escape_default().to_string()));
        }
        let snapshot = self.reader.read(std::time::Duration::ZERO, |tracker| {
            let sources = tracker.rows().iter().map(|row| row.source.clone()).collect();
            tracker.walk().map(|walk| Snapshot { walk, sources })
        })?;
        let kernel = kernel_release();
        Ok(snapshot.map_or_else(String::new, |snapshot| {
            Table { snapshot: &snapshot, kernel: &kernel, now_ns: monotonic_ns() }.to_string()
        }))
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
    fn getSnapshot(&self, query: &SnapshotQuery) -> BinderResult<WakeupSnapshot> {
        self.snapshot(query).map_err(status)
    }

    fn getStatus(&self) -> BinderResult<ServiceStatus> {
        self.status().map_err(status)
    }
}

/// The one place where an error becomes what a caller sees.
fn status(error: Error) -> Status {
    let message = chain(&error);
    // A caller's own mistake is for the caller to know; it could fill the log with it.
    if !matches!(error, Error::Denied(_) | Error::Query(_)) {
        warn!("a call failed: {message}");
    }
    match error {
        Error::Denied(_) => (ExceptionCode::Security, message.as_str()).into(),
        Error::Query(_) => (ExceptionCode::IllegalArgument, message.as_str()).into(),
        Error::Reply(_) => Status::new_service_specific_error(ERROR_REPLY_FAILED, Some(message)),
        _ => Status::new_service_specific_error(ERROR_READ_FAILED, Some(message)),
    }
}

fn kernel_release() -> String {
    uname().release().to_string_lossy().into_owned()
}
