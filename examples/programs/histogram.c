// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Counts how often each byte value occurs.
//
//   range 0   the bytes
//   range 1   gets 256 counts of 8 bytes
//   CPARAM1   bytes in range 0
//   result    bytes counted, 0 if range 1 is too small

#include "ersatz.h"

static u64 counts[256];

ERSATZ_PROGRAM u64 histogram(const struct ersatz_args *args)
{
	struct ersatz_range in = ersatz_range(args, 0);
	struct ersatz_range out = ersatz_range(args, 1);
	const u64 bytes = ersatz_count(in, args->params[0], 1);
	const u8 *at = in.data;
	const u8 *end = at + bytes;

	if (out.len < sizeof(counts))
		return 0;
	for (; end - at >= 8; at += 8) {
		u64 word = ersatz_load64(at);

#pragma clang loop unroll(full)
		for (u32 lane = 0; lane < 8; lane++)
			counts[word >> lane * 8 & 0xff]++;
	}
	while (at < end)
		counts[*at++]++;
	ersatz_copy(out.data, counts, sizeof(counts));
	return bytes;
}
