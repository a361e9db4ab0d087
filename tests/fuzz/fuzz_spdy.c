/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_spdy: any bytes as one direction of SPDY, and the headers in its frames. However the bytes
 * are cut, they say the same, or the same is wrong with them; what is given, with what is held, is
 * what came.
 *
 * Input: how the bytes are cut (1 byte), then the bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "protocol/spdy/frames.h"
#include "protocol/spdy/headers.h"

#define HELD_MOST (1u << 24)

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_spdy: %s\n", what);
	abort();
}

struct heard {
	struct buffer said, raw;
	struct spdy_headers headers;
	const char *problem;
};

static void hear_headers(struct heard *h, const struct spdy_piece *piece)
{
	int r;

	if (!piece->headers.length || piece->type == SPDY_SETTINGS)
		return;
	r = spdy_headers_read(&h->headers, piece->headers);
	check(r == 0 || r == -EBADMSG, "an error of its own");
	if (r < 0) {
		h->problem = "headers";
		return;
	}
	for (size_t i = 0; i < h->headers.count; i++) {
		check(buffer_length(&h->headers.text) <= LIMIT_SPDY_HEADERS, "too many headers");
		buffer_append_slice(&h->said, h->headers.fields[i].name);
		buffer_append_slice(&h->said, h->headers.fields[i].value);
	}
}

static void hear(struct heard *h, struct slice in, size_t step)
{
	struct spdy_reader reader;
	size_t at = 0;

	buffer_init(&h->said, HELD_MOST);
	buffer_init(&h->raw, HELD_MOST);
	spdy_headers_init(&h->headers);
	h->problem = NULL;
	spdy_reader_init(&reader);
	while (at < in.length && !h->problem) {
		struct slice part = slice_head(slice_from(in, at), step);
		struct spdy_piece piece;
		size_t taken;
		int what = spdy_next(&reader, part, &taken, &piece);

		check(what >= 0, "an error");
		check(taken <= part.length, "more was taken than there was");
		check(taken || what != SPDY_TAKEN_MORE, "nothing was taken");
		at += taken;
		if (what == SPDY_TAKEN_BAD)
			h->problem = reader.problem;
		if (what != SPDY_TAKEN_DATA && what != SPDY_TAKEN_CONTROL)
			continue;
		buffer_append_slice(&h->raw, piece.head);
		buffer_append_slice(&h->raw, piece.body);
		if (piece.head.length)
			buffer_append_format(&h->said, "<%u %u>", piece.type, piece.stream);
		buffer_append_slice(&h->said, piece.body);
		if (piece.ends)
			buffer_append_string(&h->said, piece.finishes ? "<fin>" : "<end>");
		if (what == SPDY_TAKEN_CONTROL)
			hear_headers(h, &piece);
	}
	spdy_append_held(&h->raw, &reader);
	check(slice_starts_with(in, buffer_slice(&h->raw)), "what is relayed is not what came");
	spdy_reader_done(&reader);
}

static void heard_done(struct heard *h)
{
	buffer_done(&h->said);
	buffer_done(&h->raw);
	spdy_headers_done(&h->headers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard whole, cut;
	struct slice in;

	if (size < 2)
		return 0;
	in = slice_of(data + 1, size - 1);
	hear(&whole, in, in.length);
	hear(&cut, in, data[0] % 16 + 1);
	check(whole.problem == cut.problem, "what is wrong depends on how the bytes are cut");
	check(whole.problem || slice_equal(buffer_slice(&whole.said), buffer_slice(&cut.said)),
		"what is said depends on how the bytes are cut");
	heard_done(&whole);
	heard_done(&cut);
	return 0;
}
