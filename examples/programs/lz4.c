// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Compresses bytes into an LZ4 frame, which `lz4 -d` decompresses.
//
//   range 0   the bytes
//   range 1   gets the frame
//   CPARAM1   bytes in range 0
//   result    bytes of the frame; 0 if it does not fit
//
// One match is looked for at each place: the last one whose first four bytes have the same hash.

#include "ersatz.h"

#define BLOCK 65536 /* bytes that are compressed on their own */
#define HASH_BITS 12
#define MIN_MATCH 4
#define LAST_LITERALS 5 /* a block ends with so many bytes at least that are no match, */
#define MATCH_LIMIT 12  /* and its last match begins so many bytes before its end, or earlier */
#define STORED 0x80000000u /* in a block's size: it is not compressed */

/* Where in the block bytes with this hash were last seen. */
static u16 seen[1 << HASH_BITS];

struct output {
	u8 *at;
	u8 *end;
};

ERSATZ_INLINE u32 load32(const u8 *p)
{
	struct unaligned {
		u32 value;
	} __attribute__((packed, aligned(4)));

	return ((const struct unaligned *)p)->value;
}

ERSATZ_INLINE void store32(u8 *p, u32 value)
{
	struct unaligned {
		u32 value;
	} __attribute__((packed, aligned(4)));

	((struct unaligned *)p)->value = value;
}

ERSATZ_INLINE u32 hash(u32 word)
{
	return word * 2654435761u >> (32 - HASH_BITS);
}

/* The rest of a length whose first part was 15. */
ERSATZ_INLINE u8 *put_length(u8 *to, u64 rest)
{
	for (; rest >= 255; rest -= 255) {
		*to++ = 255;
		/* Else the compiler sees a memset in this loop, calls it, and finds that it has none. */
		__asm__ volatile("" : "+r"(to));
	}
	*to++ = rest;
	return to;
}

/* Writes `count` literals from `from` on, then, if `match` is not 0, a match of that length that
 * began `offset` bytes before. Returns 0 if there is no room. */
static int put_sequence(struct output *out, const u8 *from, u64 count, u64 match, u64 offset)
{
	u8 *to = out->at;
	u64 more = match ? match - MIN_MATCH : 0;
	u8 *token = to++;

	if ((u64)(out->end - token) < 1 + count / 255 + 1 + count + 2 + more / 255 + 1)
		return 0;
	*token = (count < 15 ? count : 15) << 4 | (more < 15 ? more : 15);
	if (count >= 15)
		to = put_length(to, count - 15);
	ersatz_copy(to, from, count);
	to += count;
	if (match) {
		*to++ = offset;
		*to++ = offset >> 8;
		if (more >= 15)
			to = put_length(to, more - 15);
	}
	out->at = to;
	return 1;
}

/* Compresses one block of up to BLOCK bytes. Returns 0 if there is no room. */
static int compress_block(struct output *out, const u8 *block, u64 len)
{
	u64 literals = 0; /* where those begin that were not written yet */
	u64 at = 0;

	for (u32 i = 0; i < 1 << HASH_BITS; i++) {
		seen[i] = 0;
		__asm__ volatile("" : "+r"(i));
	}
	while (at + MATCH_LIMIT < len) {
		u32 word = load32(block + at);
		u32 slot = hash(word);
		u64 before = seen[slot];
		u64 match = MIN_MATCH;

		seen[slot] = at;
		/* A slot that was never used says 0: the word there is compared as any other is. */
		if (before >= at || load32(block + before) != word) {
			/* The longer nothing was found, the fewer places are looked at. */
			at += 1 + ((at - literals) >> 6);
			continue;
		}
		while (at + match + LAST_LITERALS < len && block[before + match] == block[at + match])
			match++;
		if (!put_sequence(out, block + literals, at - literals, match, at - before))
			return 0;
		at += match;
		literals = at;
	}
	return put_sequence(out, block + literals, len - literals, 0, 0);
}

ERSATZ_PROGRAM u64 lz4(const struct ersatz_args *args)
{
	/* Magic number, version 1, blocks of 64 KiB that do not depend on others, no checksums but that
	 * of the header. */
	static const u8 header[] = { 0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82 };
	struct ersatz_range in = ersatz_range(args, 0);
	struct ersatz_range frame = ersatz_range(args, 1);
	const u8 *from = in.data;
	u64 left = ersatz_count(in, args->params[0], 1);
	struct output out = { frame.data, (u8 *)frame.data + frame.len };

	if (frame.len < sizeof(header))
		return 0;
	ersatz_copy(out.at, header, sizeof(header));
	out.at += sizeof(header);
	while (left) {
		u64 len = left < BLOCK ? left : BLOCK;
		struct output block = { out.at + 4, out.end };

		if (out.end - out.at < 4)
			return 0;
		/* What gets no smaller is stored as it is. */
		if ((u64)(block.end - block.at) > len)
			block.end = block.at + len;
		if (compress_block(&block, from, len)) {
			store32(out.at, block.at - out.at - 4);
		} else {
			if ((u64)(out.end - out.at) < 4 + len)
				return 0;
			ersatz_copy(out.at + 4, from, len);
			store32(out.at, len | STORED);
			block.at = out.at + 4 + len;
		}
		out.at = block.at;
		from += len;
		left -= len;
	}
	if (out.end - out.at < 4)
		return 0;
	store32(out.at, 0);
	return out.at + 4 - (u8 *)frame.data;
}
