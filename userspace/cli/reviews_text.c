/* SPDX-License-Identifier: Apache-2.0
 *
 * Reviews as text. All that comes of an agent is made visible: no control character, and nothing
 * that would show a text in another order than it has.
 */
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/reviews.h"
#include "protocol/operation.h"

#define BOLD "\033[1m"
#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"
#define DIGEST_SHOWN 12

/* --- what stands in a review --- */

uint64_t review_time_of(const cJSON *review, const char *name)
{
	const char *text = json_text_of(review, name), *rest;
	struct tm parts = {0};

	rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &parts) : NULL;
	if (!rest)
		return 0;
	return (uint64_t)timegm(&parts) * NANOSECONDS_PER_SECOND +
		(*rest == '.' ? strtoul(rest + 1, NULL, 10) * NANOSECONDS_PER_MILLISECOND : 0);
}

void review_text_duration(uint64_t nanoseconds, char *ret, size_t size)
{
	unsigned long seconds = (unsigned long)(nanoseconds / NANOSECONDS_PER_SECOND);

	if (seconds < 60)
		snprintf(ret, size, "%lus", seconds);
	else if (seconds < 3600)
		snprintf(ret, size, "%lum%02lus", seconds / 60, seconds % 60);
	else if (seconds < 48 * 3600)
		snprintf(ret, size, "%luh%02lum", seconds / 3600, seconds / 60 % 60);
	else
		snprintf(ret, size, "%lud", seconds / 86400);
}

static bool is_true(const cJSON *review, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(review, name));
}

bool review_is_pending(const cJSON *review)
{
	const char *state = json_text_of(review, "state");

	return state && strcmp(state, "pending") == 0;
}

static struct slice text_slice(const cJSON *review, const char *name)
{
	return slice_from_string(json_text_of(review, name));
}

/* --- lines --- */

static const char *colour_of(const struct review_layout *l, const cJSON *review)
{
	const char *state = json_text_of(review, "state");

	if (!l->colours || !state)
		return "";
	if (strcmp(state, "pending") == 0)
		return YELLOW;
	return strcmp(state, "approved") == 0 ? GREEN : strcmp(state, "denied") == 0 ? RED : DIM;
}

/* Whether a character beyond ASCII takes one column or two the terminal knows; two are reckoned, so
 * that nothing goes beyond its edge. Continuation bytes take none. */
size_t review_text_columns(uint8_t byte)
{
	if (byte < 0x80)
		return 1;
	return (byte & 0xc0) == 0x80 ? 0 : 2;
}

static size_t columns_of(struct slice visible)
{
	size_t columns = 0;

	for (size_t i = 0; i < visible.length; i++)
		columns += review_text_columns(visible.data[i]);
	return columns;
}

static struct slice head_of_columns(struct slice visible, size_t columns)
{
	size_t i = 0, used = 0;

	for (; i < visible.length; i++) {
		used += review_text_columns(visible.data[i]);
		if (used > columns)
			break;
	}
	return slice_head(visible, i);
}

/* `text` in `width` columns, filled up or cut so that the cut is seen. */
static void add_cell(struct buffer *b, struct slice text, size_t width, bool fill)
{
	struct buffer visible;
	size_t used;

	buffer_init(&visible, 64u << 20);
	cli_append_line(&visible, text);
	used = columns_of(buffer_slice(&visible));
	if (used > width) {
		buffer_append_slice(b, head_of_columns(buffer_slice(&visible), width - 1));
		buffer_append_string(b, "…");
		used = width;
	} else {
		buffer_append_slice(b, buffer_slice(&visible));
	}
	for (; fill && used < width + 2; used++)
		buffer_append_byte(b, ' ');
	buffer_done(&visible);
}

#define AGENT_WIDTH 14
#define RESOURCE_WIDTH 12
#define STATEMENT_LEAST 12
#define FRONT_WIDTH (6 + 2 + 9 + 2 + 7 + 2 + 7 + 2 + 4 + 2) /* up to the agent */

/* At 80 columns the statement is worth more than the resource. */
static bool shows_resource(const struct review_layout *l)
{
	return l->width == 0 || l->width >= 120;
}

static size_t statement_width(const struct review_layout *l)
{
	size_t front = FRONT_WIDTH + AGENT_WIDTH + 2;

	if (l->width == 0)
		return 4096;
	if (shows_resource(l))
		front += RESOURCE_WIDTH + 2;
	return l->width > front + STATEMENT_LEAST ? l->width - front : STATEMENT_LEAST;
}

