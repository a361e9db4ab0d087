/* SPDX-License-Identifier: Apache-2.0
 *
 * card_statement: the parts of a card that hold what an agent wrote at length.
 */
#include "broker/card_internal.h"

/* Slack takes 3,000 characters in one text; reviewers read fewer. */
static const struct visible_room head_room = {2000, 40}, tail_room = {800, 12},
				 preview_room = {1200, 20}, settings_room = {400, 6};
#define PARAMETERS_MOST 20
#define PARAMETER_MOST 100 /* bytes */

/* --- the statement --- */

static void add_preformatted(cJSON *rich_text, struct slice text, struct visible_room room)
{
	struct buffer shown;

	buffer_init(&shown, CARD_TEXT_MOST);
	visible_head(&shown, text, room);
	blocks_add_preformatted(rich_text, buffer_slice(&shown));
	buffer_done(&shown);
}

/* Its beginning and its end: what an agent would hide stands at the end of a long text. The note
 * between them is outside of what is preformatted, where no text of the agent's comes. */
static void add_cut_statement(cJSON *rich_text, struct slice text, size_t head, struct slice id)
{
	struct buffer end;
	size_t tail;
	cJSON *note;

	buffer_init(&end, CARD_TEXT_MOST);
	tail = visible_tail(&end, slice_from(text, head), tail_room);
	note = blocks_add_paragraph(rich_text);
	card_add_number(note, "CUT: %lu bytes of ", text.length - head - tail);
	card_add_number(note, "%lu are not shown here. All of it: ", text.length);
	blocks_add_string(note, "wayleave reviews show ", "code");
	card_add_value(note, id, "code");
	blocks_add_preformatted(rich_text, buffer_slice(&end));
	buffer_done(&end);
}

void card_add_statement(cJSON *blocks, const cJSON *review)
{
	cJSON *rich_text = blocks_add_rich_text(blocks);
	struct slice text = card_get_text(review, "text");
	struct buffer shown;
	size_t head;

	buffer_init(&shown, CARD_TEXT_MOST);
	head = visible_head(&shown, text, head_room);
	/* Slack takes no empty text. */
	if (text.length == 0)
		buffer_append_string(&shown, "(no text)");
	blocks_add_preformatted(rich_text, buffer_slice(&shown));
	if (head < text.length)
		add_cut_statement(rich_text, text, head, card_get_text(review, "id"));
	buffer_done(&shown);
}

/* --- parameters, settings, impact --- */

static void add_parameter(struct buffer *lines, size_t number, const cJSON *parameter)
{
	struct slice text = card_get_text(parameter, "text"),
		     binary = card_get_text(parameter, "binary");

	buffer_append_format(lines, "%s$%zu = ", number > 1 ? "\n" : "", number);
	if (cJSON_IsString(card_get(parameter, "text")))
		visible_line(lines, text, PARAMETER_MOST);
	else if (cJSON_IsString(card_get(parameter, "binary")))
		visible_line(lines, binary, PARAMETER_MOST);
	else
		buffer_append_string(lines, "NULL");
}

void card_add_parameters(cJSON *blocks, const cJSON *review)
{
	const cJSON *parameter, *list = card_get(review, "parameters");
	uint64_t count = (uint64_t)cJSON_GetArraySize(list),
		 total = card_get_number(review, "parameters_total");
	struct buffer lines;
	cJSON *rich_text;
	size_t number = 0;

	if (count == 0)
		return;
	rich_text = blocks_add_rich_text(blocks);
	buffer_init(&lines, CARD_TEXT_MOST);
	cJSON_ArrayForEach(parameter, list)
	{
		if (number == PARAMETERS_MOST)
			break;
		add_parameter(&lines, ++number, parameter);
	}
	blocks_add_string(blocks_add_paragraph(rich_text), "Parameters", "bold");
	blocks_add_preformatted(rich_text, buffer_slice(&lines));
	if (total < count)
		total = count;
	if (number < total)
		card_add_number(blocks_add_paragraph(rich_text), "and %lu more", total - number);
	buffer_done(&lines);
}

static void add_section(
	cJSON *blocks, const char *label, struct slice text, struct visible_room room)
{
	cJSON *rich_text;

	if (text.length == 0)
		return;
	rich_text = blocks_add_rich_text(blocks);
	blocks_add_string(blocks_add_paragraph(rich_text), label, "bold");
	add_preformatted(rich_text, text, room);
}

void card_add_impact(cJSON *blocks, const cJSON *review)
{
	struct slice preview = card_get_text(review, "preview");

	add_section(blocks, "What it would do",
		preview.length ? preview : slice_from_string("no preview"), preview_room);
	add_section(blocks, "Settings", card_get_text(review, "settings"), settings_room);
}
