/* SPDX-License-Identifier: Apache-2.0 */
#include "approval/review.h"

#include <errno.h>
#include <stdio.h>

#include "base/memory.h"

static const char *const state_names[REVIEW_STATE_COUNT] = {
	[REVIEW_PENDING] = "pending",
	[REVIEW_APPROVED] = "approved",
	[REVIEW_DENIED] = "denied",
	[REVIEW_EXPIRED] = "expired",
	[REVIEW_CANCELLED] = "cancelled",
};

const char *review_state_name(unsigned state)
{
	return state < REVIEW_STATE_COUNT ? state_names[state] : "?";
}

const char *reviewer_via_text(enum reviewer_via via)
{
	return via == REVIEWER_SLACK ? "in Slack" : "at the command line";
}

/* --- what rules ask for --- */

static const struct config_reviewer *find_group(const struct config *c, struct slice name)
{
	for (size_t i = 0; i < c->reviewer_count; i++) {
		if (slice_equal_string(name, c->reviewers[i].name.text))
			return &c->reviewers[i];
	}
	return NULL;
}

static const struct config_rule *find_rule(const struct config *c, struct slice name)
{
	for (size_t i = 0; i < c->rule_count; i++) {
		if (slice_equal_string(name, c->rules[i].name.text))
			return &c->rules[i];
	}
	return NULL;
}

static void add_group(struct requirement *r, const struct config_reviewer *group)
{
	for (size_t i = 0; i < r->group_count; i++) {
		if (r->groups[i] == group)
			return;
	}
	r->groups[r->group_count++] = group;
}

static int add_rule(
	const struct config *c, struct slice name, struct requirement *r, struct error *e)
{
	const struct config_rule *rule = find_rule(c, name);
	const struct config_reviewer *group;

	if (!rule || !rule->review)
		return error_set(e, -EINVAL, "no rule \"%.*s\" asks for a review any more",
			SLICE_PRINT(slice_head(name, 200)));
	group = find_group(c, slice_from_string(rule->review->by.text));
	if (!group)
		return error_set(
			e, -EINVAL, "there is no group of reviewers \"%s\"", rule->review->by.text);
	add_group(r, group);
	if (rule->review->within.value < r->within)
		r->within = rule->review->within.value;
	if (rule->review->grant.value < r->grant)
		r->grant = rule->review->grant.value;
	return 0;
}

int requirement_find(const struct config *c, const struct slice *rules, size_t count,
	struct requirement *ret, struct error *e)
{
	struct requirement r = {.within = UINT64_MAX, .grant = UINT64_MAX};

	if (count == 0 || count > REVIEW_GROUPS_MOST)
		return error_set(e, -EINVAL, "%zu rules can't ask for one review", count);
	for (size_t i = 0; i < count; i++) {
		int status = add_rule(c, rules[i], &r, e);

		if (status < 0)
			return status;
	}
	*ret = r;
	return 0;
}

char *requirement_groups(const struct requirement *r, const char *separator)
{
	char *text = memory_copy_string("");

	for (size_t i = 0; i < r->group_count; i++) {
		char *longer =
			memory_format("%s%s%s", text, i ? separator : "", r->groups[i]->name.text);

		free(text);
		text = longer;
	}
	return text;
}

/* --- who is who --- */

static bool texts_have(const struct config_texts *list, const char *text)
{
	for (size_t i = 0; text && i < list->count; i++) {
		if (strcmp(list->items[i].text, text) == 0)
			return true;
	}
	return false;
}

static bool is_person(const struct config_person *person, const struct reviewer *who)
{
	const char *name = who->via == REVIEWER_SLACK ? person->slack.text : person->local.text;

	return name && who->name && strcmp(name, who->name) == 0;
}

const struct config_person *reviewer_person(const struct config *c, const struct reviewer *who)
{
	for (size_t i = 0; i < c->person_count; i++) {
		if (is_person(&c->people[i], who))
			return &c->people[i];
	}
	return NULL;
}

bool reviewer_is_member(const struct config_reviewer *group, const struct reviewer *who)
{
	if (who->via == REVIEWER_SLACK)
		return group->slack && texts_have(&group->slack->users, who->name);
	return texts_have(&group->local_users, who->name);
}

bool review_take_group(struct slice *groups, struct slice *ret)
{
	const uint8_t *end;
	size_t length;

	if (groups->length == 0)
		return false;
	end = memchr(groups->data, '\n', groups->length);
	length = end ? (size_t)(end - groups->data) : groups->length;
	*ret = slice_head(*groups, length);
	*groups = slice_from(*groups, length + 1);
	return true;
}

bool reviewer_is_member_of_any(
	const struct config *c, struct slice groups, const struct reviewer *who)
{
	struct slice name;

	while (review_take_group(&groups, &name)) {
		const struct config_reviewer *group = find_group(c, name);

		if (group && reviewer_is_member(group, who))
			return true;
	}
	return false;
}

static bool same_identity(const struct reviewer *a, const struct reviewer *b)
{
	return a->via == b->via && a->name && b->name && strcmp(a->name, b->name) == 0;
}

bool reviewer_is_same(const struct config *c, const struct reviewer *a, const struct reviewer *b)
{
	/* Each entry that knows both counts, should there be several. */
	for (size_t i = 0; i < c->person_count; i++) {
		if (is_person(&c->people[i], a) && is_person(&c->people[i], b))
			return true;
	}
	return same_identity(a, b);
}

static bool is_principal(const struct config_person *person, struct slice principal)
{
	for (size_t i = 0; i < person->principals.count; i++) {
		if (slice_equal_string(principal, person->principals.items[i].text))
			return true;
	}
	return false;
}

/* With several issuers to log in with, a person is ISSUER:SUB (monitor/logins.c): the name alone
 * counts, too. */
static struct slice without_issuer(const struct config *c, struct slice name)
{
	for (size_t i = 0; i < c->issuer_count; i++) {
		const char *issuer = c->issuers[i].name.text;
		size_t length = strlen(issuer);

		if (c->issuers[i].login && name.length > length &&
			memcmp(name.data, issuer, length) == 0 && name.data[length] == ':')
			return slice_from(name, length + 1);
	}
	return name;
}

bool reviewer_is_requester(const struct config *c, const struct reviewer *who,
	const struct reviewer *user, const struct requester_names *names)
{
	/* Each entry that knows this identity counts, should there be several. */
	for (size_t i = 0; i < c->person_count; i++) {
		const struct config_person *person = &c->people[i];

		if (is_person(person, who) &&
			(is_person(person, user) || is_principal(person, names->principal) ||
				is_principal(person, names->on_behalf_of) ||
				is_principal(person, without_issuer(c, names->on_behalf_of))))
			return true;
	}
	return who->via == REVIEWER_LOCAL && who->uid == user->uid && who->uid != 0;
}

void reviewer_describe(const struct config *c, const struct reviewer *who, char *ret, size_t size)
{
	const struct config_person *person = reviewer_person(c, who);
	const char *name = who->name ? who->name : "?";

	if (who->via == REVIEWER_LOCAL)
		snprintf(ret, size, "%s", name);
	else if (person && person->name.text)
		snprintf(ret, size, "%s (Slack %s)", person->name.text, name);
	else
		snprintf(ret, size, "Slack %s", name);
}
