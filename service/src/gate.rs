// SPDX-License-Identifier: Apache-2.0
//! What binder hands over, looked at before anything is read from it.
//!
//! The kernel keeps a transaction for the service until that is done with it: its data in a mapping of
//! 1 MiB that all callers share, and its files open. A dump is done only when its caller has read it,
//! which may be never. So a dump may bring no more than a dump needs. That binds also those who may not
//! dump, as binder knows nothing of that.

use std::io;

use rsbinder::{
    DUMP_TRANSACTION, Interface, Parcel, Remotable, Result, SIBinder, StatusCode, Strong,
    TransactionCode,
};
use wakeupstats_aidl::{BnWakeupStats, IWakeupStats};

/// The most that a dump may bring. As many globs as are allowed, of the longest, take 50,000 bytes;
/// what is held of six dumps at a time leaves most of the mapping.
const MAX_DUMP_BYTES: usize = 64 * 1024;

/// How binder marks a file and an array of them, in include/uapi/linux/android/binder.h
const FILES: [u32; 2] = [u32::from_be_bytes(*b"fd*\x85"), u32::from_be_bytes(*b"fda\x85")];

/// Stands before the service.
pub struct Gate {
    service: Strong<dyn IWakeupStats>,
    binder: SIBinder,
}

impl Gate {
    /// One before this service.
    pub fn new(service: impl IWakeupStats + Sync + 'static) -> Self {
        let service = BnWakeupStats::new_binder(service);
        let binder = service.as_binder();
        Gate { service, binder }
    }
}

impl Remotable for Gate {
    fn descriptor() -> &'static str {
        BnWakeupStats::descriptor()
    }

    fn on_transact(
        &self,
        code: TransactionCode,
        reader: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<()> {
        if code == DUMP_TRANSACTION && !is_modest(reader) {
            return Err(StatusCode::BadValue);
        }
        let service = self.binder.as_transactable().ok_or(StatusCode::UnknownTransaction)?;
        service.transact(code, reader, reply)
    }

    fn on_dump(&self, writer: &mut dyn io::Write, args: &[String]) -> Result<()> {
        self.service.dump(writer, args)
    }
}

/// Whether a dump brings no more than a dump needs: words, and one file. Objects are found by their
/// marks, wherever in the words these are.
fn is_modest(dump: &mut Parcel) -> bool {
    dump.set_data_position(0);
    if dump.data_size() > MAX_DUMP_BYTES {
        return false;
    }
    let mut files = 0;
    while dump.data_avail() >= size_of::<u32>() {
        files += usize::from(dump.read_u32().is_ok_and(|word| FILES.contains(&word)));
    }
    dump.set_data_position(0);
    files <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_modest_with(words: &[u32]) -> bool {
        let mut parcel = Parcel::new();
        words.iter().for_each(|word| parcel.write_u32(*word).unwrap());
        let is_modest = is_modest(&mut parcel);
        assert_eq!(parcel.data_position(), 0, "it is for others to read");
        is_modest
    }

    #[test]
    fn dump_brings_one_file_and_words() {
        let [file, files] = FILES;
        assert!(is_modest_with(&[]));
        assert!(is_modest_with(&[file, 0, 3, 0, 0, 0, 1, 1, 0x0041]));
        assert!(is_modest_with(&vec![0; MAX_DUMP_BYTES / 4]));
        assert!(!is_modest_with(&vec![0; MAX_DUMP_BYTES / 4 + 1]));
        assert!(!is_modest_with(&[file, 0, 3, 0, 0, 0, 0, file, 0, 4, 0, 0, 0]));
        assert!(!is_modest_with(&[file, 0, 3, 0, 0, 0, 0, files, 0, 0, 0, 0, 0]));
    }
}
