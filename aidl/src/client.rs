// SPDX-License-Identifier: Apache-2.0
//! A client that finds the service again after its restart.

use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rsbinder::{BinderResult, ExceptionCode, ProcessState, Status, StatusCode, Strong, hub};
use thiserror::Error;

use crate::{
    Cache, IWakeupStats, Malformed, SERVICE_NAME, ServiceStatus, SnapshotQuery, Source,
    WakeupSnapshot,
};

/// Between two looks for a service that is away, at first; each further pause is twice as long, ...
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// ... up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Why a call came to nothing.
#[derive(Debug, Error)]
pub enum Error {
    /// This process can't use binder.
    #[error(
        "binder can't be opened: is there a binder device, and may this process open it? ({0})"
    )]
    NoBinder(String),
    /// Nobody manages services.
    #[error("no service manager answers on binder: start it (rsb_hub, on Android servicemanager)")]
    NoServiceManager(#[source] StatusCode),
    /// The service manager does not know the service, or not to this process.
    #[error(
        "{SERVICE_NAME} is not running, or this process may not find it: start wakeupstatsd, or see \
         in its log, or the service manager's, why it is not there"
    )]
    NotRunning,
    /// Something else has the service's name.
    #[error("what is registered as {SERVICE_NAME} is another service")]
    AnotherService,
    /// The service died, or can't be called, and no other has come.
    #[error(
        "{SERVICE_NAME} can't be reached: it died, or this process may not call it ({0:?}); see its \
         log, or SELinux's denials"
    )]
    Unreachable(StatusCode),
    /// The service turned the caller away.
    #[error("not permitted: {0}")]
    NotPermitted(String),
    /// The query has a value out of range.
    #[error("{0}")]
    Query(String),
    /// The service tried, and failed: one of the AIDL's `ERROR` constants, and why.
    #[error("{SERVICE_NAME} failed: {1}")]
    Failed(i32, String),
    /// The reply is not as the AIDL has it.
    #[error("{SERVICE_NAME} sent a malformed reply: it is of another version, or not itself")]
    Malformed(#[from] Malformed),
    /// The dump came to nothing; what was written says why.
    #[error("{SERVICE_NAME} does not dump that: {0:?}")]
    Dump(StatusCode),
    /// The call failed in a way that no service of this interface has.
    #[error("{SERVICE_NAME} could not be called: {0}")]
    Call(Status),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let message = || status.message().unwrap_or("without a reason").to_owned();
        match status.exception_code() {
            ExceptionCode::Security => Self::NotPermitted(message()),
            ExceptionCode::IllegalArgument => Self::Query(message()),
            ExceptionCode::ServiceSpecific => {
                Self::Failed(status.service_specific_error(), message())
            }
            _ => Self::Call(status),
        }
    }
}

/// The service, for as long as the client lives, though it may die and come back.
///
/// All calls only read, so that one which the service did not survive is made again. What tells
/// the lives of the service apart is `instance` of a reply: [`Client::restarts`] counts the changes.
///
/// ```no_run
/// # use std::time::Duration;
/// # use wakeupstats_aidl::{Client, ClientError};
/// # fn main() -> Result<(), ClientError> {
/// let mut client = Client::connect(Duration::from_secs(5))?;
/// loop {
///     client.update()?;
///     println!("{} sources are active", client.sources().filter(|it| it.active).count());
///     std::thread::sleep(Duration::from_secs(60));
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    /// None from the moment that it was found dead.
    service: Option<Strong<dyn IWakeupStats>>,
    patience: Duration,
    cache: Cache,
    instance: i64,
    restarts: u64,
}

impl Client {
    /// Finds the service. Where it is away, here or later, it is waited for up to `patience`; with none of
    /// that a call fails at once, and the next one looks again. On Android, where it is looked for, init
    /// starts it.
    pub fn connect(patience: Duration) -> Result<Self, Error> {
        ProcessState::init_default().map_err(|error| Error::NoBinder(error.to_string()))?;
        let mut client =
            Client { service: None, patience, cache: Cache::default(), instance: 0, restarts: 0 };
        client.call(|_| Ok(()))?;
        Ok(client)
    }

    /// What a query asks for, in one reply: [`rows`](crate::rows()) has its sources. It leaves
    /// [`Client::sources`] as they are.
    pub fn snapshot(&mut self, query: &SnapshotQuery) -> Result<WakeupSnapshot, Error> {
        let snapshot = self.call(|service| service.getSnapshot(query))?;
        self.notice(snapshot.instance);
        Ok(snapshot)
    }

