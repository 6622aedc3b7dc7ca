// SPDX-License-Identifier: GPL-2.0-only
/* The project's program, with a bound on list entries that a VM reaches. */
#define MAX_LIST 64
#include "../../../bpf/wakeupSources.bpf.c"
