// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walks the kernel's list of wakeup sources once, under its SRCU lock, and copies it into a map.
 *
 * The program copies and reads clocks; what the numbers mean is decided in user space. A source is
 * asked for by its id, so that a caller whose map is too small for all of them can come again for
 * the next ids: an id belongs to one source at a time, while a place in the list does not.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "records.h"
#include "wakeupSources.h"

/*
 * Far more entries than any kernel has, and a bound on how long the list is locked: whoever
 * unregisters a source waits for that. The tests have lower ones of both.
 */
#ifndef MAX_LIST
#define MAX_LIST (1 << 16)
#endif

/*
 * A writer holds a source's lock for well under a microsecond, so few readers need a second try.
 * What one source may take, and all of them together, as part of the same bound.
 */
#define MAX_READS 16
#ifndef MAX_RETRIES
#define MAX_RETRIES 4096
#endif

/* Names up to this are copied by words, in bytes. */
#define SHORT_NAME 32

/* A 1 in each byte of a word. */
#define EACH_BYTE 0x0101010101010101ull

#define NAME_ROOM   (WS_NAME_LEN + 1)
#define DEVICE_ROOM (WS_DEVICE_LEN + 1)
#define MAX_RECORD  (sizeof(struct ws_record) + NAME_ROOM + DEVICE_ROOM)

struct bpf_ws_lock *bpf_wakeup_sources_read_lock(void) __ksym;
void bpf_wakeup_sources_read_unlock(struct bpf_ws_lock *lock) __ksym;
void *bpf_wakeup_sources_get_head(void) __ksym;

/*
 * Orders the reads before it against those after it, on every CPU: BPF's atomic operations that
 * return the old value are fully ordered, and no lighter barrier is to be had before clang 20.
 */
static __always_inline void read_barrier(void)
{
	__u64 word = 0;

	/* Without a use of the value clang would choose the operation that orders nothing. */
	asm volatile("" ::"r"(__sync_fetch_and_add(&word, 1)) : "memory");
}

/* Whether someone is changing the source. Where its lock can't be read, nobody can say so: yes. */
static __always_inline bool is_locked(const struct wakeup_source *ws)
{
	if (bpf_core_field_exists(struct wakeup_source, lock.rlock.raw_lock.val.counter))
		return ws->lock.rlock.raw_lock.val.counter != 0;
	if (bpf_core_field_exists(struct spinlock___rt, lock.owner))
		return ((const struct spinlock___rt *)&ws->lock)->lock.owner != 0;
	return true;
}

/*
 * Copies the numbers, and says whether they are all of one moment. The kernel changes them under
 * ws->lock, which BPF can't take. But each change that touches times or counts raises event_count
 * or relax_count, and the switch of autosleep touches only what is compared one by one. So a copy
 * is whole if the lock was free both after these were first read and after the copy, and if they
 * are the same then: a change that began earlier had ended by the first look at the lock, one that
 * goes on holds it at the second, and one that came and went in between shows in what is compared.
 */
static __always_inline bool copy_numbers(struct ws_record *record, const struct wakeup_source *ws)
{
	__u64 event_count = ws->event_count;
	__u64 relax_count = ws->relax_count;
	bool whole;

	read_barrier();
	whole = !is_locked(ws);
	read_barrier();

	record->flags = 0;
	if (BPF_CORE_READ_BITFIELD(ws, active))
		record->flags |= WS_ACTIVE;
	if (BPF_CORE_READ_BITFIELD(ws, autosleep_enabled))
		record->flags |= WS_AUTOSLEEP;
	record->total_time = ws->total_time;
	record->max_time = ws->max_time;
	record->last_time = ws->last_time;
	record->start_prevent_time = ws->start_prevent_time;
	record->prevent_sleep_time = ws->prevent_sleep_time;
	record->event_count = ws->event_count;
	record->active_count = ws->active_count;
	record->relax_count = ws->relax_count;
	record->expire_count = ws->expire_count;
	record->wakeup_count = ws->wakeup_count;

	read_barrier();
	whole = whole && !is_locked(ws);
	read_barrier();
	return whole && ws->event_count == event_count && ws->relax_count == relax_count &&
	       BPF_CORE_READ_BITFIELD(ws, autosleep_enabled) == !!(record->flags & WS_AUTOSLEEP) &&
	       ws->start_prevent_time == record->start_prevent_time &&
	       ws->prevent_sleep_time == record->prevent_sleep_time;
}

