// Atomic operations on a counter that several programs share.
//
//   range 0   u64 counter, u32 counter, u32 lock
//   CPARAM1   turns
//   CPARAM2   bytes to misalign the first counter by
//   result    turns done

#include "../../../../examples/programs/ersatz.h"

ERSATZ_PROGRAM u64 atomics(const struct ersatz_args *args)
{
	u8 *memory = args->ranges[0].data;
	u64 *wide = (u64 *)(memory + args->params[1]);
	u32 *narrow = (u32 *)(memory + 8);
	u32 *lock = (u32 *)(memory + 12);
	u64 done = 0;

	while (done < args->params[0]) {
		__sync_fetch_and_add(wide, 3);
		while (!__sync_bool_compare_and_swap(lock, 0, 1))
			;
		++*(volatile u32 *)narrow;
		(void)__sync_lock_test_and_set(lock, 0);
		done++;
	}
	return done;
}
