// SPDX-License-Identifier: Apache-2.0
//! `IWakeupStats` on binder. A method checks access, delegates, and converts.

use std::error::Error as StdError;
use std::io;
use std::process;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use log::{error, warn};
use rsbinder::{
    Binder, BinderResult, DeathRecipient, ExceptionCode, Interface, ProcessState, Status,
    StatusCode, WIBinder, hub,
};
use thiserror::Error;
use wakeupstats_aidl::{
    ERROR_READ_FAILED, ERROR_REPLY_FAILED, IWakeupStats, SERVICE_NAME, ServiceStatus,
    SnapshotQuery, WakeupSnapshot,
};

use crate::access::{self, Access};
use crate::backends::NoneWorks;
use crate::chain;
use crate::dump::{self, Request};
use crate::gate::Gate;
use crate::places::Places;
use crate::query;
use crate::reader::Reader;
use crate::reply;

/// How many dumps may be written at a time, of the 15 threads that binder has for calls.
const MAX_DUMPS: usize = 4;

/// How many refusals of a dump, likewise.
const MAX_REFUSALS: usize = 2;

/// How long the service manager may take to come up beside the service: where it has died, init starts
/// both at once.
const MANAGER_WAIT: Duration = Duration::from_secs(5);

/// Between two looks whether it has.
const MANAGER_PAUSE: Duration = Duration::from_millis(100);

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
    /// What knew the service has died.
    #[error(
        "the service manager died, and with it what it knew of {SERVICE_NAME}: whoever starts this \
         process must start it again, to be registered with the next one"
    )]
    ServiceManagerDied,
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
    Read(#[from] NoneWorks),
    /// The snapshot could not be put into a reply.
    #[error(transparent)]
    Reply(#[from] reply::Error),
    /// The dump's arguments make no sense.
    #[error(transparent)]
    Arguments(#[from] dump::Error),
    /// The dump could not be written out.
    #[error(transparent)]
    Dump(#[from] io::Error),
}

/// Opens binder and finds the service manager, for which it waits a little.
pub fn open() -> Result<(), Error> {
    ProcessState::init_default().map_err(Error::NoDevice)?;
    let begin = Instant::now();
    while let Err(error) = hub::default() {
        if begin.elapsed() > MANAGER_WAIT {
            return Err(Error::NoServiceManager(error));
        }
        sleep(MANAGER_PAUSE);
    }
    Ok(())
}

/// Ends the process when the service manager has died: nobody would find the service any more. (It can't
/// register anew: rsbinder, as libbinder, has done with a binder whose death it has told, and this one is
/// the only one of its kind.)
struct ServiceManagerDeath;

impl DeathRecipient for ServiceManagerDeath {
    fn binder_died(&self, _who: &WIBinder) {
        error!("{}", Error::ServiceManagerDied);
        process::exit(1);
    }
}

/// The service.
#[derive(Debug)]
pub struct WakeupStats {
    reader: Reader,
    access: Access,
    /// For dumps that are being written.
    dumps: Arc<Places>,
    /// For refusals of dumps that are being written.
    refusals: Arc<Places>,
}

impl WakeupStats {
    /// A service that answers from `reader` those whom `access` lets in.
    pub fn new(reader: Reader, access: Access) -> Self {
        WakeupStats {
            reader,
            access,
            dumps: Places::new(MAX_DUMPS),
            refusals: Places::new(MAX_REFUSALS),
        }
    }

    /// Registers the service and serves calls. Does not return unless that fails.
    pub fn serve(self) -> Result<(), Error> {
        ProcessState::start_thread_pool();
        // Before it knows the service, so that no death goes unnoticed.
        let manager = ProcessState::as_self().context_object().map_err(Error::NoServiceManager)?;
        let death = Arc::new(ServiceManagerDeath);
        manager.link_to_death_arc(&death).map_err(Error::NoServiceManager)?;
        let service = Binder::new(Gate::new(self));
        hub::add_service(SERVICE_NAME, service.as_binder()).map_err(Error::NotRegistered)?;
        ProcessState::join_thread_pool().map_err(Error::ThreadPool)
    }

    fn snapshot(&self, query: &SnapshotQuery) -> Result<WakeupSnapshot, Error> {
        let (core, max_age) = reply::query(query)?;
        let mut reply =
            self.reader.read(max_age, |view| reply::snapshot(query, &core.answer(view.tracker)))?;
        reply::move_large_sources(&mut reply)?;
        Ok(reply)
    }

    fn dumped(&self, args: &[String]) -> Result<Vec<u8>, Error> {
        Ok(match Request::parse(args)? {
            Request::Help(text) => text.into(),
            Request::Status { json } => dump::status(&self.reader.status(), json)?,
            Request::Sources(options) => self.reader.read(Duration::ZERO, |view| {
                let query = options.query(view.tracker.instance())?;
                Ok::<_, Error>(options.render(&query.answer(view.tracker), &view.status())?)
            })??,
        })
    }
}

impl Interface for WakeupStats {
    /// Writes to a file of the caller's, who may never read it: so many threads can be lost to that
    /// until the caller gives up or dies, and no more. Who is turned away takes no place of those
    /// who are not. An error is written there, for a person, and the status tells a program.
    fn dump(&self, writer: &mut dyn io::Write, args: &[String]) -> rsbinder::Result<()> {
        let allowed = self.access.check(access::DUMP);
        let places = if allowed.is_ok() { &self.dumps } else { &self.refusals };
        let _place = places.take(Duration::ZERO).ok_or(StatusCode::WouldBlock)?;
        let dumped = allowed.map_err(Error::from).and_then(|()| self.dumped(args));
        let (text, end) = match dumped {
            Ok(text) => (text, Ok(())),
            Err(error) => (format!("{}\n", chain(&error)).into(), Err(status_of_dump(&error))),
        };
        // A reader that went away has nobody to tell.
        let _ = writer.write_all(&text);
        end
    }
}

impl IWakeupStats for WakeupStats {
    fn getSnapshot(&self, query: &SnapshotQuery) -> BinderResult<WakeupSnapshot> {
        self.access.check(access::BATTERY_STATS).map_err(|error| status(error.into()))?;
        self.snapshot(query).map_err(status)
    }

    fn getStatus(&self) -> BinderResult<ServiceStatus> {
        self.access.check(access::BATTERY_STATS).map_err(|error| status(error.into()))?;
        Ok(reply::status(self.reader.status()))
    }
}

/// How a dump ends of which an error was written.
fn status_of_dump(error: &Error) -> StatusCode {
    match error {
        Error::Denied(_) => StatusCode::PermissionDenied,
        Error::Query(_) | Error::Arguments(_) => StatusCode::BadValue,
        _ => StatusCode::Unknown,
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
