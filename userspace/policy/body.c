/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/body.h"

#include "base/buffer.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "masking/json_path.h"
#include "masking/json_reader.h"

#define NUMBER_DIGITS_MOST 15u /* beyond which readers round */

struct body {
	enum action_body_form form;
	struct body_values values;
	uint32_t *messages; /* the values that are judged by themselves */
	size_t message_count;
	struct buffer name, value; /* with their escapes taken off */
};

bool body_path_is_valid(struct slice path)
{
	struct json_step step;

	path = json_path_is_valid(path) ? slice_from(path, 1) : SLICE_EMPTY;
	return path.length && json_path_step(&path, &step) && !step.in_array;
}

/* --- reading --- */

/* A JSON array is a batch. */
static bool find_messages(struct body *b)
{
	const struct body_value *root = b->values.items;

	b->messages = memory_new_array(LIMIT_BODY_MESSAGES, sizeof(*b->messages));
	if (root->kind == JSON_ARRAY) {
		for (uint32_t i = 1; i < root->next; i = b->values.items[i].next) {
			if (b->message_count == LIMIT_BODY_MESSAGES)
				return false;
			b->messages[b->message_count++] = i;
		}
	}
	if (b->message_count == 0)
		b->messages[b->message_count++] = 0;
	return true;
}

static bool read_values(struct body *b, struct slice bytes)
{
	bool read = b->form == BODY_JSON ? body_values_of_json(&b->values, bytes)
					 : body_values_of_form(&b->values, bytes);

	return read && find_messages(b);
}

struct body *body_read(const struct action_body *given)
{
	struct body *b = memory_new(sizeof(*b));

	b->form = given->form;
	buffer_init(&b->name, LIMIT_HTTP_BODY_HELD);
	buffer_init(&b->value, LIMIT_HTTP_BODY_HELD);
	if ((b->form == BODY_JSON || b->form == BODY_FORM) && !read_values(b, given->bytes))
		b->form = BODY_UNKNOWN;
	if (b->form == BODY_NONE || b->form == BODY_UNKNOWN)
		b->message_count = 1;
	return b;
}

void body_free(struct body *b)
{
	if (!b)
		return;
	free(b->values.items);
	free(b->values.decoded);
	free(b->messages);
	buffer_done(&b->name);
	buffer_done(&b->value);
	free(b);
}

bool body_is_known(const struct body *b)
{
	return b->form != BODY_UNKNOWN;
}

size_t body_message_count(const struct body *b)
{
	return b->message_count;
}

/* --- names --- */

enum likeness { UNLIKE, LIKE, ALIKE };

/* A letter as readers that see no case compare it: Go's JSON also takes the Kelvin sign and the
 * long s for letters. Forms' readers put "_" for what can't stand in a variable's name. */
static uint8_t fold(struct slice *rest, bool form)
{
	uint8_t c = rest->data[0];
	size_t n = 1;

	if (slice_starts_with(*rest, slice_from_string("\xe2\x84\xaa"))) {
		c = 'k';
		n = 3;
	} else if (slice_starts_with(*rest, slice_from_string("\xc5\xbf"))) {
		c = 's';
		n = 2;
	} else if (c >= 'A' && c <= 'Z') {
		c = (uint8_t)(c + 32);
	} else if (form && memchr(" .[", c, 3)) {
		c = '_';
	}
	*rest = slice_from(*rest, n);
	return c;
}

static bool begins_like(struct slice name, struct slice wanted, bool form)
{
	while (name.length && wanted.length) {
		if (fold(&name, form) != fold(&wanted, form))
			return false;
	}
	/* "user[name]" and "user.name" are an object's member for some, and "name]" is "name". */
	return wanted.length == 0 && (name.length == 0 || (form && memchr("[].", name.data[0], 3)));
}

/* Rack and qs take "[name]" and "]name" for "name". */
static struct slice skip_brackets(struct slice name)
{
	while (name.length && memchr("[] ", name.data[0], 3))
		name = slice_from(name, 1);
	return name;
}

