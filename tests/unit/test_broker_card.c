/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "broker/card.h"

static char *make(const char *json, const struct card_options *options,
	cJSON *(*build)(const cJSON *review, const struct card_options *o))
{
	cJSON *review = cJSON_Parse(json);
	cJSON *message = build(review, options);
	char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(message, "blocks"));

	cr_assert_not_null(review);
	cJSON_Delete(review);
	cJSON_Delete(message);
	return text;
}

static char *blocks_of(const char *json)
{
	return make(
		json, &(struct card_options){.host = "runner-1", .interactive = true}, card_build);
}

Test(broker_card, whom_it_is_for)
{
	char *text = blocks_of(
		"{\"id\":\"r-7Q2K\",\"agent\":\"ci\",\"principal\":\"bot@acme.com\","
		"\"principal_groups\":[\"ai-agents\",\"readers\"],\"text\":\"select 1\"}");
	const char *principal = strstr(text, "bot@acme.com"), *label = strstr(text, "Its groups");

	cr_assert(principal && label && principal < label, "%s", text);
	cr_assert(strstr(label, "ai-agents") && strstr(label, "readers"), "%s", text);
	free(text);
}

Test(broker_card, without_a_principal_nothing_is_said_of_groups)
{
	char *text = blocks_of("{\"id\":\"r-7Q2K\",\"agent\":\"ci\",\"principal\":\"\","
			       "\"principal_groups\":[],\"text\":\"select 1\"}");

	cr_assert_null(strstr(text, "groups"), "%s", text);
	free(text);
}

Test(broker_card, a_missing_where_is_said)
{
	char *text = blocks_of(
		"{\"id\":\"r-7Q2K\",\"agent\":\"ci\",\"text\":\"delete from orders\",\"pairs\":["
		"{\"operation\":\"delete\",\"object\":\"public.orders\",\"everything\":true},"
		"{\"operation\":\"update\",\"object\":\"public.other\",\"everything\":false}]}");
	const char *label = strstr(text, "No WHERE, all rows");

	cr_assert(label && strstr(label, "delete public.orders"), "%s", text);
	cr_assert_null(strstr(text, "update public.other"), "%s", text);
	free(text);
	text = blocks_of(
		"{\"id\":\"r-7Q2K\",\"agent\":\"ci\",\"text\":\"select 1\",\"pairs\":["
		"{\"operation\":\"select\",\"object\":\"public.orders\",\"everything\":false}]}");
	cr_assert_null(strstr(text, "WHERE"), "%s", text);
	free(text);
}

/* A patch is read as it was sent, not as the first bytes of a parameter. */
Test(broker_card, the_body_of_a_request_is_shown)
{
	char *text = blocks_of(
		"{\"id\":\"r-7Q2K\",\"agent\":\"ci\",\"protocol\":\"kubernetes\",\"text\":\"PATCH "
		"https://kube/"
		"api\",\"parameters_total\":1,\"parameters\":[{\"length\":180,\"text\":\""
		"kind: ConfigMap\\ndata:\\n"
		"  a: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\n"
		"  b: "
		"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\\n\"}]"
		"}");

	cr_expect(strstr(text, "Body"), "%s", text);
	cr_expect(strstr(text, "kind: ConfigMap\\ndata:\\n  a: xxx"), "%s", text);
	cr_expect(strstr(text, "  b: yyy") && !strstr(text, "CUT"), "%s", text);
	cr_expect_null(strstr(text, "$1"), "%s", text);
	free(text);
	/* SQL has parameters. */
	text = blocks_of(
		"{\"id\":\"r-7Q2K\",\"agent\":\"ci\",\"protocol\":\"postgres\",\"text\":\"select"
		" $1\",\"parameters_total\":1,\"parameters\":[{\"length\":1,\"text\":\"x\"}]}");
	cr_expect(strstr(text, "$1 = x"), "%s", text);
	free(text);
}

/* Many of one kind wear reviewers down: they see it. */
Test(broker_card, how_many_like_it_were_approved_lately)
{
	char *text = blocks_of("{\"id\":\"r-7Q2K\",\"text\":\"select 1\",\"approved_lately\":12}");
	const char *label = strstr(text, "Like it, in 24 hours");

	cr_assert(label && strstr(label, "approved 12 times"), "%s", text);
	free(text);
	text = blocks_of("{\"id\":\"r-7Q2K\",\"text\":\"select 1\",\"approved_lately\":1}");
	cr_assert(strstr(text, "approved 1 time\""), "%s", text);
	free(text);
	text = blocks_of("{\"id\":\"r-7Q2K\",\"text\":\"select 1\",\"approved_lately\":0}");
	cr_assert_null(strstr(text, "Like it"), "%s", text);
	free(text);
}

#define APPROVED                                                                                   \
	"{\"id\":\"r-7Q2K\",\"agent\":\"ci\",\"resource\":\"orders\",\"state\":\"approved\","      \
	"\"text\":\"select 1\",\"decided_by\":\"ann\",\"decided\":\"2026-01-31T12:00:00.000Z\""

static void expect_grant(
	const char *json, const char *const expected[], const char *absent, bool whole)
{
	const struct card_options options = {.host = "runner-1", .closed = true};
	char *text = make(json, &options, whole ? card_build : card_build_outcome);
	const char *rest = text;

	for (size_t i = 0; expected[i]; i++) {
		rest = strstr(rest, expected[i]);
		cr_assert_not_null(rest, "%s is not in %s", expected[i], text);
	}
	cr_assert_null(strstr(text, absent), "%s", text);
	free(text);
}

/* In the message, and in the one that follows up where that can't be changed. */
Test(broker_card, what_came_of_it)
{
	for (int whole = 0; whole < 2; whole++) {
		expect_grant(APPROVED ",\"grant\":null}", (const char *[]){"approved", "ann", NULL},
			"Grant", whole);
		expect_grant(APPROVED ",\"grant\":\"g-81TA\",\"grant_revoked_by\":null,"
				      "\"grant_end\":\"2026-01-31T12:30:00.000Z\"}",
			(const char *[]){
				"approved", "Grant ", "g-81TA", " until ", "1769862600", NULL},
			"revoked", whole);
		expect_grant(APPROVED ",\"grant\":\"g-81TA\",\"grant_revoked_by\":\"bob\","
				      "\"grant_end\":\"2026-01-31T12:10:00.000Z\"}",
			(const char *[]){"approved", "Grant ", "g-81TA", " revoked by ", "bob",
				"1769861400", NULL},
			"until", whole);
	}
}
