// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wrong uses of the kfuncs, which the verifier must refuse, and the right use. Each wrong program
 * is the right one but for a single step, so that this step is all there is to refuse.
 */
#include "kfuncs.h"

SEC("syscall")
int right(void *ctx)
{
	struct bpf_ws_lock *lock = bpf_wakeup_sources_read_lock();
	struct list_head *head = bpf_wakeup_sources_get_head();
	struct list_head *first = bpf_core_cast(head, struct list_head)->next;

	bpf_wakeup_sources_read_unlock(lock);
	return !first;
}

SEC("syscall")
int lock_not_released(void *ctx)
{
	struct list_head *head, *first;

	bpf_wakeup_sources_read_lock();
	head = bpf_wakeup_sources_get_head();
	first = bpf_core_cast(head, struct list_head)->next;
	return !first;
}

SEC("syscall")
int lock_read(void *ctx)
{
	struct bpf_ws_lock *lock = bpf_wakeup_sources_read_lock();
	struct list_head *head = bpf_wakeup_sources_get_head();
	struct list_head *first = bpf_core_cast(head, struct list_head)->next;
	int word = *(volatile int *)lock;

	bpf_wakeup_sources_read_unlock(lock);
	return !first + !word;
}

SEC("syscall")
int unlock_of_number(void *ctx)
{
	struct bpf_ws_lock *lock = bpf_wakeup_sources_read_lock();
	struct list_head *head = bpf_wakeup_sources_get_head();
	struct list_head *first = bpf_core_cast(head, struct list_head)->next;

	/* What the kernel's own pointer looks like: an SRCU index + 1. */
	bpf_wakeup_sources_read_unlock((struct bpf_ws_lock *)1);
	bpf_wakeup_sources_read_unlock(lock);
	return !first;
}

SEC("syscall")
int unlock_of_own_memory(void *ctx)
{
	struct bpf_ws_lock *lock = bpf_wakeup_sources_read_lock();
	struct list_head *head = bpf_wakeup_sources_get_head();
	struct list_head *first = bpf_core_cast(head, struct list_head)->next;
	__u64 own = 1;

	bpf_wakeup_sources_read_unlock((struct bpf_ws_lock *)&own);
	bpf_wakeup_sources_read_unlock(lock);
	return !first;
}

SEC("syscall")
int unlock_of_null(void *ctx)
{
	struct bpf_ws_lock *lock = bpf_wakeup_sources_read_lock();
	struct list_head *head = bpf_wakeup_sources_get_head();
	struct list_head *first = bpf_core_cast(head, struct list_head)->next;

	bpf_wakeup_sources_read_unlock((struct bpf_ws_lock *)0);
	bpf_wakeup_sources_read_unlock(lock);
	return !first;
}

SEC("syscall")
int load_through_head(void *ctx)
{
	struct bpf_ws_lock *lock = bpf_wakeup_sources_read_lock();
	struct list_head *head = bpf_wakeup_sources_get_head();
	struct list_head *first = head->next;

	bpf_wakeup_sources_read_unlock(lock);
	return !first;
}
