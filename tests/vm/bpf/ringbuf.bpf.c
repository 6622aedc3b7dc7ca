// SPDX-License-Identifier: GPL-2.0-only
/*
 * A contender of the benchmark: the walk as the kernel's own selftest has it
 * (test_wakeup_source.c). One ring buffer record for each source, with room for a name of 128
 * bytes; the next entry read by the helper, the source's fields by direct loads; times computed
 * here. Unlike there, the walk does not end at 1,000 sources, and user space makes the ring large
 * enough for all.
 */
#include "kfuncs.h"

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_RINGBUF = 27,
};

#define MAX_SOURCES (1 << 20)
#define NAME_LEN    128

/* tests/vm/src/bench/ringbuf.rs has the same struct. */
struct event {
	__u64 active_count;
	__u64 event_count;
	__u64 expire_count;
	__u64 wakeup_count;
	__s64 active_time;
	__s64 total_time;
	__s64 max_time;
	__s64 last_time;
	__s64 prevent_sleep_time;
	char name[NAME_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

static __always_inline void fill(struct event *event, const struct wakeup_source *ws)
{
	__s64 now, since;

	event->active_count = ws->active_count;
	event->event_count = ws->event_count;
	event->expire_count = ws->expire_count;
	event->wakeup_count = ws->wakeup_count;
	event->active_time = 0;
	event->total_time = ws->total_time;
	event->max_time = ws->max_time;
	event->last_time = ws->last_time;
	event->prevent_sleep_time = ws->prevent_sleep_time;
	if (BPF_CORE_READ_BITFIELD(ws, active)) {
		now = bpf_ktime_get_ns();
		since = now - event->last_time;
		if (since > 0)
			event->active_time = since;
		event->total_time += event->active_time;
		if (event->active_time > event->max_time)
			event->max_time = event->active_time;
		since = now - ws->start_prevent_time;
		if (BPF_CORE_READ_BITFIELD(ws, autosleep_enabled) && since > 0)
			event->prevent_sleep_time += since;
	}
	if (bpf_probe_read_kernel_str(event->name, NAME_LEN, ws->name) < 0)
		event->name[0] = 0;
}

/* Returns 1 if the ring has no room for all. */
SEC("syscall")
int send_all(void *context)
{
	struct list_head *head = bpf_wakeup_sources_get_head();
	struct list_head *entry = head;
	struct bpf_ws_lock *lock;
	struct event *event;
	int i, is_full = 0;

	lock = bpf_wakeup_sources_read_lock();
	if (!lock)
		return 0;
	bpf_for (i, 0, MAX_SOURCES) {
		if (bpf_core_read(&entry, sizeof(entry), &entry->next) || !entry || entry == head)
			break;
		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
		if (!event) {
			is_full = 1;
			break;
		}
		fill(event, bpf_core_cast((void *)entry - bpf_core_field_offset(
								  struct wakeup_source, entry),
					  struct wakeup_source));
		bpf_ringbuf_submit(event, 0);
	}
	bpf_wakeup_sources_read_unlock(lock);
	return is_full;
}
