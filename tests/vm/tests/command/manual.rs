// SPDX-License-Identifier: Apache-2.0
//! What the command says of itself, for which it needs no service.

use crate::running::{output, run};

#[test]
fn completions_and_the_manual_page_know_each_subcommand() {
    let page = output(&["man"]);
    let script = output(&["completions", "bash"]);

    assert!(page.starts_with(".ie ") && page.contains("wakeupstats"), "{page}");
    for subcommand in ["list", "status", "top", "diff"] {
        assert!(page.contains(&format!("wakeupstats\\-{subcommand}(1)")), "{subcommand}: {page}");
        assert!(
            script.contains(&format!("wakeupstats__subcmd__{subcommand}")),
            "{subcommand}: {script}"
        );
    }
}

#[test]
fn wrong_command_line_is_told_from_failure() {
    for args in [&["list", "--top", "0"][..], &["diff", "one.json"], &["nonsense"], &[]] {
        let said = run(args);
        assert_eq!((said.status, said.out.as_str()), (Some(2), ""), "{said:?}");
        assert!(said.err.contains("--help"), "{said:?}");
    }
}
