/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_copy.h"

#include <stdio.h>

#include "masking/json_bytes.h"

int json_copy_replace(struct json_copy *c, size_t start, size_t end)
{
	int r = buffer_append(c->out, c->text.data + c->copied, start - c->copied);

	c->copied = end;
	c->replaced = true;
	return r;
}

int json_copy_finish(struct json_copy *c)
{
	return c->replaced ? buffer_append_slice(c->out, slice_from(c->text, c->copied)) : 0;
}

int json_copy_escaped(struct slice text, struct buffer *out)
{
	int r = 0;

	for (size_t i = 0; i < text.length && r == 0; i++) {
		size_t plain = json_plain_run(text, i);
		uint8_t c = text.data[i];

		if (plain) {
			r = buffer_append(out, text.data + i, plain);
			i += plain - 1;
		} else if (c == '"' || c == '\\')
			r = buffer_append_format(out, "\\%c", c);
		else if (c < 0x20)
			r = buffer_append_format(out, "\\u%04x", c);
		else
			r = buffer_append_byte(out, c);
	}
	return r;
}

int json_copy_mask(
	const struct masker *m, enum mask_strategy strategy, struct slice text, struct buffer *out)
{
	struct buffer mask;
	int r;

	/* What is the same for all needs no escapes. */
	if (strategy == MASK_REDACT || strategy == MASK_BASE64)
		return masker_append(m, strategy, text, out);
	buffer_init(&mask, out->limit);
	r = masker_append(m, strategy, text, &mask);
	if (r == 0)
		r = json_copy_escaped(buffer_slice(&mask), out);
	buffer_done(&mask);
	return r;
}
