/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel as the program sees it: the few types and fields it reads, found in the running
 * kernel's BTF when it is loaded (CO-RE), and the kfuncs it calls. Offsets here mean nothing.
 */
#ifndef WAKEUPSTATS_KERNEL_H
#define WAKEUPSTATS_KERNEL_H

#include <stdbool.h>

/* The names that libbpf's headers expect, otherwise from linux/types.h. */
typedef unsigned char __u8;
typedef signed short __s16;
typedef unsigned short __u16;
typedef signed int __s32;
typedef unsigned int __u32;
typedef signed long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_F_MMAPABLE = 1 << 10,
};

/* include/uapi/asm-generic/errno-base.h, errno.h */
#define EBUSY  16
#define EPROTO 71

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};

/*
 * include/linux/time64.h: stands for any 64 bits of memory. There is no cast to a mere number
 * before Linux 6.17.
 */
struct timespec64 {
	__s64 tv_sec;
};

struct kobject {
	const char *name;
};

struct device {
	struct kobject kobj;
	struct device *parent;
};

/* A spinlock_t is one of two things: a queued spinlock, or with PREEMPT_RT an rt_mutex. */
struct qspinlock {
	struct {
		int counter;
	} val;
};

struct raw_spinlock {
	struct qspinlock raw_lock;
};

struct spinlock {
	struct raw_spinlock rlock;
};

struct rt_mutex_base {
	void *owner;
};

struct spinlock___rt {
	struct rt_mutex_base lock;
};

/* include/linux/pm_wakeup.h */
struct wakeup_source {
	const char *name;
	int id;
	struct list_head entry;
	struct spinlock lock;
	__s64 total_time;
	__s64 max_time;
	__s64 last_time;
	__s64 start_prevent_time;
	__s64 prevent_sleep_time;
	unsigned long event_count;
	unsigned long active_count;
	unsigned long relax_count;
	unsigned long expire_count;
	unsigned long wakeup_count;
	struct device *dev;
	bool active : 1;
	bool autosleep_enabled : 1;
};

#pragma clang attribute pop

/* drivers/base/power/power.h: empty there, too, as it only stands for an SRCU index. */
struct bpf_ws_lock {
};

/* include/uapi/linux/bpf.h: the state of bpf_for() */
struct bpf_iter_num {
	__u64 opaque[1];
} __attribute__((aligned(8)));

#endif
