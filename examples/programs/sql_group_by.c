// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// SELECT key, COUNT(*), SUM(value) FROM table GROUP BY key
//
//   range 0   the table as CSV, with the names in its first line
//   range 1   gets a group in each line: key, rows, sum; in the order in which the keys come first
//   CPARAM1   bytes in range 0
//   CPARAM2   bits 7:0 the column of the key, 15:8 that of the value, from 0 on
//   result    bytes written to range 1; 0 if there are more than 256 groups, or they don't fit
//
// A row whose value is not a number is left out.

#include "csv.h"

#define GROUPS 256
#define SLOTS 1024

static struct group {
	struct field key;
	u64 rows;
	s64 sum; /* in hundredths */
} groups[GROUPS];

/* One more than the number of the group whose key has this hash, or, if that was another one, one
 * of those that follow; 0 at the end. */
static u16 slots[SLOTS];

ERSATZ_INLINE int same(struct field a, struct field b)
{
	if (a.end - a.at != b.end - b.at)
		return 0;
	for (; a.at < a.end; a.at++, b.at++)
		if (*a.at != *b.at)
			return 0;
	return 1;
}

/* The group of `key`, a new one if there is none; a null pointer if there are too many. */
ERSATZ_INLINE struct group *group_of(struct field key, u32 *count)
{
	u32 hash = 2166136261u;

	for (const u8 *at = key.at; at < key.end; at++)
		hash = (hash ^ *at) * 16777619u;
	for (u32 slot = hash % SLOTS;; slot = (slot + 1) % SLOTS) {
		struct group *group;

		if (slots[slot]) {
			group = &groups[slots[slot] - 1];
			if (same(group->key, key))
				return group;
			continue;
		}
		if (*count == GROUPS)
			return 0;
		group = &groups[(*count)++];
		slots[slot] = *count;
		group->key = key;
		return group;
	}
}

/* Writes the digits of `number`, at least `least` of them, and returns how many. */
ERSATZ_INLINE u32 digits(u8 *to, u64 number, u32 least)
{
	u8 reversed[20];
	u32 count = 0;

	do {
		reversed[count++] = '0' + number % 10;
		number /= 10;
	} while (number || count < least);
	for (u32 i = 0; i < count; i++)
		to[i] = reversed[count - 1 - i];
	return count;
}

/* A group's line behind its key, such as ",3,-12.50\n": at most 46 bytes. */
static u64 write_numbers(u8 *line, const struct group *group)
{
	u8 *to = line;
	u64 sum = group->sum < 0 ? -(u64)group->sum : (u64)group->sum;

	*to++ = ',';
	to += digits(to, group->rows, 1);
	*to++ = ',';
	if (group->sum < 0)
		*to++ = '-';
	to += digits(to, sum / 100, 1);
	*to++ = '.';
	to += digits(to, sum % 100, 2);
	*to++ = '\n';
	return to - line;
}

ERSATZ_PROGRAM u64 sql_group_by(const struct ersatz_args *args)
{
	struct ersatz_range table = ersatz_range(args, 0);
	struct ersatz_range out = ersatz_range(args, 1);
	const u8 *at = table.data;
	const u8 *end = at + ersatz_count(table, args->params[0], 1);
	u32 key = args->params[1] & 0xff;
	u32 value = args->params[1] >> 8 & 0xff;
	u64 written = 0;
	u32 count = 0;

	next_line(&at, end);
	while (at < end) {
		struct field line = next_line(&at, end);
		struct group *group;
		s64 number;

		if (!number_of(field_of(line, value), &number))
			continue;
		group = group_of(field_of(line, key), &count);
		if (!group)
			return 0;
		group->rows++;
		group->sum += number;
	}
	for (u32 i = 0; i < count; i++) {
		static u8 numbers[48];
		u64 key_len = groups[i].key.end - groups[i].key.at;
		u64 len = write_numbers(numbers, &groups[i]);

		if (key_len + len > out.len - written)
			return 0;
		ersatz_copy((u8 *)out.data + written, groups[i].key.at, key_len);
		written += key_len;
		ersatz_copy((u8 *)out.data + written, numbers, len);
		written += len;
	}
	return written;
}
