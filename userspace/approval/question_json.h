/* SPDX-License-Identifier: Apache-2.0
 *
 * question_json: a question as JSON, for reviewers.
 */
#ifndef WAYLEAVE_APPROVAL_QUESTION_JSON_H
#define WAYLEAVE_APPROVAL_QUESTION_JSON_H

#include "approval/question.h"
#include "base/json.h"

/* What lists show: the beginning of the text, and of long lists. Text of an object, to be freed;
 * NULL: no memory. */
char *question_json_short(const struct question *q);
/* All of it, as an object that is the caller's. */
cJSON *question_json_whole(const struct question *q);
/* What it is about, added to `object`: agent, principal, resource, rule, rules, operations,
 * objects. At most so many of each list; 0: all. */
void question_json_add_scope(cJSON *object, const struct scope_of_action *scope, size_t most);

#endif
