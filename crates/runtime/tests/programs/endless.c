// Never returns.

#include "../../../../examples/programs/ersatz.h"

ERSATZ_PROGRAM u64 endless(const struct ersatz_args *args)
{
	volatile u64 turns = args->params[0];

	for (;;)
		turns++;
}
