// Accesses what it is told to.
//
//   CPARAM1   address, or an offset from range 0 if the lowest bit of CPARAM2 is set
//   CPARAM2   bits 1 and 2: 0 reads a byte, 1 reads eight, 2 writes a byte, 3 writes eight
//   result    what was read

#include "../../../../examples/programs/ersatz.h"

ERSATZ_PROGRAM u64 wild(const struct ersatz_args *args)
{
	u64 how = args->params[1];
	u64 at = args->params[0] + (how & 1 ? (u64)args->ranges[0].data : 0);

	switch (how >> 1 & 3) {
	case 0:
		return *(volatile u8 *)at;
	case 1:
		return *(volatile u64 *)at;
	case 2:
		*(volatile u8 *)at = 0xee;
		return 0;
	default:
		*(volatile u64 *)at = 0xeeeeeeeeeeeeeeee;
		return 0;
	}
}
