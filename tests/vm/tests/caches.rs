// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Clients that keep a copy of all sources by what changed, while sources come, change and go.

use std::collections::BTreeMap;
use std::thread;

use wakeupstats_aidl::{Cache, SnapshotQuery, Source, rows};
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::meanwhile::meanwhile;
use wakeupstats_vm::sources;

#[test]
fn caches_stay_true_while_sources_come_and_go() {
    let _daemon = Daemon::start().unwrap();
    let living = sources::mixed(30).unwrap();
    let come_and_go = || {
        let passing = sources::mixed(3).unwrap();
        for index in 0..30 {
            living.activate(index).unwrap();
            passing.activate(index % 3).unwrap();
            living.relax(index).unwrap();
        }
    };
    let client = || {
        let service = daemon::service().unwrap();
        let mut cache = Cache::default();
        let mut former: BTreeMap<i64, Source> = BTreeMap::new();
        for _ in 0..200 {
            cache.apply(&service.getSnapshot(&cache.query()).unwrap()).unwrap();
            let rows: BTreeMap<i64, Source> =
                cache.sources().map(|row| (row.handle, row.clone())).collect();
            let ids: BTreeMap<i32, i64> = rows.values().map(|row| (row.id, row.handle)).collect();
            assert_eq!(ids.len(), rows.len(), "an id came twice");
            for (handle, row) in &rows {
                let Some(former) = former.get(handle) else { continue };
                assert!(row.total_time_ns >= former.total_time_ns, "{former:?} {row:?}");
                assert!(row.max_time_ns >= former.max_time_ns, "{former:?} {row:?}");
                assert!(row.event_count >= former.event_count, "{former:?} {row:?}");
                assert!(row.relax_count >= former.relax_count, "{former:?} {row:?}");
            }
            former = rows;
        }
        assert!(former.len() >= 30);
        cache
    };

    let mut caches = meanwhile(come_and_go, || {
        thread::scope(|scope| {
            [scope.spawn(client), scope.spawn(client)].map(|client| client.join().unwrap())
        })
    });

    let service = daemon::service().unwrap();
    let all = SnapshotQuery { maxAgeMs: 60_000, ..SnapshotQuery::default() };
    for cache in &mut caches {
        cache.apply(&service.getSnapshot(&cache.query()).unwrap()).unwrap();
        let full = rows(&service.getSnapshot(&all).unwrap()).unwrap();
        assert_eq!(cache.sources().cloned().collect::<Vec<_>>(), full);
    }
}
