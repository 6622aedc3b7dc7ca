/* SPDX-License-Identifier: GPL-2.0-only */
/* The program's one map, which is found by this name. */
#ifndef WAKEUPSTATS_RECORDS_H
#define WAKEUPSTATS_RECORDS_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include "wakeupSources.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WS_CHUNKS);
	__type(key, __u32);
	__type(value, struct ws_chunk);
} records SEC(".maps");

#endif
