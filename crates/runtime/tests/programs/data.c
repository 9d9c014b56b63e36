// Constants, variables with and without a value, strings, and pointers to all of them.
//
//   CPARAM1   which word to look up
//   result    its letters as a number in base 256, plus how often variables were changed, which is
//             once more than before: the same in each run

#include "../../../../examples/programs/ersatz.h"

static const char *const words[] = { "null", "eins", "zwei", "drei" };
static u64 untouched;
static u64 changes = 1000;
u64 *to_changes = &changes;
u64 (*not_called)(u64);
struct {
	u8 padding[37];
	u64 value __attribute__((aligned(64)));
} aligned = { .value = 5 };

ERSATZ_PROGRAM u64 data(const struct ersatz_args *args)
{
	volatile u64 *variables[] = { &untouched, to_changes, &aligned.value };
	const char *word = words[args->params[0] & 3];
	u64 letters = 0;

	while (*word)
		letters = letters << 8 | (u8)*word++;
	for (u32 i = 0; i < 3; i++)
		++*variables[i];
	if ((u64)&aligned.value % 64 || not_called)
		return 0;
	return letters * 10000 + untouched + changes + aligned.value;
}
