/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/packet_line.h"
#include "protocol/ssh/push.h"

#define BAND_REPORT 1
#define BAND_PEOPLE 2
#define BAND_MOST (PACKET_LINE_MOST - PACKET_LINE_HEAD - 1)
#define REASON_MOST 400u /* bytes of a line's reason */

/* A reason is one line. */
static int append_reason(struct buffer *to, struct slice text)
{
	int r = buffer_append_string(to, "wayleave: ");

	text = slice_head(text, REASON_MOST);
	for (size_t i = 0; r == 0 && i < text.length; i++)
		r = buffer_append_byte(to, text.data[i] < ' ' ? ' ' : text.data[i]);
	return r;
}

static bool is_among(const struct push_list *list, struct slice object)
{
	for (size_t i = 0; i < list->count; i++) {
		if (slice_equal(push_list_ref(list, i), object))
			return true;
	}
	return false;
}

static int append_refused(const struct push_list *list, size_t i, struct slice text,
	struct slice object, struct buffer *to)
{
	struct slice ref = push_list_ref(list, i);
	struct buffer line;
	int r;

	buffer_init(&line, PACKET_LINE_MOST);
	r = buffer_append_format(&line, "ng %.*s ", SLICE_PRINT(ref));
	if (r == 0 && (!is_among(list, object) || slice_equal(ref, object)))
		r = append_reason(&line, text);
	else if (r == 0)
		r = buffer_append_format(
			&line, "wayleave: not pushed, as %.*s was refused", SLICE_PRINT(object));
	if (r == 0)
		r = packet_line_append(to, buffer_slice(&line), slice_from_string("\n"));
	buffer_done(&line);
	return r;
}

static int append_band(struct buffer *to, uint8_t band, struct slice bytes)
{
	int r = 0;

	while (r == 0 && bytes.length) {
		struct slice part = slice_head(bytes, BAND_MOST);

		r = packet_line_append(to, slice_of(&band, 1), part);
		bytes = slice_from(bytes, part.length);
	}
	return r;
}

static int append_in_bands(struct slice report, struct slice text, struct buffer *to)
{
	struct buffer line;
	int r;

	buffer_init(&line, PACKET_LINE_MOST);
	r = append_reason(&line, text);
	if (r == 0)
		r = buffer_append_byte(&line, '\n');
	if (r == 0)
		r = append_band(to, BAND_PEOPLE, buffer_slice(&line));
	if (r == 0)
		r = append_band(to, BAND_REPORT, report);
	buffer_done(&line);
	return r < 0 ? r : packet_line_append_end(to);
}

int push_append_report(
	const struct push_list *list, struct slice text, struct slice object, struct buffer *ret)
{
	struct buffer report;
	int r;

	if (!(list->capabilities & PUSH_REPORT))
		return 0;
	buffer_init(&report, 4 * PUSH_UPDATES_MOST * PUSH_REF_MOST);
	r = packet_line_append(&report, slice_from_string("unpack ok\n"), SLICE_EMPTY);
	for (size_t i = 0; r == 0 && i < list->count; i++)
		r = append_refused(list, i, text, object, &report);
	if (r == 0)
		r = packet_line_append_end(&report);
	if (r == 0 && list->capabilities & PUSH_SIDE_BAND)
		r = append_in_bands(buffer_slice(&report), text, ret);
	else if (r == 0)
		r = buffer_append_slice(ret, buffer_slice(&report));
	buffer_done(&report);
	return r;
}
