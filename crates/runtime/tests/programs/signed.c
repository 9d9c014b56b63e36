// What version 4 of the instruction set has instructions of its own for: signed division, sign
// extension, byte order.
//
//   CPARAM1   a
//   CPARAM2   b
//   range 0   gets the results

#include "../../../../examples/programs/ersatz.h"

ERSATZ_PROGRAM u64 signs(const struct ersatz_args *args)
{
	s64 *out = args->ranges[0].data;
	s64 a = args->params[0];
	s64 b = args->params[1];

#if __BPF_CPU_VERSION__ >= 4
	out[0] = a / b;
	out[1] = a % b;
	out[2] = (s32)a / (s32)b;
	out[3] = (s32)a % (s32)b;
#endif
	out[4] = (s8)a;
	out[5] = (s16)a;
	out[6] = (s32)a;
	out[7] = __builtin_bswap64(a);
	out[8] = __builtin_bswap32(a);
	out[9] = __builtin_bswap16(a);
	out[10] = a >> (b & 63);
	out[11] = *(volatile s8 *)&a;
	out[12] = *(volatile s16 *)&a;
	out[13] = *(volatile s32 *)&a;
	return a < b;
}
