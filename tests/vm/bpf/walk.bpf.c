// SPDX-License-Identifier: GPL-2.0-only
/* The plainest use of the kfuncs: walks the list in search of a name. */
#include "kfuncs.h"

/* More than any test makes, with an end for the verifier. */
#define MAX_SOURCES (1 << 16)

/* Long enough for the names of the tests, with their NUL. In words, which compare at once. */
#define NAME_WORDS 4

/*
 * The context of a run; tests/vm/tests/kfuncs.rs has the same struct. Times are in nanoseconds, and
 * of the last source that was found.
 */
struct search {
	__u64 name[NAME_WORDS]; /* in: the name, NUL to the end */
	__u64 found;		/* sources of this name */
	__u64 active;		/* of those, active ones */
	__u64 active_time;
	__u64 total_time;
};

static __always_inline bool is_same(const __u64 *name, const __u64 *other)
{
	bool same = true;
	int i;

#pragma unroll
	for (i = 0; i < NAME_WORDS; i++)
		same &= name[i] == other[i];
	return same;
}

SEC("syscall")
int find(struct search *search)
{
	struct list_head *head, *entry;
	struct wakeup_source *ws;
	struct bpf_ws_lock *lock;
	__u64 name[NAME_WORDS];
	__u64 now;
	int i;

	lock = bpf_wakeup_sources_read_lock();
	head = bpf_wakeup_sources_get_head();
	entry = head;
	now = bpf_ktime_get_ns();
	bpf_for (i, 0, MAX_SOURCES) {
		entry = bpf_core_cast(entry, struct list_head)->next;
		if (!entry || entry == head)
			break;
		ws = bpf_core_cast((void *)entry -
					   bpf_core_field_offset(struct wakeup_source, entry),
				   struct wakeup_source);
		__builtin_memset(name, 0, sizeof(name));
		bpf_probe_read_kernel_str(name, sizeof(name), ws->name);
		if (!is_same(name, search->name))
			continue;
		search->found++;
		search->active_time = 0;
		if (BPF_CORE_READ_BITFIELD(ws, active)) {
			search->active++;
			search->active_time = now - ws->last_time;
		}
		search->total_time = ws->total_time + search->active_time;
	}
	bpf_wakeup_sources_read_unlock(lock);
	return 0;
}