/* Whether some reader could take one name for the other. */
static bool is_like(struct slice name, struct slice wanted, bool form)
{
	const uint8_t *nul = name.length ? memchr(name.data, 0, name.length) : NULL;

	if (nul)
		name = slice_head(name, (size_t)(nul - name.data));
	while (form && name.length && name.data[0] == ' ')
		name = slice_from(name, 1);
	return begins_like(name, wanted, form) ||
		(form && begins_like(skip_brackets(name), wanted, form));
}

static enum likeness compare_name(struct body *b, struct slice name, struct slice wanted)
{
	buffer_clear(&b->name);
	if (b->form == BODY_JSON && json_meaning(name, &b->name, &name) < 0)
		return LIKE;
	if (slice_equal(name, wanted))
		return ALIKE;
	return is_like(name, wanted, b->form == BODY_FORM) ? LIKE : UNLIKE;
}

/* --- values --- */

struct found {
	bool match, miss, doubt;
};

static bool is_plain_integer(struct slice number)
{
	size_t sign = number.data[0] == '-';

	if (number.length - sign > NUMBER_DIGITS_MOST || (sign && number.data[1] == '0'))
		return false;
	for (size_t i = sign; i < number.length; i++) {
		if (number.data[i] < '0' || number.data[i] > '9')
			return false;
	}
	return true;
}

/* What the value says as a text; false: that is not certain. */
static bool text_of(struct body *b, const struct body_value *v, struct slice *ret)
{
	*ret = v->text;
	switch (v->kind) {
	case JSON_STRING:
		buffer_clear(&b->value);
		if (b->form == BODY_JSON && json_meaning(v->text, &b->value, ret) < 0)
			return false;
		/* Some readers end texts there. */
		return ret->length <= LIMIT_BODY_VALUE &&
			!(ret->length && memchr(ret->data, 0, ret->length));
	case JSON_NUMBER:
		return is_plain_integer(v->text);
	default:
		return v->kind == JSON_TRUE || v->kind == JSON_FALSE;
	}
}

/* null is as if nothing stood there. */
static void compare(struct body *b, const struct body_value *v, const struct policy_texts *values,
	struct found *found)
{
	bool match = false;
	struct slice text;

	if (v->kind == JSON_NULL)
		return;
	if (!text_of(b, v, &text)) {
		found->doubt = true;
		return;
	}
	for (size_t i = 0; i < values->count && !match; i++)
		match = text_glob(values->items[i], text);
	found->match |= match;
	found->miss |= !match;
}

static void find(struct body *b, uint32_t at, struct slice path, const struct policy_texts *values,
	struct found *found);

/* A request of GraphQL that does not name its operation: the name, and what it is, stand in the
 * text of its query, or the server keeps that under a hash. */
static bool is_unnamed_query(struct body *b, uint32_t at, const struct json_step *step)
{
	const struct body_value *items = b->values.items;

	if (step->any || !slice_equal_string(step->name, "operationName"))
		return false;
	for (uint32_t i = at + 1; i < items[at].next; i = items[i].next) {
		if (compare_name(b, items[i].name, slice_from_string("query")) != UNLIKE ||
			compare_name(b, items[i].name, slice_from_string("extensions")) != UNLIKE)
			return true;
	}
	return false;
}

static void find_members(struct body *b, uint32_t at, const struct json_step *step,
	struct slice path, const struct policy_texts *values, struct found *found)
{
	const struct body_value *items = b->values.items;
	size_t alike = 0;

	for (uint32_t i = at + 1; i < items[at].next; i = items[i].next) {
		enum likeness likeness =
			step->any ? ALIKE : compare_name(b, items[i].name, step->name);

		if (likeness == ALIKE) {
			find(b, i, path, values, found);
			alike++;
		} else if (likeness == LIKE) {
			found->doubt = true;
		}
	}
	/* Readers take the first, the last, or refuse it. */
	if (alike > 1 && !step->any)
		found->doubt = true;
	if (!found->match && !found->miss && path.length == 0 && is_unnamed_query(b, at, step))
		found->doubt = true;
}

