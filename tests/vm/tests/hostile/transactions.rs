// SPDX-License-Identifier: Apache-2.0
//! Transactions of any code and any content.

use wakeupstats_vm::daemon::{SHELL, call_as};
use wakeupstats_vm::hostile::{self, Tally};

use crate::watch::Watch;

/// At least so many transactions are made.
const MIN_TRANSACTIONS: usize = 2_500;

/// After so many the daemon's memory is looked at, too.
const OFTEN: usize = 16;

#[test]
fn malformed_transactions_harm_nobody() {
    let watch = Watch::begin();
    let mut tally = Tally::default();

    let done = hostile::for_each(watch.proxy(), |mut trial| {
        tally.send(watch.proxy(), &mut trial)?;
        watch.assert_at_work(&trial.what);
        if tally.sent().is_multiple_of(OFTEN) {
            watch.assert_well(&trial.what);
        }
        Ok(())
    });

    done.unwrap();
    watch.assert_well("all of them");
    watch.say(&format!("{tally}"));
    watch.assert_kept_to_itself();
    assert!(tally.sent() > MIN_TRANSACTIONS, "{tally}");
}

#[test]
fn malformed_transactions_of_who_may_not_call_harm_nobody() {
    let watch = Watch::begin();

    let tally = call_as(SHELL, "hostile").unwrap();

    watch.assert_well("all of them");
    watch.say(&format!("uid {SHELL}, {}", tally.trim_end()));
    watch.assert_kept_to_itself();
    let sent: usize = tally.split(' ').next().unwrap().parse().unwrap();
    assert!(sent > MIN_TRANSACTIONS, "{tally}");
}
