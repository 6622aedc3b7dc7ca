// SPDX-License-Identifier: Apache-2.0
//! Whether Android's init would take the files in `init/`.

use std::fs;

use anyhow::{Context as _, Result, bail};
use init::rc;
use init::rc::grammar;

use crate::progress::say;
use crate::tidy;
use crate::workspace::Workspace;

/// Names what init would not take.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    let files = tidy::files(workspace, &["rc"])?;
    if files.is_empty() {
        bail!("there is no rc file");
    }
    let mut clean = true;
    for file in files {
        let path = workspace.root().join(&file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let problems = match rc::parse(&text) {
            Ok(sections) => grammar::problems(&sections),
            Err(problem) => vec![problem],
        };
        for problem in problems {
            say(&format!("{}: {problem}", file.display()));
            clean = false;
        }
    }
    Ok(clean)
}
