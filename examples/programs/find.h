/* SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 * Looks for a byte or a token in text, eight bytes at a time: a 64-bit register is used as eight
 * lanes. An interpreted instruction costs the same whether it handles one byte or eight.
 */
#ifndef ERSATZ_FIND_H
#define ERSATZ_FIND_H

#include "ersatz.h"

#define LOW_BITS 0x0101010101010101ull
#define HIGH_BITS 0x8080808080808080ull

/* Eight copies of `byte`. */
ERSATZ_INLINE u64 lanes(u8 byte)
{
	return byte * LOW_BITS;
}

/* The high bit of each lane of `x` that is zero. Above such a lane, one that is 1 may be marked as
 * well; the lowest mark is always right. */
ERSATZ_INLINE u64 zero_lanes(u64 x)
{
	return (x - LOW_BITS) & ~x & HIGH_BITS;
}

/* Number of the lowest lane that is marked; there must be one. */
ERSATZ_INLINE u64 lowest_lane(u64 marks)
{
	/* One bit for each lane below the mark and one for its own, summed up in the top lane. */
	return (((marks - 1) & ~marks & LOW_BITS) * LOW_BITS >> 56) - 1;
}

/* The first `byte` in [at, end), or end. */
ERSATZ_INLINE const u8 *find_byte(const u8 *at, const u8 *end, u8 byte)
{
	const u64 pattern = lanes(byte);

	/* Four words in each turn, of which only the sum of the marks is looked at. */
	while (end - at >= 32) {
		u64 a = ersatz_load64(at) ^ pattern;
		u64 b = ersatz_load64(at + 8) ^ pattern;
		u64 c = ersatz_load64(at + 16) ^ pattern;
		u64 d = ersatz_load64(at + 24) ^ pattern;
		u64 marks = ((a - LOW_BITS) & ~a) | ((b - LOW_BITS) & ~b) |
			    ((c - LOW_BITS) & ~c) | ((d - LOW_BITS) & ~d);

		if (marks & HIGH_BITS)
			break;
		at += 32;
	}
	while (end - at >= 8) {
		u64 marks = zero_lanes(ersatz_load64(at) ^ pattern);

		if (marks)
			return at + lowest_lane(marks);
		at += 8;
	}
	while (at < end && *at != byte)
		at++;
	return at;
}

/* A token, and which of its bytes to look for first. */
struct token {
	const u8 *bytes;
	u64 len;
	u64 pivot;
};

/* Prepares the search for a token of at least one byte: the rarer the byte that is looked for, the
 * fewer places have to be compared. */
ERSATZ_INLINE struct token token(const void *bytes, u64 len)
{
	/* What English text and logs have most of comes first. */
	static const char common[] = " etaoinsrhldcumpfgwyb0123456789.:-/vkxjqz";
	struct token token = { bytes, len, 0 };
	u64 best = 0;

	for (u64 i = 0; i < len; i++) {
		u64 rank = 0;

		while (rank < sizeof(common) - 1 && (u8)common[rank] != token.bytes[i])
			rank++;
		if (rank > best) {
			best = rank;
			token.pivot = i;
		}
	}
	return token;
}

/* The token of a job: its data buffer. Hosts that can't send one with Execute Program (Linux's
 * passthrough has no field for its length) put the token into range `index`, and its number of
 * bytes into CPARAM2. Of no bytes where there is neither. */
ERSATZ_INLINE struct token token_of(const struct ersatz_args *args, u32 index)
{
	struct ersatz_range range;

	if (args->data_len)
		return token(args->data, args->data_len);
	range = ersatz_range(args, index);
	return token(range.data, ersatz_count(range, args->params[1], 1));
}

/* The first place in [at, end) where all of `token` is, or end. */
ERSATZ_INLINE const u8 *find_token(const u8 *at, const u8 *end, const struct token *token)
{
	const u8 rare = token->bytes[token->pivot];
	const u64 behind = token->len - token->pivot;

	if ((u64)(end - at) < token->len)
		return end;
	at += token->pivot;
	for (;;) {
		const u8 *start;
		u64 i = 0;

		at = find_byte(at, end, rare);
		if ((u64)(end - at) < behind)
			return end;
		start = at - token->pivot;
		while (i < token->len && start[i] == token->bytes[i])
			i++;
		if (i == token->len)
			return start;
		at++;
	}
}

#endif
