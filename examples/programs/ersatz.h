/* SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 * What a program on an Ersatz drive is given, and how it says what it found.
 *
 *     #include "ersatz.h"
 *
 *     ERSATZ_PROGRAM u64 answer(const struct ersatz_args *args)
 *     {
 *             return args->params[0] * 2;
 *     }
 *
 *     clang -target bpf -O2 -mcpu=v3 -c answer.c
 *
 * The drive calls the one function that is marked with ERSATZ_PROGRAM. What it returns is the
 * 64-bit result of the Execute Program command. It may use: its memory ranges (read and write),
 * variables and constants of its own (variables start anew in each run), a stack of 512 bytes per
 * function and 64 functions deep, loops, and calls to other functions of the same file.
 *
 * There is no C library, but the drive has a few functions to call: see below. An access outside of
 * all that, an atomic operation on an address that is not aligned, or more instructions than the
 * drive allows end the program with an error status. Division by zero gives zero.
 */
#ifndef ERSATZ_H
#define ERSATZ_H

typedef __UINT8_TYPE__ u8;
typedef __UINT16_TYPE__ u16;
typedef __UINT32_TYPE__ u32;
typedef __UINT64_TYPE__ u64;
typedef __INT8_TYPE__ s8;
typedef __INT16_TYPE__ s16;
typedef __INT32_TYPE__ s32;
typedef __INT64_TYPE__ s64;

/* Version of struct ersatz_args. Later versions add fields at places that are unused in this one;
 * nothing moves. */
#define ERSATZ_ABI 1

/* A memory range of the job. */
struct ersatz_range {
	void *data;
	u64 len; /* bytes */
};

/* What the program is called with. It can only be read, and so can the data buffer. */
struct ersatz_args {
	u32 abi;                      /* ERSATZ_ABI of the drive */
	u32 range_count;              /* entries of ranges[] */
	u64 params[2];                /* CPARAM1 and CPARAM2 of the command */
	const void *data;             /* the command's data buffer, after its range descriptors */
	u64 data_len;                 /* bytes */
	struct ersatz_range ranges[]; /* in the order of the command */
};

_Static_assert(__builtin_offsetof(struct ersatz_args, params) == 8, "ABI");
_Static_assert(__builtin_offsetof(struct ersatz_args, data) == 24, "ABI");
_Static_assert(__builtin_offsetof(struct ersatz_args, ranges) == 40, "ABI");
_Static_assert(sizeof(struct ersatz_range) == 16, "ABI");

/* Marks the function that the drive calls. */
#define ERSATZ_PROGRAM __attribute__((section("ersatz"), used))

#define ERSATZ_INLINE static inline __attribute__((always_inline))

/* Range `index`, or an empty one if the job has fewer. */
ERSATZ_INLINE struct ersatz_range ersatz_range(const struct ersatz_args *args, u32 index)
{
	struct ersatz_range none = { 0, 0 };

	return index < args->range_count ? args->ranges[index] : none;
}

/* How many elements of `size` bytes to work on: `wanted`, but no more than `range` holds. */
ERSATZ_INLINE u64 ersatz_count(struct ersatz_range range, u64 wanted, u64 size)
{
	u64 room = range.len / size;

	return wanted < room ? wanted : room;
}

/* The eight bytes at `p`, which need not be aligned: eBPF loads them in one instruction. */
ERSATZ_INLINE u64 ersatz_load64(const void *p)
{
	struct unaligned {
		u64 value;
	} __attribute__((packed, aligned(8)));

	return ((const struct unaligned *)p)->value;
}

ERSATZ_INLINE void ersatz_store64(void *p, u64 value)
{
	struct unaligned {
		u64 value;
	} __attribute__((packed, aligned(8)));

	((struct unaligned *)p)->value = value;
}

/* Functions of the drive. Version 1 of them; a later one adds some and changes none, and a drive
 * refuses a program that calls one that it does not have. Each call costs one instruction, and one
 * more for each eight bytes that it works on. An argument that is wrong ends the program with an
 * error status. docs/programs.md tells more of each. */
#define ERSATZ_HELPERS 1

/* Writes a line of up to 1024 bytes to the drive's log. */
static u64 (*const ersatz_print)(const void *text, u64 len) = (void *)1001;
/* The modelled time at which the job arrived, in nanoseconds. */
static u64 (*const ersatz_time)(void) = (void *)1002;
/* Copies bytes; the two places may overlap. */
static u64 (*const ersatz_memmove)(void *to, const void *from, u64 len) = (void *)1003;
/* Compares as memcmp does: -1, 0 or 1. */
static s64 (*const ersatz_memcmp)(const void *a, const void *b, u64 len) = (void *)1004;
/* Where `what`, of up to 4096 bytes, is first in `in`: an offset, or ERSATZ_NOT_FOUND. */
static u64 (*const ersatz_find)(const void *in, u64 len, const void *what, u64 what_len) =
	(void *)1005;
#define ERSATZ_NOT_FOUND (~0ull)
/* Continues a CRC-32C, which begins with 0. */
static u64 (*const ersatz_crc32c)(const void *data, u64 len, u64 crc) = (void *)1006;
/* Reads blocks of an NVM namespace to a place with `room` bytes in a memory range; how many bytes
 * they were. The drive's flash takes its time for them when the program has ended. */
static u64 (*const ersatz_read_blocks)(u64 nsid, u64 slba, u64 nlb, void *to, u64 room) =
	(void *)1007;
/* Sets one of the eight words of results, which are the last 64 bytes of the last range. */
static u64 (*const ersatz_result)(u64 index, u64 value) = (void *)1008;
#define ERSATZ_RESULTS 8

/* Copies `len` bytes to a place that does not overlap them. */
ERSATZ_INLINE void ersatz_copy(void *to, const void *from, u64 len)
{
	u8 *out = to;
	const u8 *in = from;

	for (; len >= 8; len -= 8, out += 8, in += 8) {
		ersatz_store64(out, ersatz_load64(in));
		/* Else the compiler sees a memcpy in this loop, calls it, and finds that it has none. */
		__asm__ volatile("" : "+r"(in));
	}
	for (; len; len--) {
		*out++ = *in++;
		__asm__ volatile("" : "+r"(in));
	}
}

#endif
