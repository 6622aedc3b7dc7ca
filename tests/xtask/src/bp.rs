// SPDX-License-Identifier: Apache-2.0
//! Whether the Android.bp files are what AOSP's build system would take, as far as that can be said
//! without it: their format, by Blueprint's own tool; what they name, against the files here and the
//! list of AOSP's modules in docs/android.md; what they say twice, against what says it first; and what
//! their rules make, against what cargo makes.

use anyhow::Result;

use crate::bp_modules::Tree;
use crate::progress::say;
use crate::workspace::Workspace;
use crate::{bp_cargo, bp_device, bp_format, bp_names, bp_rules};

/// Names what does not fit.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    // What is not formatted may still be read. Where a file can't be read, or names what is not there,
    // there is nothing more to say.
    let formatted = bp_format::check(workspace)?;
    let (tree, mut problems) = Tree::load(workspace)?;
    if problems.is_empty() {
        problems.extend(bp_names::problems(workspace, &tree)?);
    }
    if problems.is_empty() {
        problems.extend(bp_cargo::problems(workspace, &tree)?);
        problems.extend(bp_device::problems(workspace, &tree)?);
        problems.extend(bp_rules::problems(workspace, &tree)?);
    }
    for problem in &problems {
        say(problem);
    }
    Ok(formatted && problems.is_empty())
}
