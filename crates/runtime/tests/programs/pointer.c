// Takes the address of a function.

#include "../../../../examples/programs/ersatz.h"

__attribute__((noinline)) static u64 callee(u64 a)
{
	return a + 1;
}

ERSATZ_PROGRAM u64 pointer(const struct ersatz_args *args)
{
	return (u64)&callee + args->params[0];
}
