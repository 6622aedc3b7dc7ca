// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kfuncs by which a BPF program walks the list of wakeup sources, for kernels that have none.
 *
 * Linux has them built in since 7.2 (upstream commit 5ff44955447e). Names, types, flags and the
 * kind of program that may call them are the same here, so that one BPF program runs on both.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/pm_wakeup.h>
#include <linux/rculist.h>

#ifndef CONFIG_DEBUG_INFO_BTF_MODULES
#error "no kfunc can come from a module without CONFIG_DEBUG_INFO_BTF_MODULES=y"
#endif
#ifndef CONFIG_KPROBES
#error "whether the kernel has the kfuncs can't be found out without CONFIG_KPROBES=y"
#endif
#ifndef CONFIG_PM_SLEEP
#error "there are no wakeup sources without CONFIG_PM_SLEEP=y"
#endif

/* Before 6.7 each user of kfuncs wrote these out. */
#ifndef __bpf_kfunc_start_defs
#define __bpf_kfunc_start_defs()                                                                   \
	__diag_push();                                                                             \
	__diag_ignore_all("-Wmissing-declarations", "BTF declares what BPF may call");             \
	__diag_ignore_all("-Wmissing-prototypes", "BTF declares what BPF may call")
#define __bpf_kfunc_end_defs() __diag_pop()
#endif

/* Before 6.9 a set of kfuncs was a set like any other. */
#ifndef BTF_KFUNCS_START
#define BTF_KFUNCS_START(name) BTF_SET8_START(name)
#define BTF_KFUNCS_END(name)   BTF_SET8_END(name)
#endif

/* Empty, but defined: the verifier tracks no pointer to a type that is only declared. */
struct bpf_ws_lock {
};

/* The head of the kernel's list, found when the module is loaded. */
static struct list_head *wakeup_sources_head __ro_after_init;

__bpf_kfunc_start_defs();

/**
 * bpf_wakeup_sources_read_lock - Hold the wakeup sources so that none is freed
 *
 * Return: the SRCU index + 1, so that it is never NULL, in the guise of a pointer, as the verifier
 * tracks nothing else from acquire to release. Nothing is behind it, and the type has no field.
 */
__bpf_kfunc struct bpf_ws_lock *bpf_wakeup_sources_read_lock(void)
{
	unsigned long index = wakeup_sources_read_lock();

	return (struct bpf_ws_lock *)(index + 1);
}

/**
 * bpf_wakeup_sources_read_unlock - Let go of the wakeup sources
 * @lock: what bpf_wakeup_sources_read_lock() returned; the verifier lets nothing else through
 */
__bpf_kfunc void bpf_wakeup_sources_read_unlock(struct bpf_ws_lock *lock)
{
	unsigned long index = (unsigned long)lock - 1;

	wakeup_sources_read_unlock(index);
}

/**
 * bpf_wakeup_sources_get_head - The head of the list of wakeup sources
 *
 * Return: its address, which the verifier takes for a number: the program can read what is there
 * only through helpers that fail softly.
 */
__bpf_kfunc void *bpf_wakeup_sources_get_head(void)
{
	return wakeup_sources_head;
}

__bpf_kfunc_end_defs();

/*
 * Not for callers. Two providers at once would make it a matter of chance which one a program
 * binds to, and the module loader refuses a module that exports what another one already does.
 */
EXPORT_SYMBOL_GPL(bpf_wakeup_sources_read_lock);

BTF_KFUNCS_START(wakeup_sources_kfunc_ids)
BTF_ID_FLAGS(func, bpf_wakeup_sources_read_lock, KF_ACQUIRE)
BTF_ID_FLAGS(func, bpf_wakeup_sources_read_unlock, KF_RELEASE)
BTF_ID_FLAGS(func, bpf_wakeup_sources_get_head)
BTF_KFUNCS_END(wakeup_sources_kfunc_ids)

static const struct btf_kfunc_id_set wakeup_sources_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &wakeup_sources_kfunc_ids,
};

/*
 * Refuses where the kernel itself has the kfuncs. They are not exported, and come by backports too,
 * so neither the linker nor a version can tell: only the running kernel's symbol table can, and a
 * kprobe is the one exported way to ask it. The kernel's own symbols are searched before those of
 * modules. Ours are in the table by now, so the search ends here at the latest, and one that ends
 * nowhere says nothing. The probe is registered as disabled: no instruction is ever patched.
 */
