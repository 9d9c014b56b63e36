// Two functions that could be the program.

#include "../../../../examples/programs/ersatz.h"

ERSATZ_PROGRAM u64 first(const struct ersatz_args *args)
{
	return args->params[0] + 1;
}

ERSATZ_PROGRAM u64 second(const struct ersatz_args *args)
{
	return args->params[0] + 2;
}
