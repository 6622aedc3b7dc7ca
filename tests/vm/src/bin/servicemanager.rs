// SPDX-License-Identifier: Apache-2.0
//! The service manager of the VM where SELinux decides: as Android's it asks the kernel whether the caller's
//! domain may `add`, `find` or `list`, by the contexts that service_contexts gives to names.
//!
//! It keeps what is registered until that dies; of what Android's can do beside that, nobody here asks.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use init::selinux::SERVICE_CONTEXTS;
use rsbinder::hub::android_16::android::os::{Service, ServiceWithMetadata};
use rsbinder::hub::android_16::{
    BnServiceManager, ConnectionInfo, IClientCallback, IServiceCallback, IServiceManager,
    ServiceDebugInfo,
};
use rsbinder::{
    BinderResult, DeathRecipient, ExceptionCode, Interface, ProcessState, SIBinder, StatusCode,
    Strong, WIBinder, get_calling_pid, get_calling_sid,
};
use wakeupstats_vm::selinux;

/// What is registered, by name.
#[derive(Default)]
struct Registered(Mutex<BTreeMap<String, SIBinder>>);

impl Registered {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SIBinder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeathRecipient for Registered {
    fn binder_died(&self, who: &WIBinder) {
        self.lock().retain(|_, binder| *who != *binder);
    }
}

struct ServiceManager {
    registered: Arc<Registered>,
}

/// The context of a service, read anew each time, as a test changes it.
fn context_of(name: &str) -> Result<String> {
    let text = fs::read_to_string(SERVICE_CONTEXTS)?;
    let lines = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
    // What is in no line is in the last, which is for all.
    let found = lines.filter(|(it, _)| [name, "*"].contains(it)).min_by_key(|(it, _)| *it == "*");
    Ok(found.context("no service has a context")?.1.trim().to_owned())
}

impl ServiceManager {
    fn may(&self, permission: &str, name: &str) -> bool {
        let (Some(source), Ok(target)) = (get_calling_sid(), context_of(name)) else {
            return false;
        };
        self.check(permission, name, &source.to_string_lossy(), &target)
    }

    fn may_list(&self) -> bool {
        let own = selinux::context("servicemanager");
        get_calling_sid().is_some_and(|it| self.check("list", "", &it.to_string_lossy(), &own))
    }

    fn check(&self, permission: &str, name: &str, source: &str, target: &str) -> bool {
        const CLASS: &str = "service_manager";
        let allowed = selinux::is_allowed(source, target, CLASS, permission).unwrap_or_default();
        if !allowed {
            let denial = format!(
                "avc:  denied  {{ {permission} }} for pid={} name={name} scontext={source} \
                 tcontext={target} tclass={CLASS} permissive=0\n",
                get_calling_pid()
            );
            // Who asked is told; this is for who looks for the reason.
            let log = OpenOptions::new().write(true).open("/dev/kmsg");
            let _ = log.and_then(|mut log| log.write_all(denial.as_bytes()));
        }
        allowed
    }

    fn found(&self, name: &str) -> Option<SIBinder> {
        self.may("find", name).then(|| self.registered.lock().get(name).cloned()).flatten()
    }

    fn found_with_metadata(&self, name: &str) -> Service::Service {
        let service = self.found(name);
        Service::Service::ServiceWithMetadata(ServiceWithMetadata::ServiceWithMetadata {
            service,
            isLazyService: false,
        })
    }
}

impl Interface for ServiceManager {}

/// What nobody in the VM calls.
fn unsupported<T>() -> BinderResult<T> {
    Err(StatusCode::UnknownTransaction.into())
}

impl IServiceManager for ServiceManager {
    fn getService(&self, name: &str) -> BinderResult<Option<SIBinder>> {
        Ok(self.found(name))
    }

    fn getService2(&self, name: &str) -> BinderResult<Service::Service> {
        Ok(self.found_with_metadata(name))
    }

    fn checkService(&self, name: &str) -> BinderResult<Option<SIBinder>> {
        Ok(self.found(name))
    }

    fn checkService2(&self, name: &str) -> BinderResult<Service::Service> {
        Ok(self.found_with_metadata(name))
    }

    fn addService(&self, name: &str, service: &SIBinder, _: bool, _: i32) -> BinderResult<()> {
        if !self.may("add", name) {
            return Err((ExceptionCode::Security, "SELinux denies add").into());
        }
        if service.is_remote() {
            service.link_to_death_arc(&self.registered)?;
        }
        self.registered.lock().insert(name.to_owned(), service.clone());
        Ok(())
    }

    fn listServices(&self, _: i32) -> BinderResult<Vec<String>> {
        if !self.may_list() {
            return Err((ExceptionCode::Security, "SELinux denies list").into());
        }
        Ok(self.registered.lock().keys().cloned().collect())
    }

    fn registerForNotifications(
        &self,
        _: &str,
        _: &Strong<dyn IServiceCallback>,
    ) -> BinderResult<()> {
        unsupported()
    }

    fn unregisterForNotifications(
        &self,
        _: &str,
        _: &Strong<dyn IServiceCallback>,
    ) -> BinderResult<()> {
        unsupported()
    }

    fn isDeclared(&self, _: &str) -> BinderResult<bool> {
        Ok(false)
    }

    fn getDeclaredInstances(&self, _: &str) -> BinderResult<Vec<String>> {
        Ok(Vec::new())
    }

    fn updatableViaApex(&self, _: &str) -> BinderResult<Option<String>> {
        Ok(None)
    }

    fn getUpdatableNames(&self, _: &str) -> BinderResult<Vec<String>> {
        Ok(Vec::new())
    }

    fn getConnectionInfo(&self, _: &str) -> BinderResult<Option<ConnectionInfo>> {
        Ok(None)
    }

    fn registerClientCallback(
        &self,
        _: &str,
        _: &SIBinder,
        _: &Strong<dyn IClientCallback>,
    ) -> BinderResult<()> {
        unsupported()
    }

    fn tryUnregisterService(&self, _: &str, _: &SIBinder) -> BinderResult<()> {
        unsupported()
    }

    fn getServiceDebugInfo(&self) -> BinderResult<Vec<ServiceDebugInfo>> {
        unsupported()
    }
}

fn main() -> Result<()> {
    // One thread, as Android's.
    let opened = ProcessState::init("/dev/binder", 0);
    opened.map_err(|error| anyhow::anyhow!("can't open binder: {error}"))?;
    let registered = Arc::new(Registered::default());
    let manager = ServiceManager { registered: Arc::clone(&registered) };
    let service = BnServiceManager::new_binder(manager);
    registered.lock().insert("manager".to_owned(), service.as_binder());
    ProcessState::as_self()
        .become_context_manager(service.as_binder())
        .map_err(|error| anyhow::anyhow!("can't become the context manager: {error}"))?;
    if let Ok(path) = env::var("NOTIFY_SOCKET") {
        UnixDatagram::unbound()?.send_to(b"READY=1\n", path).context("can't tell init")?;
    }
    Ok(ProcessState::join_thread_pool()?)
}