static void find_elements(struct body *b, uint32_t at, const struct json_step *step,
	struct slice path, const struct policy_texts *values, struct found *found)
{
	const struct body_value *items = b->values.items;
	uint64_t place = 0;

	for (uint32_t i = at + 1; i < items[at].next; i = items[i].next) {
		if (step->any || place++ == step->index)
			find(b, i, path, values, found);
	}
}

/* What readers skip in front of JSON: blanks, also wider ones, and byte order marks. */
static struct slice skip_blanks(struct slice text)
{
	static const char *const wide[] = {
		"\xef\xbb\xbf", "\xc2\xa0", "\xc2\x85", "\xe2\x80", "\xe3\x80\x80"};
	size_t before;

	do {
		before = text.length;
		while (text.length && text.data[0] <= ' ')
			text = slice_from(text, 1);
		for (size_t i = 0; i < ARRAY_SIZE(wide); i++) {
			if (slice_starts_with(text, slice_from_string(wide[i])))
				text = slice_from(text, i == 3 ? 3 : strlen(wide[i]));
		}
	} while (text.length < before);
	return text;
}

/* A text that holds JSON is an object for who decodes it twice; in a text in a text, or behind a
 * comment, it stands further back. */
static bool may_hold_more(struct body *b, const struct body_value *v)
{
	struct slice text = v->text;

	if (v->kind != JSON_STRING || text.length == 0)
		return false;
	buffer_clear(&b->value);
	if (b->form == BODY_JSON && memchr(text.data, '\\', text.length) &&
		json_meaning(text, &b->value, &text) < 0)
		return true;
	text = skip_blanks(text);
	if (text.length && (text.data[0] == '"' || text.data[0] == '/'))
		return memchr(text.data, '{', text.length) || memchr(text.data, '[', text.length);
	return text.length && (text.data[0] == '{' || text.data[0] == '[');
}

static void find(struct body *b, uint32_t at, struct slice path, const struct policy_texts *values,
	struct found *found)
{
	const struct body_value *v = &b->values.items[at];
	struct json_step step;

	if (path.length == 0) {
		compare(b, v, values, found);
		return;
	}
	if (!json_path_step(&path, &step))
		return;
	if (v->kind == JSON_OBJECT && !step.in_array)
		find_members(b, at, &step, path, values, found);
	else if (v->kind == JSON_ARRAY && step.in_array)
		find_elements(b, at, &step, path, values, found);
	else if (v->kind == JSON_OBJECT || v->kind == JSON_ARRAY)
		found->doubt |= v->next > at + 1; /* what is in it may count by its place */
	else
		found->doubt |= may_hold_more(b, v);
}

/* --- rules --- */

static enum rule_fit fit_of(const struct found *found, enum rule_kind kind)
{
	if (kind == RULE_ALLOW && found->miss)
		return RULE_FITS_NOT;
	if (found->match && !(kind == RULE_ALLOW && found->doubt))
		return RULE_FITS;
	return found->doubt ? RULE_FITS_PERHAPS : RULE_FITS_NOT;
}

static enum rule_fit fit_as(
	struct body *b, size_t message, const struct policy_rule *r, enum rule_kind kind)
{
	enum rule_fit worst = RULE_FITS;

	if (r->body_count == 0)
		return RULE_FITS;
	if (b->form == BODY_NONE)
		return RULE_FITS_NOT;
	if (b->form == BODY_UNKNOWN)
		return RULE_FITS_PERHAPS;
	for (size_t i = 0; i < r->body_count && worst != RULE_FITS_NOT; i++) {
		const struct policy_body *asked = &r->bodies[i];
		struct found found = {false};
		enum rule_fit fit;

		find(b, b->messages[message], slice_from(asked->path, 1), &asked->values, &found);
		fit = fit_of(&found, kind);
		if (fit != RULE_FITS)
			worst = fit;
	}
	return worst;
}

enum rule_fit body_fit(struct body *b, size_t message, const struct policy_rule *r)
{
	return fit_as(b, message, r, r->kind);
}

bool body_fits_surely(struct body *b, size_t message, const struct policy_rule *r)
{
	return fit_as(b, message, r, RULE_ALLOW) == RULE_FITS;
}
