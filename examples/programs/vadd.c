// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Adds two vectors of 32-bit integers.
//
//   range 0   one vector
//   range 1   the other
//   range 2   gets the sums, modulo 2^32
//   CPARAM1   elements
//   result    elements added: as many as all three ranges have room for

#include "ersatz.h"

ERSATZ_PROGRAM u64 vadd(const struct ersatz_args *args)
{
	struct ersatz_range a = ersatz_range(args, 0);
	struct ersatz_range b = ersatz_range(args, 1);
	struct ersatz_range out = ersatz_range(args, 2);
	const u32 *left = a.data;
	const u32 *right = b.data;
	u32 *to = out.data;
	u64 count = args->params[0];

	count = ersatz_count(a, count, sizeof(u32));
	count = ersatz_count(b, count, sizeof(u32));
	count = ersatz_count(out, count, sizeof(u32));
#pragma clang loop unroll_count(4)
	for (u64 i = 0; i < count; i++)
		to[i] = left[i] + right[i];
	return count;
}
