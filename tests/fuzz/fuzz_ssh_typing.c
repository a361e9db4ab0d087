/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ssh_typing: keys and what a terminal shows for them, in pieces: a byte with what it is and
 * its length, then the bytes. Beyond memory errors it checks that
 * - output means the same however it is cut,
 * - a line that is known is text, and no longer than what was typed and shown.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "protocol/ssh/typing.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

static void check(const struct typing *t)
{
	enum typing_state state = typing_state(t);
	struct slice line = typing_line(t);

	CHECK(t->cursor <= t->shown_length && t->shown_length <= TYPING_LINE_MOST);
	CHECK(line.length <= t->keys && line.length <= TYPING_LINE_MOST);
	if (state != TYPING_KNOWN)
		return;
	CHECK(line.length && line.length <= t->shown_length);
	for (size_t i = 0; i < line.length; i++)
		CHECK(line.data[i] >= ' ' && line.data[i] != 0x7f);
}

static void type(struct typing *t, struct slice keys)
{
	for (size_t i = 0; i < keys.length; i++) {
		enum typing_key kind = typing_key_of(t, keys.data[i]);

		if (kind == TYPING_KEY_TEXT || kind == TYPING_KEY_OTHER) {
			bool plain = typing_type(t, keys.data[i]);

			CHECK(!plain || kind == TYPING_KEY_TEXT);
			continue;
		}
		typing_end(t);
		typing_begin(t);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct typing whole, bytewise;
	struct slice in = slice_of(data, size);

	typing_init(&whole);
	typing_init(&bytewise);
	typing_begin(&whole);
	typing_begin(&bytewise);
	while (in.length) {
		struct slice piece = slice_head(slice_from(in, 1), in.data[0] & 0x7f);

		if (in.data[0] & 0x80) {
			type(&whole, piece);
			type(&bytewise, piece);
		} else {
			typing_show(&whole, piece);
			for (size_t i = 0; i < piece.length; i++)
				typing_show(&bytewise, slice_of(piece.data + i, 1));
		}
		check(&whole);
		CHECK(typing_state(&whole) == typing_state(&bytewise));
		CHECK(slice_equal(typing_line(&whole), typing_line(&bytewise)));
		in = slice_from(in, 1 + piece.length);
	}
	typing_done(&whole);
	typing_done(&bytewise);
	return 0;
}
