// SPDX-License-Identifier: Apache-2.0
//! What the kernel and the service manager keep for a service and its clients, to see that they let go of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libbpf_rs::MapHandle;
use libbpf_rs::query::{MapInfoIter, ProgInfoIter};
use rsbinder::hub;
use rsbinder::hub::DUMP_FLAG_PRIORITY_ALL;

/// What has ended is let go of a little later, by work that the kernel puts off.
const LET_GO_LIMIT: Duration = Duration::from_secs(10);

/// In binder, whose threads come and go with those of a process.
const BINDER: &[&str] = &["proc", "node", "ref", "death", "transaction"];

/// Each object of the binder driver.
const BINDER_STATE: &str = "/sys/kernel/debug/binder/state";

/// All that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// BPF programs, by id, with their names.
    pub programs: BTreeMap<u32, String>,
    /// BPF maps, by id, with the bytes that they are accounted for.
    pub maps: BTreeMap<u32, u64>,
    /// Objects of the binder driver, of all processes.
    pub binder: BTreeMap<String, u64>,
    /// What is registered with the service manager.
    pub services: Vec<String>,
}

impl Kept {
    /// Now.
    pub fn now() -> Result<Self> {
        let name = |name: &OsStr| name.to_string_lossy().into_owned();
        let programs = ProgInfoIter::default().map(|it| (it.id, name(&it.name))).collect();
        let maps = MapInfoIter::default().map(|it| Ok((it.id, memlock(it.id)?)));
        let mut services = hub::list_services(DUMP_FLAG_PRIORITY_ALL);
        services.sort();
        Ok(Kept { programs, maps: maps.collect::<Result<_>>()?, binder: binder()?, services })
    }

    /// Waits until no more is kept than this, and no less.
    pub fn wait_until_again(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let now = Kept::now()?;
            if now == *self {
                return Ok(());
            }
            ensure!(
                begin.elapsed() < LET_GO_LIMIT,
                "kept before: {self:?}\nkept now: {now:?}\n{}",
                fs::read_to_string(BINDER_STATE)?
            );
            sleep(Duration::from_millis(50));
        }
    }
}

fn memlock(map: u32) -> Result<u64> {
    // Gone between the two calls is gone; the next look will tell.
    let map = MapHandle::from_map_id(map)?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd()))?;
    let line = info.lines().find_map(|line| line.strip_prefix("memlock:"));
    Ok(line.context("fdinfo has no memlock")?.trim().parse()?)
}

/// The driver's own count of what is active.
fn binder() -> Result<BTreeMap<String, u64>> {
    let stats = fs::read_to_string("/sys/kernel/debug/binder/stats")?;
    // Of all processes first, then of each.
    let of_all = stats.split("\nproc ").next().unwrap_or_default();
    let active = |name: &&str| -> Result<(String, u64)> {
        let begin = format!("{name}: active ");
        let line = of_all.lines().find_map(|line| line.strip_prefix(&begin));
        let count = line.and_then(|it| it.split(' ').next()).context("no such line in stats")?;
        Ok(((*name).to_owned(), count.parse()?))
    };
    let mut binder: BTreeMap<String, u64> = BINDER.iter().map(active).collect::<Result<_>>()?;
    let nodes = binder.get_mut("node").context("nodes are not counted")?;
    let lost = lost_nodes(&fs::read_to_string(BINDER_STATE)?);
    *nodes = nodes.checked_sub(lost).context("more nodes are lost than there are")?;
    Ok(binder)
}

/// Counts the nodes that the driver itself has lost, of services that died with a call on its way to them:
/// binder_node_release() forgets the reference that the call has, binder_transaction_buffer_release() gives
/// it back, and with one less than none the node is never freed. Nobody refers to it any more.
pub fn lost_nodes(state: &str) -> u64 {
    let dead = state.lines().skip_while(|line| *line != "dead nodes:").skip(1);
    let dead = dead.take_while(|line| line.starts_with("  node "));
    dead.filter(|line| line.contains(" ls -") && line.contains(" is 0 iw 0 ")).count() as u64
}
