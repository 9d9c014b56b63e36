// Functions that call one another: local and global, in the same section and in another, nested,
// and with five arguments.
//
//   CPARAM1   n: the functions are nested n + 1 deep
//   CPARAM2   k
//   result    1 + 2 + … + n, plus 12345 k, plus the value that survived all calls (k)

#include "../../../../examples/programs/ersatz.h"

__attribute__((noinline)) static u64 five(u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return a * 10000 + b * 1000 + c * 100 + d * 10 + e;
}

__attribute__((noinline, section("elsewhere"))) static u64 digits(u64 k)
{
	return five(k, 2 * k, 3 * k, 4 * k, 5 * k);
}

__attribute__((noinline)) u64 up_to(u64 n)
{
	volatile u64 mine = n;

	/* The compiler must not make a loop of it. */
	return n ? up_to(n - 1) + mine : 0;
}

ERSATZ_PROGRAM u64 calls(const struct ersatz_args *args)
{
	u64 k = args->params[1];
	u64 sum = up_to(args->params[0]);

	return sum + digits(k) + k;
}
