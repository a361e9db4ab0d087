/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/mask_form.h"

#include "base/memory.h"
#include "base/text.h"

/* A field's texts, decoded, and masked. */
struct texts {
	struct buffer name, value, masked;
};

static int decode(struct slice encoded, struct buffer *ret)
{
	int r = 0;

	buffer_clear(ret);
	for (size_t i = 0; r == 0 && i < encoded.length; i++) {
		uint8_t byte = encoded.data[i];

		if (byte == '%' && encoded.length - i > 2 &&
			text_from_hex(slice_of(encoded.data + i + 1, 2), &byte, 1) == 0)
			i += 2;
		else if (byte == '+')
			byte = ' ';
		r = buffer_append_byte(ret, byte);
	}
	return r;
}

static int append_encoded(struct slice text, struct buffer *out)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < text.length; i++) {
		uint8_t c = text.data[i];
		bool letter =
			(c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (c == ' ')
			r = buffer_append_byte(out, '+');
		else if (letter || (c && strchr("-._*", c)))
			r = buffer_append_byte(out, c);
		else
			r = buffer_append_format(out, "%%%02X", c);
	}
	return r;
}

/* `encoded` says the text `plain`, of which `whole` are the detectors for all of it. */
static int append_text(const struct masker *m, struct slice encoded, struct slice plain,
	unsigned whole, struct texts *t, struct buffer *out)
{
	bool replaced = whole != 0;
	int r;

	buffer_clear(&t->masked);
	r = whole ? masker_append(m, masker_strictest(m, whole), plain, &t->masked)
		  : masker_append_text(m, plain, &t->masked, &replaced);
	if (r < 0)
		return r;
	return replaced ? append_encoded(buffer_slice(&t->masked), out)
			: buffer_append_slice(out, encoded);
}

static int append_field(
	const struct masker *m, struct slice field, struct texts *t, struct buffer *out)
{
	const uint8_t *equals = field.length ? memchr(field.data, '=', field.length) : NULL;
	size_t length = equals ? (size_t)(equals - field.data) : field.length;
	struct slice name = slice_head(field, length), value = slice_from(field, length + 1);
	struct detector_name meaning;
	unsigned whole = 0;
	int r = decode(name, &t->name);

	if (r == 0)
		r = decode(value, &t->value);
	if (r == 0 && detector_read_name(buffer_slice(&t->name), &meaning))
		whole = detector_judge_named(m->detectors, &meaning, buffer_slice(&t->value));
	if (r == 0)
		r = append_text(m, name, buffer_slice(&t->name), 0, t, out);
	if (r == 0 && equals)
		r = buffer_append_byte(out, '=');
	return r < 0 ? r : append_text(m, value, buffer_slice(&t->value), whole, t, out);
}

int mask_form_append(const struct masker *m, struct slice fields, struct buffer *out)
{
	struct texts t;
	int r = 0;

	buffer_init(&t.name, fields.length);
	buffer_init(&t.value, fields.length);
	/* A mask may be longer than what it hides. */
	buffer_init(&t.masked, 64 + 4 * fields.length);
	while (r == 0 && fields.length) {
		const uint8_t *end = memchr(fields.data, '&', fields.length);
		struct slice field = end ? slice_head(fields, (size_t)(end - fields.data)) : fields;

		r = append_field(m, field, &t, out);
		if (r == 0 && end)
			r = buffer_append_byte(out, '&');
		fields = slice_from(fields, field.length + 1);
	}
	buffer_wipe(&t.name);
	buffer_wipe(&t.value);
	buffer_wipe(&t.masked);
	return r;
}

size_t mask_form_complete(struct slice came, size_t searched)
{
	struct slice more = slice_from(came, searched);
	const uint8_t *end = more.length ? memrchr(more.data, '&', more.length) : NULL;

	return end ? (size_t)(end - came.data) + 1 : 0;
}
