/* SPDX-License-Identifier: Apache-2.0
 *
 * card_statement: the parts of a card that hold what an agent wrote at length.
 */
#include "broker/card_internal.h"

/* Slack takes 3,000 characters in one text; reviewers read fewer. Of what is long, the beginning
 * and the end are shown: what an agent would hide stands at the end of a long text. */
struct room {
	struct visible_room head, tail;
};

static const struct room statement_room = {{2000, 40}, {800, 12}},
			 preview_room = {{1200, 20}, {300, 5}},
			 settings_room = {{900, 20}, {200, 3}};
#define PARAMETERS_MOST 20
#define PARAMETER_MOST 100 /* bytes */

/* --- long texts --- */

static void add_command(const struct card *c, cJSON *note)
{
	blocks_add_string(note, "wayleave reviews show ", "code");
	card_add_value(c, note, card_get_text(c->review, "id"), "code");
}

static struct visible_room scale(const struct card *c, struct visible_room room)
{
	return (struct visible_room){card_scale(c, room.bytes), room.lines};
}

/* The note on the cut is outside of what is preformatted, where no text of the agent's comes. */
static void add_end(const struct card *c, cJSON *rich_text, struct slice text, size_t head,
	struct visible_room room)
{
	struct buffer end;
	size_t tail;
	cJSON *note;

	buffer_init(&end, CARD_TEXT_MOST);
	tail = visible_tail(&end, slice_from(text, head), room);
	note = blocks_add_paragraph(rich_text);
	card_add_number(note, "CUT: %lu bytes of ", text.length - head - tail);
	card_add_number(note, "%lu are not shown here. All of it: ", text.length);
	add_command(c, note);
	blocks_add_preformatted(rich_text, buffer_slice(&end));
	buffer_done(&end);
}

static void add_long(
	const struct card *c, cJSON *rich_text, struct slice text, const struct room *room)
{
	struct buffer shown;
	size_t head;

	buffer_init(&shown, CARD_TEXT_MOST);
	head = visible_head(&shown, text, scale(c, room->head));
	/* Slack takes no empty text. */
	if (text.length == 0)
		buffer_append_string(&shown, "(no text)");
	blocks_add_preformatted(rich_text, buffer_slice(&shown));
	if (head < text.length)
		add_end(c, rich_text, text, head, scale(c, room->tail));
	buffer_done(&shown);
}

static void add_section(
	const struct card *c, const char *label, struct slice text, const struct room *room)
{
	cJSON *rich_text;

	if (text.length == 0)
		return;
	rich_text = blocks_add_rich_text(c->blocks);
	blocks_add_string(blocks_add_paragraph(rich_text), label, "bold");
	add_long(c, rich_text, text, room);
}

/* What was sent, and what that runs where it only names something prepared. */
void card_add_statement(const struct card *c)
{
	add_long(c, blocks_add_rich_text(c->blocks), card_get_text(c->review, "text"),
		&statement_room);
	add_section(c, "What it runs", card_get_text(c->review, "runs"), &statement_room);
}

/* --- parameters, impact, settings --- */

/* Whether all of it is shown. */
static bool add_parameter(
	const struct card *c, struct buffer *lines, size_t number, const cJSON *parameter)
{
	bool binary = cJSON_IsString(card_get(parameter, "binary")); /* hexadecimal */
	struct slice value = card_get_text(parameter, binary ? "binary" : "text");
	uint64_t length = card_get_number(parameter, "length");
	uint64_t statement = card_get_number(parameter, "statement"); /* of several; 0: of one */

	if (number > 1)
		buffer_append_byte(lines, '\n');
	if (statement)
		buffer_append_format(lines, "statement %lu, $%lu = ", (unsigned long)statement,
			(unsigned long)card_get_number(parameter, "number"));
	else
		buffer_append_format(lines, "$%zu = ", number);
	if (!binary && !cJSON_IsString(card_get(parameter, "text")))
		buffer_append_string(lines, "NULL");
	else if (visible_line(lines, value, card_scale(c, PARAMETER_MOST)) < value.length ||
		value.length < (binary ? 2 * length : length)) {
		buffer_append_format(lines, " (%lu bytes)", (unsigned long)length);
		return false;
	}
	return true;
}

static void add_parameter_notes(
	const struct card *c, cJSON *rich_text, bool whole, uint64_t not_listed)
{
	cJSON *note;

	if (whole && !not_listed)
		return;
	note = blocks_add_paragraph(rich_text);
	if (not_listed)
		card_add_number(note, "CUT: %lu more are not shown here. ", not_listed);
	if (!whole)
		blocks_add_string(note, "CUT: of what is long only the beginning. ", NULL);
	blocks_add_string(note, "All of it: ", NULL);
	add_command(c, note);
}

/* The one parameter that a request of HTTP has; binary: as others. */
static bool has_body(const struct card *c, const cJSON *list)
{
	struct slice protocol = card_get_text(c->review, "protocol");

	return (slice_equal_string(protocol, "http") ||
		       slice_equal_string(protocol, "kubernetes")) &&
		cJSON_GetArraySize(list) == 1 && cJSON_IsString(card_get(list->child, "text"));
}

void card_add_parameters(const struct card *c)
{
	const cJSON *parameter, *list = card_get(c->review, "parameters");
	uint64_t count = (uint64_t)cJSON_GetArraySize(list),
		 total = card_get_number(c->review, "parameters_total");
	struct buffer lines;
	cJSON *rich_text;
	size_t number = 0;
	bool whole = true;

	if (count == 0)
		return;
	if (has_body(c, list)) {
		add_section(c, "Body", card_get_text(list->child, "text"), &statement_room);
		return;
	}
	rich_text = blocks_add_rich_text(c->blocks);
	buffer_init(&lines, CARD_TEXT_MOST);
	cJSON_ArrayForEach(parameter, list)
	{
		if (number == PARAMETERS_MOST)
			break;
		whole &= add_parameter(c, &lines, ++number, parameter);
	}
	blocks_add_string(blocks_add_paragraph(rich_text), "Parameters", "bold");
	blocks_add_preformatted(rich_text, buffer_slice(&lines));
	if (total < count)
		total = count;
	add_parameter_notes(c, rich_text, whole, total - number);
	buffer_done(&lines);
}

void card_add_impact(const struct card *c)
{
	struct slice preview = card_get_text(c->review, "preview");

	add_section(c, "What it would do",
		preview.length ? preview : slice_from_string("no preview"), &preview_room);
	add_section(c, "Settings", card_get_text(c->review, "settings"), &settings_room);
}
