// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Finds the vectors that are nearest to one, by Euclidean distance.
//
//   range 0   the vectors, one after the other: s16
//   range 1   the query: one more
//   range 2   gets an entry for each of the nearest, the nearest first; as many as it has room for
//   CPARAM1   numbers of a vector
//   CPARAM2   how many vectors are in range 0
//   result    entries written
//
// eBPF has no floating-point numbers: embeddings are quantised to 16 bits, as search engines do to
// save memory.

#include "ersatz.h"

struct entry {
	u64 number;   /* of the vector, from 0 on */
	u64 distance; /* squared */
};

ERSATZ_INLINE u64 squared_distance(const s16 *a, const s16 *b, u64 count)
{
	u64 sum = 0;

#pragma clang loop unroll_count(4)
	for (u64 i = 0; i < count; i++) {
		s64 difference = (s64)a[i] - b[i];

		sum += difference * difference;
	}
	return sum;
}

ERSATZ_PROGRAM u64 knn(const struct ersatz_args *args)
{
	struct ersatz_range vectors = ersatz_range(args, 0);
	struct ersatz_range query = ersatz_range(args, 1);
	struct ersatz_range out = ersatz_range(args, 2);
	struct entry *nearest = out.data;
	u64 dimension = args->params[0];
	u64 most = out.len / sizeof(struct entry);
	u64 found = 0;
	u64 count;

	if (!dimension || dimension > query.len / sizeof(s16) || !most)
		return 0;
	count = ersatz_count(vectors, args->params[1], dimension * sizeof(s16));
	for (u64 number = 0; number < count; number++) {
		const s16 *vector = (const s16 *)vectors.data + number * dimension;
		u64 distance = squared_distance(vector, query.data, dimension);
		u64 place;

		if (found == most && distance >= nearest[found - 1].distance)
			continue;
		if (found < most)
			found++;
		/* Those that are farther make room. Of equal ones, the first comes first. */
		for (place = found - 1; place && nearest[place - 1].distance > distance; place--)
			nearest[place] = nearest[place - 1];
		nearest[place].number = number;
		nearest[place].distance = distance;
	}
	return found;
}
