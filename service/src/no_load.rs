// SPDX-License-Identifier: Apache-2.0
//! In the place of the backend `load` where the build leaves it out, as Android's does.

use thiserror::Error;

use crate::backends::{Failure, Open, TakeSnapshot};
use crate::model::Backend;

/// There is no loader.
#[derive(Debug, Error)]
#[error("this build of the service does not load programs, as bpfloader does")]
pub struct LeftOut;

/// Stands for what is not there, so that the status names it.
#[derive(Debug)]
pub struct Opener;

impl Open for Opener {
    fn backend(&self) -> Backend {
        Backend::Load
    }

    fn open(&mut self) -> Result<Box<dyn TakeSnapshot>, Failure> {
        Err(LeftOut.into())
    }
}