static int __init refuse_where_built_in(void)
{
	static struct kprobe probe = {
		.symbol_name = "bpf_wakeup_sources_read_lock",
		.flags = KPROBE_FLAG_DISABLED,
	};
	bool ours;
	int error;

	error = register_kprobe(&probe);
	if (error) {
		pr_err("can't find out whether this kernel has the kfuncs (error %d)\n", error);
		return error;
	}
	ours = within_module((unsigned long)probe.addr, THIS_MODULE);
	unregister_kprobe(&probe);
	if (ours)
		return 0;

	pr_err("this kernel has the kfuncs built in and needs no module for them\n");
	/* -EEXIST is how the loader says "loaded already", and modprobe takes it for success. */
	return -EBUSY;
}

/*
 * Whether this is the head of the list. The kernel itself answers: asked for what follows an entry
 * it looks at the entry's ->next alone, and says "nothing" if and only if that is the head.
 */
static bool __init is_head(struct list_head *entry)
{
	struct wakeup_source before = {};

	before.entry.next = entry;
	return !wakeup_sources_walk_next(&before);
}

/*
 * Finds the head, which is not exported, by following ->next from any place in the list. Called
 * with the read lock held, it finds it without fail, whatever happens to the list meanwhile:
 *
 *  - Every ->next leads on towards the head. Sources are added at the front only, behind whoever
 *    has begun to walk, and one that is removed keeps its ->next (list_del_rcu).
 *  - No source that the walk can come to is freed, or added once more, before the lock is dropped:
 *    both come after synchronize_srcu().
 *  - Each place is asked about on its own, so that no source is taken for the head because of what
 *    came before or after it a moment ago. And there is but one head, in the kernel's data, so
 *    that what was found stays right.
 *
 * The first source's ->prev would not do: another source may come between the two at any time.
 */
static struct list_head *__init find_head_from(struct list_head *entry)
{
	while (!is_head(entry))
		entry = READ_ONCE(entry->next);
	return entry;
}

static int __init find_head(void)
{
	struct wakeup_source *first, *own;
	int lock;

	/* Of an empty list older kernels return a source that is none: its entry is the head. */
	lock = wakeup_sources_read_lock();
	first = wakeup_sources_walk_start();
	if (first)
		wakeup_sources_head = find_head_from(&first->entry);
	wakeup_sources_read_unlock(lock);
	if (first)
		return 0;

	/* Newer ones return nothing, so the list gets a source for the moment. */
	own = wakeup_source_register(NULL, KBUILD_MODNAME);
	if (!own) {
		pr_err("can't register a wakeup source to find the list by\n");
		return -ENOMEM;
	}
	lock = wakeup_sources_read_lock();
	wakeup_sources_head = find_head_from(&own->entry);
	wakeup_sources_read_unlock(lock);
	wakeup_source_unregister(own);
	return 0;
}

static int __init wakeup_sources_kfuncs_init(void)
{
	int error;

	error = refuse_where_built_in();
	if (error)
		return error;

	/* Registering kfuncs without BTF is no error to the kernel, but nobody could call them. */
	if (!THIS_MODULE->btf_data_size) {
		pr_err("built without BTF: pahole or the kernel's vmlinux was missing\n");
		return -ENOENT;
	}

	error = find_head();
	if (error)
		return error;

	error = register_btf_kfunc_id_set(BPF_PROG_TYPE_SYSCALL, &wakeup_sources_kfunc_set);
	if (error)
		pr_err("the kernel does not take the kfuncs (error %d)\n", error);
	return error;
}

/*
 * Nothing is left to undo: the registration goes with the module's BTF. A loaded program that
 * calls the kfuncs holds a reference to the module, so that this runs when there is none. Without
 * this function the module could not be unloaded at all.
 */
static void __exit wakeup_sources_kfuncs_exit(void)
{
}

module_init(wakeup_sources_kfuncs_init);
module_exit(wakeup_sources_kfuncs_exit);

MODULE_DESCRIPTION("BPF kfuncs to walk the wakeup sources, for kernels before 7.2");
MODULE_LICENSE("GPL");
