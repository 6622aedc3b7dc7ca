// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that looks like the project's from outside, names, map and all, but is of another
 * version: it refuses the project's layout.
 */
#include "kfuncs.h"
#include "../../../bpf/records.h"

SEC("syscall")
int snapshot(struct ws_args *args)
{
	__u32 index = 0;

	if (!bpf_map_lookup_elem(&records, &index))
		return 0;
	return args->layout_version == WS_LAYOUT_VERSION ? -EPROTO : 0;
}
