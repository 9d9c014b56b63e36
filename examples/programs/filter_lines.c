// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Copies the lines that contain a token.
//
//   range 0   the text
//   range 1   gets the lines; where it is full, no more are copied
//   CPARAM1   bytes of text in range 0
//   data      the token, such as ERROR; without data, it is in range 2, and CPARAM2 has its bytes
//   result    bytes written to range 1

#include "find.h"

ERSATZ_PROGRAM u64 filter_lines(const struct ersatz_args *args)
{
	struct ersatz_range text = ersatz_range(args, 0);
	struct ersatz_range out = ersatz_range(args, 1);
	const u8 *at = text.data;
	const u8 *end = at + ersatz_count(text, args->params[0], 1);
	struct token wanted;
	u64 written = 0;

	wanted = token_of(args, 2);
	if (!wanted.len)
		return 0;
	for (;;) {
		/* Whatever comes before belongs to lines that are done. */
		const u8 *unread = at;
		const u8 *line = find_token(at, end, &wanted);

		if (line == end)
			return written;
		at = find_byte(line, end, '\n');
		if (at < end)
			at++;
		while (line > unread && line[-1] != '\n')
			line--;
		if ((u64)(at - line) > out.len - written)
			return written;
		ersatz_copy((u8 *)out.data + written, line, at - line);
		written += at - line;
	}
}
