// SPDX-License-Identifier: Apache-2.0
//! Says each ten seconds what keeps the device awake: connects, keeps up by what changed, iterates.

use std::thread::sleep;
use std::time::Duration;

use wakeupstats_aidl::{Client, ClientError};

fn main() -> Result<(), ClientError> {
    // The service may still be starting, and may be started anew later: each call waits so long for it.
    let mut client = Client::connect(Duration::from_secs(5))?;
    loop {
        let snapshot = client.update()?;
        println!(
            "{} of {} sources:",
            client.sources().filter(|it| it.active).count(),
            snapshot.totalSources
        );
        for source in client.sources().filter(|it| it.active) {
            // As others chose it: for a terminal, what is no text is to be escaped.
            let name = source.name.as_deref().unwrap_or_default().escape_debug();
            println!("{name} has been active for {} ms", source.active_time_ns / 1_000_000);
        }
        sleep(Duration::from_secs(10));
    }
}
