/* SPDX-License-Identifier: Apache-2.0
 *
 * body: what a request's content says at the paths that rules name (docs/policy.md). It is
 * read once into a flat list of its values; what two readers could read differently (a name that
 * stands twice, or in another case; a number that is not a plain integer; an object where a text is
 * looked for) leaves doubt about the paths that lead there.
 */
#ifndef WAYLEAVE_POLICY_BODY_H
#define WAYLEAVE_POLICY_BODY_H

#include "policy/rule.h"

/* Whether rules may have it: "$", then ".name", ".*", "[number]" and "[*]", the first a name. An
 * array as a whole is a batch, whose messages are judged one by one. */
bool body_path_is_valid(struct slice path);

struct body;

/* What `given` refers to outlives it. Never NULL. */
struct body *body_read(const struct action_body *given);
void body_free(struct body *b); /* takes NULL */
bool body_is_known(const struct body *b);
/* At least one: without content, one that says nothing. */
size_t body_message_count(const struct body *b);
/* What the rule's paths say of one message. Several values at one path: an allow wants all of them
 * to match, a deny or review any. RULE_FITS where the rule has no paths. */
enum rule_fit body_fit(struct body *b, size_t message, const struct policy_rule *r);
/* Whether the message says what the rule asks for and nothing else there, as an allow wants it,
 * whatever the rule's kind. */
bool body_fits_surely(struct body *b, size_t message, const struct policy_rule *r);

/* body_read.c: the values of a body, in the order in which they stand. */
struct body_value {
	struct slice name; /* of an object's member, as it stands in the text */
	struct slice text; /* of a string, its inside; of a number or word, itself */
	uint8_t kind; /* enum json_token */
	uint32_t next; /* the one behind it and all in it */
};

struct body_values {
	struct body_value *items;
	size_t count, room;
	uint8_t *decoded; /* what a form's slices are of */
};

/* False: it is not what it claims to be, or could be read in several ways. */
bool body_values_of_json(struct body_values *v, struct slice text);
/* As an object with a string for each field. */
bool body_values_of_form(struct body_values *v, struct slice text);

#endif