void review_text_head(const struct review_layout *l, struct buffer *ret)
{
	buffer_append_format(ret, "%s%-6s  %-9s  %7s  %7s  %4s  %-*s  ", l->colours ? BOLD : "",
		"REVIEW", "STATE", "AGE", "LEFT", "WAIT", AGENT_WIDTH, "AGENT");
	if (shows_resource(l))
		buffer_append_format(ret, "%-*s  ", RESOURCE_WIDTH, "RESOURCE");
	buffer_append_format(ret, "STATEMENT%s", l->colours ? PLAIN : "");
}

/* What a cut statement ends with, so that nobody takes the beginning for the whole: as much of it
 * as leaves room for a beginning. */
static void make_tail(const cJSON *review, size_t width, char *ret, size_t size)
{
	struct slice digest = slice_head(text_slice(review, "digest"), DIGEST_SHOWN);
	double length = json_number_of(review, "text_length");

	snprintf(ret, size, "… (%.0f bytes, SHA-256 %.*s…)", length, SLICE_PRINT(digest));
	if (columns_of(slice_from_string(ret)) + STATEMENT_LEAST > width)
		snprintf(ret, size, "… (%.0f bytes)", length);
	if (columns_of(slice_from_string(ret)) + STATEMENT_LEAST > width)
		snprintf(ret, size, "…");
}

static void add_statement(const cJSON *review, size_t width, struct buffer *ret)
{
	struct buffer line;
	char tail[96];

	if (is_true(review, "brief")) {
		buffer_append_string(ret, "(too many to show it here)");
		return;
	}
	buffer_init(&line, 64u << 20);
	cli_append_line(&line, text_slice(review, "text"));
	if (!is_true(review, "text_cut") && columns_of(buffer_slice(&line)) <= width) {
		buffer_append_slice(ret, buffer_slice(&line));
	} else {
		make_tail(review, width, tail, sizeof(tail));
		buffer_append_slice(ret,
			head_of_columns(
				buffer_slice(&line), width - columns_of(slice_from_string(tail))));
		buffer_append_string(ret, tail);
	}
	buffer_done(&line);
}

void review_text_row(const cJSON *review, const struct review_layout *l, struct buffer *ret)
{
	uint64_t created = review_time_of(review, "created");
	uint64_t deadline = review_time_of(review, "deadline");
	const char *state = json_text_of(review, "state");
	char age[32], left[32] = "-";

	review_text_duration(l->now > created ? l->now - created : 0, age, sizeof(age));
	if (review_is_pending(review))
		review_text_duration(deadline > l->now ? deadline - l->now : 0, left, sizeof(left));
	add_cell(ret, text_slice(review, "id"), 6, true);
	buffer_append_format(ret, "%s%-9s%s  %7s  %7s  %4.0f  ", colour_of(l, review),
		state ? state : "?", l->colours ? PLAIN : "", age, left,
		json_number_of(review, "waiters"));
	add_cell(ret, text_slice(review, "agent"), AGENT_WIDTH, true);
	if (shows_resource(l))
		add_cell(ret, text_slice(review, "resource"), RESOURCE_WIDTH, true);
	add_statement(review, statement_width(l), ret);
}

/* --- the whole --- */

static void add_name(struct buffer *b, const char *name)
{
	buffer_append_format(b, "  %-11s ", name);
}

static void add_line(struct buffer *b, const char *name, struct slice text)
{
	if (text.length == 0)
		return;
	add_name(b, name);
	cli_append_line(b, text);
	buffer_append_byte(b, '\n');
}

static void add_block(struct buffer *b, struct slice text)
{
	cli_append_block(b, text, "    | ");
}

static void add_state(const cJSON *review, const struct review_layout *l, struct buffer *b)
{
	uint64_t created = review_time_of(review, "created");
	uint64_t deadline = review_time_of(review, "deadline");
	const char *id = json_text_of(review, "id"), *state = json_text_of(review, "state");
	char age[32], left[32];

	review_text_duration(l->now > created ? l->now - created : 0, age, sizeof(age));
	review_text_duration(deadline > l->now ? deadline - l->now : 0, left, sizeof(left));
	buffer_append_format(b, "review %s  %s%s%s  (asked %s ago", id ? id : "?",
		colour_of(l, review), state ? state : "?", l->colours ? PLAIN : "", age);
	buffer_append_format(b, review_is_pending(review) ? ", %s left)\n" : ")\n", left);
}

static void add_place(const cJSON *review, struct buffer *b)
{
	static const char *const parts[][2] = {{"protocol", " protocol "},
		{"database", " database "}, {"user", " user "}, {"as", " runs as "}};

	add_name(b, "resource");
	cli_append_line(b, text_slice(review, "resource"));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct slice text = text_slice(review, parts[i][0]);

		if (text.length == 0)
			continue;
		buffer_append_format(b, ",%s", parts[i][1]);
		cli_append_line(b, text);
	}
	buffer_append_byte(b, '\n');
}