    /// Brings [`Client::sources`] up to date, by what changed since the last time, or after a restart by
    /// all there is. Returns the reply, for what else is in it.
    pub fn update(&mut self) -> Result<WakeupSnapshot, Error> {
        let snapshot = self.snapshot(&self.cache.query())?;
        self.cache.apply(&snapshot)?;
        Ok(snapshot)
    }

    /// The sources as of the last [`Client::update`], the youngest first. Handles are of that instance.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.cache.sources()
    }

    /// How the service is doing.
    pub fn status(&mut self) -> Result<ServiceStatus, Error> {
        let status = self.call(|service| service.getStatus())?;
        self.notice(status.instance);
        Ok(status)
    }

    /// Has the service write its dump to a file, as dumpsys does: best to a pipe that somebody reads meanwhile,
    /// as the service may not be allowed to write elsewhere. If it fails, what it wrote says why. It is not made
    /// again, as some of it may be written.
    pub fn dump(&mut self, file: impl Into<OwnedFd>, args: &[String]) -> Result<(), Error> {
        let binder = self.call(|service| Ok(service.as_binder()))?;
        let proxy = binder.as_proxy().ok_or(Error::AnotherService)?;
        proxy.dump(file, args).map_err(|code| {
            if is_lost(code) { Error::Unreachable(code) } else { Error::Dump(code) }
        })
    }

    /// The version of the interface that the service speaks; [`INTERFACE_VERSION`](crate::INTERFACE_VERSION) is the
    /// client's. What one of them does not know is empty or 0 in a reply.
    pub fn interface_version(&mut self) -> Result<i32, Error> {
        self.call(|service| service.getInterfaceVersion())
    }

    /// How often an answer came from another instance than the one before.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    fn notice(&mut self, instance: i64) {
        let former = std::mem::replace(&mut self.instance, instance);
        self.restarts += u64::from(former != 0 && former != instance);
    }

    /// Calls until there is an answer, or the patience is over.
    fn call<T>(
        &mut self,
        method: impl Fn(&dyn IWakeupStats) -> BinderResult<T>,
    ) -> Result<T, Error> {
        let begin = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.try_call(&method) {
                Err(error) if error.may_pass() => error,
                done => return done,
            };
            let left = self.patience.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(error);
            }
            sleep(pause.min(left));
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    fn try_call<T>(
        &mut self,
        method: impl Fn(&dyn IWakeupStats) -> BinderResult<T>,
    ) -> Result<T, Error> {
        let service = match self.service.take() {
            Some(service) => service,
            None => find()?,
        };
        let answer = method(&*service);
        if let Err(status) = &answer
            && let Some(error) = unreachable(status)
        {
            // Not put back, so that the next call looks for another.
            return Err(error);
        }
        self.service = Some(service);
        Ok(answer?)
    }
}

impl Error {
    /// Whether it is another matter when the service has been started, or started again.
    fn may_pass(&self) -> bool {
        matches!(self, Self::NoServiceManager(_) | Self::NotRunning | Self::Unreachable(_))
    }
}

/// The service, if it is registered.
fn find() -> Result<Strong<dyn IWakeupStats>, Error> {
    match hub::try_get_interface(SERVICE_NAME) {
        Ok(service) => service.ok_or(Error::NotRunning),
        Err(StatusCode::BadType) => Err(Error::AnotherService),
        // It may be remembered for a moment after its death.
        Err(error) if manager_answers() => Err(Error::Unreachable(error)),
        Err(error) => Err(Error::NoServiceManager(error)),
    }
}

fn manager_answers() -> bool {
    let manager = ProcessState::as_self().context_object();
    manager.is_ok_and(|it| it.ping_binder().is_ok())
}

/// The error that a status stands for if the call did not come through.
fn unreachable(status: &Status) -> Option<Error> {
    let code = status.transaction_error();
    (status.exception_code() == ExceptionCode::TransactionFailed && is_lost(code))
        .then_some(Error::Unreachable(code))
}

/// Whether a call that ended so did not come through.
fn is_lost(code: StatusCode) -> bool {
    [StatusCode::DeadObject, StatusCode::FailedTransaction].contains(&code)
}
