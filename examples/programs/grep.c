// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Copies the lines that a small regular expression matches.
//
//   range 0   the text
//   range 1   gets the lines; without it, they are counted only
//   CPARAM1   bytes of text in range 0
//   data      the expression; without data, it is in the last range, and CPARAM2 has its bytes
//   result    bytes written to range 1, where no line is cut; without it, lines that match
//
// In an expression, `.` is any byte, `*` any number of what comes before it, `^` the beginning of the
// line if it comes first, `$` its end if it comes last, and `\` makes the next byte an ordinary one.
// There may be 63 bytes to match, `*` not counted.
//
// All ways to match go forward together, one bit each: no expression takes longer than another, and
// none goes back in the text.

#include "find.h"

#define MOST 63

static struct {
	u64 match[256]; /* the elements that match a byte */
	u64 any;        /* the elements that may occur any number of times */
	u64 accept;     /* the bit behind the last element */
	int from_start; /* `^` */
	int to_end;     /* `$` */
} expression;

/* With the ways that leave out what may be left out. */
ERSATZ_INLINE u64 skip(u64 ways)
{
	u64 more;

	while ((more = ways | (ways & expression.any) << 1) != ways)
		ways = more;
	return ways;
}

/* Reads the expression; returns 0 if it is too long. */
static int compile(const u8 *text, u64 len)
{
	u64 element = 1;
	u64 i = 0;

	if (len && text[0] == '^') {
		expression.from_start = 1;
		i = 1;
	}
	for (; i < len; i++) {
		u8 byte = text[i];

		if (byte == '$' && i + 1 == len) {
			expression.to_end = 1;
			break;
		}
		if (element >> MOST)
			return 0;
		if (byte == '.') {
			for (u32 other = 0; other < 256; other++)
				expression.match[other] |= element;
		} else {
			if (byte == '\\' && i + 1 < len)
				byte = text[++i];
			expression.match[byte] |= element;
		}
		if (i + 1 < len && text[i + 1] == '*') {
			expression.any |= element;
			i++;
		}
		element <<= 1;
	}
	expression.accept = element;
	return 1;
}

static int matches(const u8 *at, const u8 *end)
{
	u64 start = skip(1);
	u64 ways = start;

	for (; at < end; at++) {
		u64 on;

		if (ways & expression.accept && !expression.to_end)
			return 1;
		on = ways & expression.match[*at];
		ways = skip(on << 1 | (on & expression.any));
		if (!expression.from_start)
			ways |= start;
		else if (!ways)
			return 0;
	}
	return (ways & expression.accept) != 0;
}

ERSATZ_PROGRAM u64 grep(const struct ersatz_args *args)
{
	u32 others = args->range_count - (args->data_len ? 0 : 1);
	struct token text = token_of(args, args->range_count - 1);
	struct ersatz_range in = ersatz_range(args, 0);
	struct ersatz_range out = ersatz_range(args, 1);
	const u8 *at = in.data;
	const u8 *end = at + ersatz_count(in, args->params[0], 1);
	u64 lines = 0;
	u64 written = 0;

	if (!args->range_count || !compile(text.bytes, text.len))
		return 0;
	while (at < end) {
		const u8 *line = at;
		const u8 *stop = find_byte(at, end, '\n');

		at = stop < end ? stop + 1 : stop;
		if (!matches(line, stop))
			continue;
		lines++;
		if (others < 2)
			continue;
		if ((u64)(at - line) > out.len - written)
			break;
		ersatz_copy((u8 *)out.data + written, line, at - line);
		written += at - line;
	}
	return others < 2 ? lines : written;
}
