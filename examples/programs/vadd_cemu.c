// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Adds pairs of integers, as a program for CEMU would.
//
//   range 0   gets the sums
//   range 1   the pairs
//   CPARAM1   how many pairs
//   result    the same

#define CEMU_PROGRAM vadd
#include "cemu_def.h"

long long vadd(struct cemu_args *args)
{
	const u32 *in;
	u32 *out;

	assert(args->numr == 2);
	out = args->mr_addr[0];
	in = args->mr_addr[1];
	for (long long i = 0; i < args->cparam1; i++)
		out[i] = in[2 * i] + in[2 * i + 1];
	return args->cparam1;
}
