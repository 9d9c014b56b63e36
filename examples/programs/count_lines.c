// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Counts the lines that contain a token.
//
//   range 0   the text
//   CPARAM1   bytes of text in range 0
//   data      the token, such as ERROR; without data, it is in range 1, and CPARAM2 has its bytes
//   result    number of lines

#include "find.h"

ERSATZ_PROGRAM u64 count_lines(const struct ersatz_args *args)
{
	struct ersatz_range text = ersatz_range(args, 0);
	const u8 *at = text.data;
	const u8 *end = at + ersatz_count(text, args->params[0], 1);
	struct token wanted;
	u64 lines = 0;

	wanted = token_of(args, 1);
	if (!wanted.len)
		return 0;
	for (;;) {
		at = find_token(at, end, &wanted);
		if (at == end)
			return lines;
		lines++;
		at = find_byte(at, end, '\n');
	}
}
