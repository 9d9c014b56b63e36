// Refers to what no object defines.

#include "../../../../examples/programs/ersatz.h"

u64 missing(u64);

ERSATZ_PROGRAM u64 undefined(const struct ersatz_args *args)
{
	return missing(args->params[0]);
}