/*
 * Copies a string of at most `room` bytes with its NUL, and returns its length without it. What
 * can't be read is empty. Sets *cut if there is more of it.
 */
static __always_inline __u32 copy_string(char *to, __u32 room, const char *from, bool *cut)
{
	char next = 0;
	long size;

	*cut = false;
	if (!from)
		return 0;
	size = bpf_probe_read_kernel_str(to, room, from);
	if (size <= 0 || size > room)
		return 0;
	if (size == room)
		*cut = !bpf_probe_read_kernel(&next, 1, from + room - 1) && next;
	return size - 1;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte of a word is its lowest");

/*
 * The same for a name, which is short but for a few, and then is copied by words: that takes a
 * fifth of the instructions. An aligned word that holds a byte of the name can be read to its end,
 * as no page begins in it. What follows the name there is not for anybody to see. A word that
 * can't be read is 0, and so the name's end.
 */
static __always_inline __u32 copy_name(char *to, const char *from, bool *cut)
{
	__u64 word, ends, inside;
	int i;

	*cut = false;
	if (!from)
		return 0;
	if ((__u64)from % sizeof(word))
		return copy_string(to, NAME_ROOM, from, cut);
#pragma unroll
	for (i = 0; i < SHORT_NAME; i += sizeof(word)) {
		word = bpf_core_cast(from + i, struct timespec64)->tv_sec;
		/* The lowest bit that is set is the highest bit of the first byte that is 0. */
		ends = (word - EACH_BYTE) & ~word & (EACH_BYTE << 7);
		if (ends) {
			inside = ((ends & -ends) >> 7) - 1;
			*(__u64 *)(to + i) = word & inside;
			return i + (((inside & EACH_BYTE) * EACH_BYTE) >> 56);
		}
		*(__u64 *)(to + i) = word;
	}
	return copy_string(to, NAME_ROOM, from, cut);
}

/* Copies one source to the end of the chunk, in which there must be room for the largest. */
static __always_inline void copy_source(struct ws_args *args, struct ws_chunk *chunk, __u32 used,
					const struct wakeup_source *ws)
{
	struct ws_record *record = (void *)&chunk->bytes[used];
	const struct device *dev, *parent;
	bool whole = false, cut;
	__u32 size;
	int i;

	bpf_for (i, 0, MAX_READS) {
		whole = copy_numbers(record, ws);
		if (whole || args->retries >= MAX_RETRIES)
			break;
		args->retries++;
	}
	if (!whole)
		record->flags |= WS_INCONSISTENT;

	record->id = ws->id;
	record->padding = 0;
	record->name_len = copy_name((char *)(record + 1), ws->name, &cut);
	if (cut)
		record->flags |= WS_NAME_CUT;
	size = record->name_len;
	/*
	 * Never more: this tells the verifier. Clang knows it from the checks above and would drop
	 * it, but they are no proof to the verifier of 6.12, hence the barrier.
	 */
	barrier_var(size);
	if (size > WS_NAME_LEN)
		size = WS_NAME_LEN;

	/* ws->dev is the node in /sys/class/wakeup; the device that owns the source is its parent.
	 */
	record->device_len = 0;
	dev = ws->dev;
	parent = dev ? dev->parent : 0;
	if (parent) {
		record->device_len = copy_string((char *)(record + 1) + size, DEVICE_ROOM,
						 parent->kobj.name, &cut);
	}

	size = sizeof(*record) + record->name_len + record->device_len;
	size = (size + 7) & ~7u;
	record->size = size;
	chunk->used = used + size;
	chunk->records++;
}

/* The chunk that has room for one more source, or null if the map has none left. */
static __always_inline struct ws_chunk *chunk_with_room(struct ws_args *args)
{
	struct ws_chunk *chunk;
	__u32 index = args->chunks;

	if (index) {
		index--;
		chunk = bpf_map_lookup_elem(&records, &index);
		if (!chunk)
			return 0;
		if (chunk->used <= WS_CHUNK_BYTES - MAX_RECORD)
			return chunk;
		index++;
	}
	chunk = bpf_map_lookup_elem(&records, &index);
	if (!chunk)
		return 0;
	chunk->used = 0;
	chunk->records = 0;
	args->chunks = index + 1;
	return chunk;
}

static __always_inline void visit(struct ws_args *args, const struct wakeup_source *ws)
{
	__u32 id = ws->id;
	struct ws_chunk *chunk;
	__u32 used;

	args->total++;
	if (id > args->max_id)
		args->max_id = id;
	if (id < args->first_id || id > args->last_id)
		return;
	args->matched++;
	if (args->copied + 1 != args->matched)
		return; /* The room has run out before: what follows is only counted. */
	chunk = chunk_with_room(args);
	if (!chunk)
		return;
	used = chunk->used;
	if (used > WS_CHUNK_BYTES - MAX_RECORD)
		return; /* never: tells the verifier */
	copy_source(args, chunk, used, ws);
	args->copied++;
}

/* Walks the list. Says with false that there is no lock to be had. */
static __always_inline bool walk(struct ws_args *args)
{
	struct list_head *head = bpf_wakeup_sources_get_head();
	struct list_head *entry = head;
	struct bpf_ws_lock *lock;
	int i;

	args->flags = WS_LIST_TOO_LONG;
	args->total = 0;
	args->matched = 0;
	args->copied = 0;
	args->chunks = 0;
	args->max_id = 0;
	args->retries = 0;

	lock = bpf_wakeup_sources_read_lock();
	if (!lock)
		return false;
	args->monotonic_ns = bpf_ktime_get_ns();
	args->boottime_ns = bpf_ktime_get_boot_ns();
	bpf_for (i, 0, MAX_LIST) {
		entry = bpf_core_cast(entry, struct list_head)->next;
		if (!entry) {
			args->flags = WS_LIST_BROKEN;
			break;
		}
		if (entry == head) {
			args->flags = 0;
			break;
		}
		visit(args, bpf_core_cast((void *)entry - bpf_core_field_offset(
								  struct wakeup_source, entry),
					  struct wakeup_source));
	}
	args->duration_ns = bpf_ktime_get_ns() - args->monotonic_ns;
	bpf_wakeup_sources_read_unlock(lock);
	return true;
}

SEC("syscall")
int snapshot(struct ws_args *args)
{
	struct ws_chunk *first;
	__u32 index = 0;
	bool walked;

	if (args->layout_version != WS_LAYOUT_VERSION)
		return -EPROTO;
	first = bpf_map_lookup_elem(&records, &index);
	if (!first)
		return -EPROTO;
	/*
	 * A run once begun always comes to its end, so nobody is kept out for good. The atomic
	 * operations are fully ordered: the new number is to be seen before anything that this run
	 * writes, and the end of the run after it.
	 */
	if (__sync_val_compare_and_swap(&first->busy, 0, 1))
		return -EBUSY;
	args->run = __sync_fetch_and_add(&first->run, 1) + 1;
	walked = walk(args);
	__sync_lock_test_and_set(&first->busy, 0);
	return walked ? 0 : -EPROTO;
}

/* The kfuncs are for programs under the GPL only. */
char _license[] SEC("license") = "GPL";
