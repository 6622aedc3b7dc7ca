// SPDX-License-Identifier: Apache-2.0
/*
 * In the place of Bionic's crtbegin_dynamic.o, which comes with the NDK: the entry point that leads
 * to main(), so that the linker keeps what main() needs. It is linked and never run.
 */

int main(int argc, char **argv, char **envp);

/* In libc.so: initializes it, calls main() and exits. Raw arguments, exit hook, main, arrays. */
_Noreturn void __libc_init(void *arguments, void (*on_exit)(void),
			   int (*main)(int, char **, char **), const void *arrays);

_Noreturn void _start(void)
{
	__libc_init(__builtin_frame_address(0), 0, main, 0);
}
