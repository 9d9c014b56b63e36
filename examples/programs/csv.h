/* SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 * Tables as text: lines of fields with commas between them. No quotes, so no commas in a field.
 */
#ifndef ERSATZ_CSV_H
#define ERSATZ_CSV_H

#include "find.h"

/* A part of the text. */
struct field {
	const u8 *at;
	const u8 *end;
};

/* The next line from `*at` on, without its end; `*at` is then behind it. */
ERSATZ_INLINE struct field next_line(const u8 **at, const u8 *end)
{
	struct field line = { *at, find_byte(*at, end, '\n') };

	*at = line.end < end ? line.end + 1 : line.end;
	return line;
}

/* Field `column` of a line, counted from 0 on; an empty one if there are fewer. */
ERSATZ_INLINE struct field field_of(struct field line, u32 column)
{
	struct field field = { line.at, line.at };

	for (;;) {
		field.end = field.at;
		while (field.end < line.end && *field.end != ',')
			field.end++;
		if (!column--)
			return field;
		if (field.end == line.end) {
			field.at = field.end;
			return field;
		}
		field.at = field.end + 1;
	}
}

/* A decimal number in hundredths, such as -1250 for "-12.5"; further digits are left out. Returns 0
 * if the field is none. */
ERSATZ_INLINE int number_of(struct field field, s64 *number)
{
	const u8 *at = field.at;
	int negative = at < field.end && *at == '-';
	u64 digits = 0;
	u64 value = 0;
	u32 places = 0;

	for (at += negative; at < field.end && *at >= '0' && *at <= '9'; at++, digits++)
		value = value * 10 + (*at - '0');
	if (at < field.end && *at == '.') {
		for (at++; at < field.end && *at >= '0' && *at <= '9'; at++, digits++) {
			if (places < 2) {
				value = value * 10 + (*at - '0');
				places++;
			}
		}
	}
	for (; places < 2; places++)
		value *= 10;
	*number = negative ? -(s64)value : (s64)value;
	return digits && at == field.end;
}

#endif
