/* SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 * Finds a token in blocks of a namespace, and shows each function that the drive offers.
 *
 * Range 0: room for the blocks. Range 1: 64 bytes for the results.
 * Parameter 1: number of blocks, from block 0 of namespace 1 on. Parameter 2: not used.
 * Data buffer: the token.
 *
 * Gives the offset of the token's first place, or ERSATZ_NOT_FOUND. Results: the blocks' bytes, their
 * CRC-32C, the modelled time of the job's arrival, how what follows the first place compares with the
 * token, and how the token there does. The token is moved to the beginning of range 0.
 */
#include "ersatz.h"

ERSATZ_PROGRAM u64 helpers(const struct ersatz_args *args)
{
	static const char found[] = "found it";
	struct ersatz_range room = ersatz_range(args, 0);
	u8 *text = room.data;
	u64 len = args->data_len;
	u64 bytes, at;

	bytes = ersatz_read_blocks(1, 0, args->params[0], text, room.len);
	ersatz_result(0, bytes);
	ersatz_result(1, ersatz_crc32c(text, bytes, 0));
	ersatz_result(2, ersatz_time());

	at = ersatz_find(text, bytes, args->data, len);
	if (at == ERSATZ_NOT_FOUND)
		return at;
	ersatz_print(found, sizeof(found) - 1);
	if (bytes - at > len)
		ersatz_result(3, ersatz_memcmp(text + at + 1, args->data, len));
	ersatz_result(4, ersatz_memcmp(text + at, args->data, len));
	ersatz_memmove(text, text + at, len);
	return at;
}
