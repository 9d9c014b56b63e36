/* SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 * Compiles programs that were written for CEMU as they are:
 *
 *     clang -target bpf -O2 -mcpu=v3 -DCEMU_PROGRAM=vadd -include cemu_def.h -c vadd.bpf.c
 *
 * CEMU_PROGRAM names the function that the drive shall call: it gets a struct cemu_args, and what it
 * returns is the result of the command. CEMU's own header, if the program includes it, then adds
 * nothing: both have the same guard.
 *
 * Not here: threads, the C library, and floating-point numbers, which eBPF does not have.
 */
#ifndef CEMU_DEF_H
#define CEMU_DEF_H

#include "ersatz.h"

/* The job, with the names that CEMU gives to its parts. */
struct cemu_args {
	int numr;            /* memory ranges */
	void **mr_addr;      /* where each of them is */
	long long *mr_len;   /* how many bytes each of them has */
	long long cparam1;   /* CPARAM1 and CPARAM2 of the command */
	long long cparam2;
	void *data_buffer;   /* the command's data buffer; can only be read */
	long long buffer_len;
};

/* Ends the program with an error status if `expr` does not hold: the drive's log has the
 * instruction. */
#ifdef assert
#undef assert
#endif
#ifdef NDEBUG
#define assert(expr) ((void)0)
#else
#define assert(expr) ((expr) ? (void)0 : (void)(*(volatile char *)0 = 0))
#endif

#ifdef CEMU_PROGRAM

/* As many ranges as a command can name. */
#define CEMU_RANGES 255

#define CEMU_STRING_(name) #name
#define CEMU_STRING(name) CEMU_STRING_(name)

/* By its symbol, so that it may be declared with any 64-bit type. */
long long cemu_program(struct cemu_args *args) __asm__(CEMU_STRING(CEMU_PROGRAM));

ERSATZ_PROGRAM u64 cemu_entry(const struct ersatz_args *args)
{
	static void *addr[CEMU_RANGES];
	static long long len[CEMU_RANGES];
	static struct cemu_args job;
	u32 count = args->range_count;

	if (count > CEMU_RANGES)
		count = CEMU_RANGES;
	for (u32 i = 0; i < count; i++) {
		addr[i] = args->ranges[i].data;
		len[i] = (long long)args->ranges[i].len;
	}
	job.numr = (int)count;
	job.mr_addr = addr;
	job.mr_len = len;
	job.cparam1 = (long long)args->params[0];
	job.cparam2 = (long long)args->params[1];
	job.data_buffer = (void *)args->data;
	job.buffer_len = (long long)args->data_len;
	return (u64)cemu_program(&job);
}

#endif
#endif