static void add_process(const cJSON *review, struct buffer *b)
{
	if (!json_text_of(review, "session"))
		return;
	add_name(b, "process");
	cli_append_line(b, text_slice(review, "program"));
	/* Of another kernel's, or of a datagram, none is known. */
	if (json_number_of(review, "pid") > 0)
		buffer_append_format(b, "  pid %.0f, user %.0f, session ",
			json_number_of(review, "pid"), json_number_of(review, "uid"));
	else
		buffer_append_string(b, "not known, session ");
	cli_append_line(b, text_slice(review, "session"));
	buffer_append_byte(b, '\n');
	add_line(b, "sha256", text_slice(review, "program_sha256"));
	add_line(b, "arguments", text_slice(review, "arguments"));
	add_line(b, "parents", text_slice(review, "parents"));
	add_line(b, "address", text_slice(review, "address"));
}

/* Of one that acts on whatever is there. */
static const char *all_of(const cJSON *pair)
{
	enum operation operation = operation_from_key(text_slice(pair, "operation"));

	if (!is_true(pair, "everything"))
		return "";
	return operation < OPERATION_COUNT &&
			operation_get_group(operation) == OPERATION_GROUP_RESTATED
		? " (and all below it)"
		: " (no WHERE: all rows)";
}

static void add_rules(const cJSON *review, struct buffer *b)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(review, "rules"))
		add_line(b, "rule", slice_from_string(cJSON_GetStringValue(item)));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(review, "pairs"))
	{
		add_name(b, "does");
		cli_append_line(b, text_slice(item, "operation"));
		buffer_append_byte(b, ' ');
		cli_append_line(b, text_slice(item, "object"));
		buffer_append_format(b, "%s%s\n", all_of(item),
			is_true(item, "unknown") ? " (not known for sure)" : "");
	}
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(review, "unknown"))
	{
		add_name(b, "NOT KNOWN");
		buffer_append_string(b, "its ");
		cli_append_line(b, slice_from_string(cJSON_GetStringValue(item)));
		buffer_append_byte(b, '\n');
	}
}

static void add_principal_groups(const cJSON *review, struct buffer *b)
{
	const cJSON *item, *list = cJSON_GetObjectItemCaseSensitive(review, "principal_groups");

	if (!list || !list->child)
		return;
	add_name(b, "its groups");
	cJSON_ArrayForEach(item, list)
	{
		if (item != list->child)
			buffer_append_string(b, ", ");
		cli_append_line(b, slice_from_string(cJSON_GetStringValue(item)));
	}
	buffer_append_byte(b, '\n');
}

static void add_groups(const cJSON *review, struct buffer *b)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(review, "groups"))
	{
		add_name(b, "reviewers");
		cli_append_line(b, text_slice(item, "name"));
		if (review_is_pending(review))
			buffer_append_format(b, ": %.0f of %.0f have approved",
				json_number_of(item, "given"), json_number_of(item, "needed"));
		buffer_append_byte(b, '\n');
	}
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(review, "votes"))
	{
		add_name(b, "vote");
		cli_append_line(b, text_slice(item, "by"));
		buffer_append_string(b, ": ");
		cli_append_line(b, text_slice(item, "verdict"));
		buffer_append_string(b, ", ");
		cli_append_line(b, text_slice(item, "time"));
		if (json_text_of(item, "reason")) {
			buffer_append_string(b, ": ");
			cli_append_line(b, text_slice(item, "reason"));
		}
		buffer_append_byte(b, '\n');
	}
}

static void add_waiting(const cJSON *review, struct buffer *b)
{
	const char *separator = "";
	const cJSON *item;

	add_name(b, review_is_pending(review) ? "waiting" : "waited");
	buffer_append_format(b, "%.0f: ", json_number_of(review, "waiters"));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(review, "sessions"))
	{
		buffer_append_string(b, separator);
		cli_append_line(b, text_slice(item, "session"));
		if (is_true(item, "left"))
			buffer_append_string(b, " (left)");
		if (cJSON_HasObjectItem(item, "ran"))
			buffer_append_string(b,
				cJSON_IsFalse(cJSON_GetObjectItem(item, "ran"))
					? " (the approval was not used)"
					: " (not known to have run)");
		separator = ", ";
	}
	buffer_append_byte(b, '\n');
}

static void add_grant(const cJSON *review, struct buffer *b)
{
	struct slice grant = text_slice(review, "grant"),
		     by = text_slice(review, "grant_revoked_by");

	if (grant.length == 0)
		return;
	add_name(b, "grant");
	cli_append_line(b, grant);
	buffer_append_string(b, by.length ? ", revoked by " : ", until ");
	cli_append_line(b, by);
	buffer_append_string(b, by.length ? ", " : "");
	cli_append_line(b, text_slice(review, "grant_end"));
	buffer_append_byte(b, '\n');
}

