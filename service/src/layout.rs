// SPDX-License-Identifier: Apache-2.0
//! What the BPF program and the service share, generated from `bpf/wakeupSources.h`, which
//! documents each field. Bindgen asserts each size and offset at compile time.

#![expect(missing_docs, non_camel_case_types, reason = "the header's own names and comments")]
#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    reason = "bindgen's style"
)]

include!(concat!(env!("OUT_DIR"), "/layout.rs"));
