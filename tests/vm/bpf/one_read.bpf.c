// SPDX-License-Identifier: GPL-2.0-only
/* The project's program, but what it can't read in one piece it marks at once. */
#define MAX_RETRIES 0
#include "../../../bpf/wakeupSources.bpf.c"
