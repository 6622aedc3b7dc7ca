// SPDX-License-Identifier: Apache-2.0
//! A stand-in for the permission service of Android's system_server.

use rsbinder::permission_controller::{BnPermissionController, IPermissionController};
use rsbinder::{BinderResult, Interface, ProcessState, Strong, hub};

use anyhow::{Context, Result};

/// Decides about a permission, for a process and a user.
pub type Decide = fn(permission: &str, pid: i32, uid: i32) -> bool;

struct PermissionService(Decide);

impl Interface for PermissionService {}

impl IPermissionController for PermissionService {
    fn checkPermission(&self, permission: &str, pid: i32, uid: i32) -> BinderResult<bool> {
        Ok((self.0)(permission, pid, uid))
    }

    fn noteOp(&self, _: &str, _: i32, _: &str) -> BinderResult<i32> {
        Ok(0)
    }

    fn getPackagesForUid(&self, _: i32) -> BinderResult<Vec<String>> {
        Ok(Vec::new())
    }

    fn isRuntimePermission(&self, _: &str) -> BinderResult<bool> {
        Ok(false)
    }

    fn getPackageUid(&self, _: &str, _: i32) -> BinderResult<i32> {
        Ok(-1)
    }
}

/// Registers one that decides so, for as long as this process lives. Binder must be open.
pub fn serve(decide: Decide) -> Result<()> {
    ProcessState::start_thread_pool();
    let service: Strong<dyn IPermissionController> =
        BnPermissionController::new_binder(PermissionService(decide));
    hub::add_service("permission", service).context("the permission service can't be registered")
}
