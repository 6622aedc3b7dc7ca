/* SPDX-License-Identifier: GPL-2.0-only */
/* What the test programs share: the kernel's types, and the kfuncs under test. */
#ifndef WAKEUPSTATS_TEST_KFUNCS_H
#define WAKEUPSTATS_TEST_KFUNCS_H

#include "../../../bpf/kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct bpf_ws_lock *bpf_wakeup_sources_read_lock(void) __ksym;
void bpf_wakeup_sources_read_unlock(struct bpf_ws_lock *lock) __ksym;
void *bpf_wakeup_sources_get_head(void) __ksym;

/* The kfuncs are for programs under the GPL only. */
char _license[] SEC("license") = "GPL";

#endif
