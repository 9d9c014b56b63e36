// Tells the test what the compiler makes of the header, and what the program was given.
//
//   range 0   gets the words below
//   result    the first byte of the data buffer, or 0

#include "../../../../examples/programs/ersatz.h"

ERSATZ_PROGRAM u64 abi(const struct ersatz_args *args)
{
	u64 *out = args->ranges[0].data;

	*out++ = ERSATZ_ABI;
	*out++ = __builtin_offsetof(struct ersatz_args, abi);
	*out++ = __builtin_offsetof(struct ersatz_args, range_count);
	*out++ = __builtin_offsetof(struct ersatz_args, params);
	*out++ = __builtin_offsetof(struct ersatz_args, data);
	*out++ = __builtin_offsetof(struct ersatz_args, data_len);
	*out++ = __builtin_offsetof(struct ersatz_args, ranges);
	*out++ = sizeof(struct ersatz_range);
	*out++ = args->abi;
	*out++ = args->range_count;
	*out++ = args->params[0];
	*out++ = args->params[1];
	*out++ = args->data_len;
	*out++ = args->ranges[0].len;
	*out++ = (u64)args->ranges[1].data % 4096;
	*out++ = args->ranges[1].len;
	return args->data_len ? *(const u8 *)args->data : 0;
}
