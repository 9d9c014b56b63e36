// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Adds up unsigned integers.
//
//   range 0   the integers, little-endian
//   CPARAM1   how many
//   CPARAM2   bytes of each: 4 or 8
//   result    the sum, modulo 2^64

#include "ersatz.h"

ERSATZ_PROGRAM u64 sum(const struct ersatz_args *args)
{
	struct ersatz_range in = ersatz_range(args, 0);
	u64 total = 0;

	if (args->params[1] == 4) {
		const u32 *value = in.data;
		const u32 *end = value + ersatz_count(in, args->params[0], 4);

#pragma clang loop unroll_count(8)
		while (value < end)
			total += *value++;
	} else if (args->params[1] == 8) {
		const u64 *value = in.data;
		const u64 *end = value + ersatz_count(in, args->params[0], 8);

#pragma clang loop unroll_count(8)
		while (value < end)
			total += *value++;
	}
	return total;
}
