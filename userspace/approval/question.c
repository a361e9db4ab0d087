/* SPDX-License-Identifier: Apache-2.0 */
#include "approval/question.h"

#include <errno.h>
#include <string.h>

#include "approval/fields.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/sha256.h"

#define VERSION_WITHOUT_RUNS 1
#define VERSION_WITHOUT_GROUPS 2 /* nor parts */
#define VERSION_WITHOUT_PROCESS 3

int scope_of_action_set(
	struct scope_of_action *ret, const struct action_pair *pairs, size_t pair_count)
{
	if (pair_count > QUESTION_PAIRS_MOST)
		return -E2BIG;
	for (size_t i = 0; i < pair_count; i++) {
		ret->pairs[i] = pairs[i];
		ret->pairs[i].everything |= pairs[i].unfiltered;
	}
	ret->pair_count = pair_count;
	return 0;
}

int question_seal(struct question *q, struct slice bound)
{
	struct buffer b;
	int r;

	/* Every part stands behind its length, so that no two different actions have the same
	 * bytes.
	 */
	buffer_init(&b, QUESTION_BYTES_MOST * 2 + bound.length);
	r = fields_put_text(&b, slice_from_string("wayleave review 4"));
	if (r == 0)
		r = fields_put_scope(&b, &q->scope);
	if (r == 0)
		r = fields_put_text(&b, q->groups);
	if (r == 0)
		r = fields_put_text(&b, q->protocol);
	if (r == 0)
		r = fields_put_text(&b, q->settings);
	if (r == 0)
		r = fields_put_text(&b, q->text);
	if (r == 0)
		r = fields_put_text(&b, q->runs);
	if (r == 0)
		r = fields_put_text(&b, bound);
	if (r == 0)
		sha256_of(buffer_slice(&b), q->digest);
	buffer_done(&b);
	return r;
}

int question_encode(const struct question *q, struct buffer *ret)
{
	const struct slice texts[] = {q->protocol, q->scope.database, q->scope.user, q->session,
		q->address, q->program, q->text, q->settings, q->preview, q->runs, q->groups,
		q->program_hash, q->arguments, q->parents};
	int r = fields_put_number(ret, QUESTION_VERSION);

	if (r == 0)
		r = fields_put_text(ret, slice_of(q->digest, sizeof(q->digest)));
	if (r == 0)
		r = fields_put_work(ret, &q->scope);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
		r = fields_put_text(ret, texts[i]);
	if (r == 0)
		r = fields_put_number(ret, q->pid);
	if (r == 0)
		r = fields_put_number(ret, q->uid);
	if (r == 0)
		r = fields_put_number(ret, q->unknown);
	if (r == 0)
		r = fields_put_values(ret, q);
	return r < 0 ? r : fields_put_parts(ret, q);
}

struct slice question_part_text(const struct question *q, size_t part, size_t *at)
{
	size_t length = (size_t)q->parts[part].text_length;
	struct slice text = slice_head(slice_from(q->text, *at), length);

	*at += length + strlen(QUESTION_SEPARATOR);
	return text;
}

/* The parts' texts and values are those of the whole, no more and no less. */
static bool has_parts(const struct question *q)
{
	const struct slice separator = slice_from_string(QUESTION_SEPARATOR);
	struct slice rest = q->text;
	uint64_t values = 0;

	if (q->part_count == 0)
		return true;
	for (size_t i = 0; i < q->part_count; i++) {
		const struct question_part *part = &q->parts[i];

		if (i > 0 && !slice_starts_with(rest, separator))
			return false;
		if (i > 0)
			rest = slice_from(rest, separator.length);
		if (part->text_length > rest.length || part->value_count > q->values_total - values)
			return false;
		rest = slice_from(rest, (size_t)part->text_length);
		values += part->value_count;
	}
	return q->part_count > 1 && rest.length == 0 && values == q->values_total;
}

/* Names are compared and shown; one that no configuration could have is no name. */
static bool is_name(struct slice name)
{
	return name.length <= LIMIT_RECORD_NAME &&
		(name.length == 0 || !memchr(name.data, '\0', name.length));
}

static bool has_names(const struct question *q)
{
	const struct slice names[] = {q->scope.agent, q->scope.principal, q->scope.on_behalf_of,
		q->scope.resource, q->scope.database, q->scope.user, q->scope.as, q->groups,
		q->protocol, q->session, q->address, q->program, q->program_hash, q->arguments,
		q->parents};
	bool good = true;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		good &= is_name(names[i]);
	for (size_t i = 0; i < q->scope.rule_count; i++)
		good &= is_name(q->scope.rules[i]);
	return good;
}

int question_decode(struct slice bytes, struct question *ret)
{
	struct slice *const texts[] = {&ret->protocol, &ret->scope.database, &ret->scope.user,
		&ret->session, &ret->address, &ret->program, &ret->text, &ret->settings,
		&ret->preview, &ret->runs, &ret->groups, &ret->program_hash, &ret->arguments,
		&ret->parents};
	size_t text_count = ARRAY_SIZE(texts);
	struct field_reader r = {.rest = bytes};
	uint64_t version = fields_get_number(&r), unknown;
	struct slice digest = fields_get_text(&r);

	memset(ret, 0, sizeof(*ret));
	if (r.bad || version < VERSION_WITHOUT_RUNS || version > QUESTION_VERSION ||
		digest.length != sizeof(ret->digest))
		return -EBADMSG;
	if (version <= VERSION_WITHOUT_PROCESS)
		text_count -= 3;
	if (version <= VERSION_WITHOUT_GROUPS)
		text_count--;
	if (version == VERSION_WITHOUT_RUNS)
		text_count--;
	memcpy(ret->digest, digest.data, sizeof(ret->digest));
	fields_get_work(&r, &ret->scope);
	for (size_t i = 0; i < text_count; i++)
		*texts[i] = fields_get_text(&r);
	ret->pid = fields_get_number(&r);
	ret->uid = fields_get_number(&r);
	unknown = fields_get_number(&r);
	ret->unknown = (unsigned)unknown;
	fields_get_values(&r, ret);
	if (version > VERSION_WITHOUT_GROUPS)
		fields_get_parts(&r, ret);
	return r.bad || !has_parts(ret) || unknown > UINT32_MAX || r.rest.length || !has_names(ret)
		? -EBADMSG
		: 0;
}
