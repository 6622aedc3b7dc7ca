/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the program `snapshot` and its caller share: the context of a run and the records in the
 * map.
 *
 * This header owns the layout. The Rust side is generated from it (service/build.rs), so it holds
 * fixed-width integers and explicit padding only: no bool, no long, no pointer. All numbers are in
 * the CPU's byte order, all times in nanoseconds. Change anything of it, and raise
 * WS_LAYOUT_VERSION.
 */
#ifndef WAKEUPSTATS_WAKEUP_SOURCES_H
#define WAKEUPSTATS_WAKEUP_SOURCES_H

typedef unsigned char ws_u8;
typedef unsigned short ws_u16;
typedef unsigned int ws_u32;
typedef unsigned long long ws_u64;
typedef long long ws_s64;

/* Caller and program must agree on it: ws_args.layout_version. */
#define WS_LAYOUT_VERSION 2

/* Longest name and owner's name that come through whole, in bytes; longer ones are cut. */
#define WS_NAME_LEN   255
#define WS_DEVICE_LEN 127

/*
 * One element of the map. Sources are packed into it as records of variable length, so that a short
 * name costs little, and that one element holds many: BPF_MAP_LOOKUP_BATCH costs per element.
 */
#define WS_CHUNK_BYTES 4080

/* Elements in the map unless its creator says otherwise: 128 KiB, about 1,050 sources. */
#define WS_CHUNKS 32

/* ws_record.flags */
#define WS_ACTIVE	1u /* the kernel's active bit */
#define WS_AUTOSLEEP	2u /* the kernel's autosleep_enabled bit: start_prevent_time counts */
#define WS_NAME_CUT	4u /* the name goes on past WS_NAME_LEN */
#define WS_INCONSISTENT 8u /* the source never held still: the fields may be of two moments */

/* ws_args.flags */
#define WS_LIST_BROKEN	 1u /* a list entry could not be read, so the walk ended early */
#define WS_LIST_TOO_LONG 2u /* the walk ended at its bound on list entries */

/* The context of a run: the first three fields are the caller's, the program fills in the rest. */
struct ws_args {
	ws_u32 layout_version; /* in: WS_LAYOUT_VERSION; anything else is refused with -EPROTO */
	ws_u32 first_id;       /* in: copy the sources with first_id <= id <= last_id, ... */
	ws_u32 last_id;	       /* ... count all */
	ws_u32 flags;
	ws_u64 monotonic_ns; /* CLOCK_MONOTONIC as the walk began, under the lock */
	ws_u64 boottime_ns;  /* CLOCK_BOOTTIME at the same moment */
	ws_u64 duration_ns;  /* how long the lock was held */
	ws_u32 total;	     /* sources on the kernel's list */
	ws_u32 matched;	     /* of those, sources with an id that was asked for */
	ws_u32 copied;	     /* of those, sources for which there was room */
	ws_u32 chunks;	     /* elements of the map that hold records, from element 0 on */
	ws_u32 max_id;	     /* the highest id on the list */
	ws_u32 retries;	     /* reads repeated because a source changed meanwhile */
	ws_u32 run;	     /* the number of this run, as in element 0 */
	ws_u32 padding;
};

/* A wakeup source, raw: fields of the kernel's struct wakeup_source under their own names. */
struct ws_record {
	ws_u16 size; /* of the whole record with its strings, a multiple of 8 */
	ws_u16 name_len;
	ws_u16 device_len; /* 0: no device owns the source */
	ws_u16 flags;
	ws_u32 id;
	ws_u32 padding;
	ws_s64 total_time;
	ws_s64 max_time;
	ws_s64 last_time;
	ws_s64 start_prevent_time;
	ws_s64 prevent_sleep_time;
	ws_u64 event_count;
	ws_u64 active_count;
	ws_u64 relax_count;
	ws_u64 expire_count;
	ws_u64 wakeup_count;
	/* name_len bytes of name and device_len bytes of the owner's name follow, then padding */
};

/*
 * Whoever may run a pinned program may run it at any time, and all runs write to the same map. So
 * element 0 says whether one is under way, in which case another is refused with -EBUSY, and the
 * number of the latest. What was copied from the map is of one run if that number is still the same
 * afterwards.
 */
struct ws_chunk {
	ws_u32 used; /* bytes of `bytes` that hold records */
	ws_u32 records;
	ws_u32 busy; /* element 0: a run is under way */
	ws_u32 run;  /* element 0: the number of the latest run */
	ws_u8 bytes[WS_CHUNK_BYTES];
} __attribute__((aligned(8))); /* as the records in it are */

#endif
