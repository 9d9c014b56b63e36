// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// SELECT * FROM table WHERE column BETWEEN low AND high
//
//   range 0   the table as CSV; its first line, the names, is copied
//   range 1   gets the rows; where it is full, no more are copied
//   CPARAM1   bytes in range 0
//   CPARAM2   bits 7:0 the column, from 0 on; 35:8 the lowest value that is wanted; 63:36 the highest;
//             both are signed, in whole units
//   result    bytes written to range 1
//
// A row whose field is not a number is left out.

#include "csv.h"

ERSATZ_PROGRAM u64 sql_where(const struct ersatz_args *args)
{
	struct ersatz_range table = ersatz_range(args, 0);
	struct ersatz_range out = ersatz_range(args, 1);
	const u8 *at = table.data;
	const u8 *end = at + ersatz_count(table, args->params[0], 1);
	u32 column = args->params[1] & 0xff;
	s64 low = ((s64)(args->params[1] << 28) >> 36) * 100;
	s64 high = ((s64)args->params[1] >> 36) * 100;
	u64 written = 0;
	int names = 1;

	while (at < end) {
		struct field line = next_line(&at, end);
		s64 value;

		if (names || (number_of(field_of(line, column), &value) && value >= low &&
			      value <= high)) {
			if ((u64)(at - line.at) > out.len - written)
				break;
			ersatz_copy((u8 *)out.data + written, line.at, at - line.at);
			written += at - line.at;
		}
		names = 0;
	}
	return written;
}
