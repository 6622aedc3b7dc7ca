// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that looks like the project's from outside, names, map and all, but is of another
 * version: it refuses the project's layout.
 */
#include "kfuncs.h"
#include "../../../bpf/wakeupSources.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WS_CHUNKS);
	__type(key, __u32);
	__type(value, struct ws_chunk);
} records SEC(".maps");

SEC("syscall")
int snapshot(struct ws_args *args)
{
	__u32 index = 0;

	if (!bpf_map_lookup_elem(&records, &index))
		return 0;
	return args->layout_version == WS_LAYOUT_VERSION ? -EPROTO : 0;
}
