// Calls a helper function of the Linux kernel.

#include "../../../../examples/programs/ersatz.h"

static u64 (*ktime_get_ns)(void) = (void *)5;

ERSATZ_PROGRAM u64 helper(const struct ersatz_args *args)
{
	return args->params[0] + ktime_get_ns();
}
