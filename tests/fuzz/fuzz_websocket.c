/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_websocket: any bytes as one direction of a WebSocket. However they are cut, they say the
 * same, or the same is wrong with them at the same place; and what is given, with what is held,
 * is what came.
 *
 * Input: whose frames (1 byte), how they are cut (1 byte), then the bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "protocol/websocket/frames.h"

#define HELD_MOST (1u << 24)

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_websocket: %s\n", what);
	abort();
}

struct heard {
	struct buffer said, raw;
	const char *problem;
};

static void hear_piece(struct heard *h, const struct websocket_piece *piece)
{
	check(piece->raw.length == piece->plain.length, "a piece that changed its length");
	buffer_append_slice(&h->raw, piece->head);
	buffer_append_slice(&h->raw, piece->raw);
	if (piece->begins || piece->opcode >= WEBSOCKET_CLOSE)
		buffer_append_format(&h->said, "<%u>", piece->opcode);
	buffer_append_slice(&h->said, piece->plain);
	if (piece->ends)
		buffer_append_string(&h->said, "<end>");
}

static void hear(struct heard *h, bool masked, struct slice in, size_t step)
{
	struct websocket_reader *reader = memory_new(sizeof(*reader));
	size_t at = 0;

	buffer_init(&h->said, HELD_MOST);
	buffer_init(&h->raw, HELD_MOST);
	h->problem = NULL;
	websocket_reader_init(reader, masked);
	while (at < in.length && !h->problem) {
		struct slice part = slice_head(slice_from(in, at), step);
		enum websocket_taken what;
		struct websocket_piece piece;
		size_t taken;

		what = websocket_next(reader, part, &taken, &piece);
		check(taken <= part.length, "more was taken than there was");
		check(taken || what != WEBSOCKET_MORE, "nothing was taken");
		if (what == WEBSOCKET_DATA || what == WEBSOCKET_CONTROL)
			hear_piece(h, &piece);
		if (what == WEBSOCKET_BAD)
			h->problem = reader->problem;
		at += taken;
	}
	websocket_append_held(&h->raw, reader);
	check(slice_starts_with(in, buffer_slice(&h->raw)), "what is relayed is not what came");
	free(reader);
}

static void heard_done(struct heard *h)
{
	buffer_done(&h->said);
	buffer_done(&h->raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard whole, cut;
	struct slice in;

	if (size < 3)
		return 0;
	in = slice_of(data + 2, size - 2);
	hear(&whole, data[0] & 1, in, in.length);
	hear(&cut, data[0] & 1, in, data[1] % 16 + 1);
	check(whole.problem == cut.problem, "what is wrong depends on how the bytes are cut");
	/* Of a text that is none, more or less of its begin is told before. */
	check(whole.problem || slice_equal(buffer_slice(&whole.said), buffer_slice(&cut.said)),
		"what is said depends on how the bytes are cut");
	heard_done(&whole);
	heard_done(&cut);
	return 0;
}
