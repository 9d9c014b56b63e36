// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Adds pairs of integers, a chunk of blocks at a time: for data that the drive streams through it.
//
//   range 0   gets the sums of the chunk
//   range 1   the chunk: pairs of u32
//   range 2   kept from chunk to chunk, zero at first: u64, how many pairs there were
//   result    blocks of 512 bytes written to range 0, the last of them filled up with zeros

#include "ersatz.h"

#define BLOCK 512

ERSATZ_PROGRAM u64 vadd_indirect(const struct ersatz_args *args)
{
	struct ersatz_range out = ersatz_range(args, 0);
	struct ersatz_range in = ersatz_range(args, 1);
	struct ersatz_range state = ersatz_range(args, 2);
	const u32 *pair = in.data;
	u32 *sum = out.data;
	u64 count = ersatz_count(in, ~0ull, 2 * sizeof(u32));
	u64 room = out.len / BLOCK * (BLOCK / sizeof(u32));
	u64 i;

	if (count > room)
		count = room;
#pragma clang loop unroll_count(4)
	for (i = 0; i < count; i++)
		sum[i] = pair[2 * i] + pair[2 * i + 1];
	for (; i % (BLOCK / sizeof(u32)); i++) {
		sum[i] = 0;
		/* Else the compiler sees a memset in this loop, calls it, and finds that it has none. */
		__asm__ volatile("" : "+r"(i));
	}
	if (state.len >= sizeof(u64))
		*(u64 *)state.data += count;
	return i / (BLOCK / sizeof(u32));
}