static void add_decision(const cJSON *review, struct buffer *b)
{
	char limit[32];

	review_text_duration(
		(uint64_t)json_number_of(review, "grant_limit") * NANOSECONDS_PER_SECOND, limit,
		sizeof(limit));
	if (review_is_pending(review)) {
		add_name(b, "grant");
		buffer_append_format(b,
			json_number_of(review, "grant_limit") ? "for at most %s (--for)\n"
							      : "this action alone\n",
			limit);
		add_name(b, "lately");
		buffer_append_format(b, "%.0f like it approved in the last 24 hours\n",
			json_number_of(review, "approved_lately"));
		return;
	}
	add_line(b, "decided", text_slice(review, "decided"));
	add_line(b, "by", text_slice(review, "decided_by"));
	add_line(b, "reason", text_slice(review, "reason"));
	add_grant(review, b);
}

static void add_parameters(const cJSON *review, struct buffer *b)
{
	double total = json_number_of(review, "parameters_total");
	const cJSON *item;
	unsigned number = 0;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(review, "parameters"))
	{
		const char *binary = json_text_of(item, "binary");
		const char *text = json_text_of(item, "text");

		buffer_append_format(b, "    $%u = ", ++number);
		if (!binary && !text)
			buffer_append_string(b, "NULL");
		else
			buffer_append_string(b, binary ? "\\x" : "'");
		cli_append_line(b, slice_from_string(binary ? binary : text));
		buffer_append_string(b, text ? "'" : "");
		buffer_append_format(b, "  (%.0f bytes)\n", json_number_of(item, "length"));
	}
	if (number < total)
		buffer_append_format(b, "    and %.0f more\n", total - number);
}

/* The one parameter that a request of HTTP has. */
static const cJSON *body_of(const cJSON *review)
{
	const char *protocol = json_text_of(review, "protocol");
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(review, "parameters");

	if (!protocol || (strcmp(protocol, "http") != 0 && strcmp(protocol, "kubernetes") != 0) ||
		cJSON_GetArraySize(list) != 1)
		return NULL;
	return json_text_of(list->child, "text") ? list->child : NULL;
}

static void add_body(const cJSON *body, struct buffer *b)
{
	struct slice text = text_slice(body, "text");
	double length = json_number_of(body, "length");

	buffer_append_format(b, "  body (%.0f bytes)\n", length);
	add_block(b, text);
	if (text.length < length)
		buffer_append_format(
			b, "    CUT: %.0f bytes are not shown\n", length - (double)text.length);
}

static void add_statements(const cJSON *review, struct buffer *b)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(review, "statements"), *item;
	int number = 0;

	cJSON_ArrayForEach(item, list)
	{
		buffer_append_format(b, "  statement %d of %d (%.0f bytes)\n", ++number,
			cJSON_GetArraySize(list), json_number_of(item, "text_length"));
		add_block(b, text_slice(item, "text"));
		if (json_number_of(item, "parameters_total")) {
			buffer_append_format(b, "  parameters of statement %d\n", number);
			add_parameters(item, b);
		}
	}
}

static void add_statement_of(const cJSON *review, struct buffer *b)
{
	const cJSON *body = body_of(review);

	if (!body && json_number_of(review, "parameters_total")) {
		buffer_append_string(b, "  parameters\n");
		add_parameters(review, b);
	}
	buffer_append_format(
		b, "  statement (%.0f bytes)\n", json_number_of(review, "text_length"));
	add_block(b, text_slice(review, "text"));
	if (body)
		add_body(body, b);
}

void review_text_whole(const cJSON *review, const struct review_layout *l, struct buffer *b)
{
	struct slice preview = text_slice(review, "preview"), runs = text_slice(review, "runs");

	add_state(review, l, b);
	add_line(b, "agent", text_slice(review, "agent"));
	add_line(b, "principal", text_slice(review, "principal"));
	add_line(b, "on behalf of", text_slice(review, "on_behalf_of"));
	add_principal_groups(review, b);
	add_place(review, b);
	add_process(review, b);
	add_rules(review, b);
	add_groups(review, b);
	add_waiting(review, b);
	add_decision(review, b);
	add_line(b, "digest", text_slice(review, "digest"));
	if (json_text_of(review, "settings")) {
		buffer_append_string(b, "  settings\n");
		add_block(b, text_slice(review, "settings"));
	}
	if (preview.length) {
		buffer_append_string(b, "  impact\n");
		add_block(b, preview);
	} else {
		add_line(b, "impact", slice_from_string("no preview"));
	}
	if (cJSON_GetObjectItemCaseSensitive(review, "statements"))
		add_statements(review, b);
	else
		add_statement_of(review, b);
	if (runs.length) {
		buffer_append_format(b, "  runs (%zu bytes)\n", runs.length);
		add_block(b, runs);
	}
}
