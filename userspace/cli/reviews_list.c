/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/limits.h"
#include "cli/reviews.h"

int reviews_list_ask(struct control_client *client, struct reviews_list *l, struct error *e)
{
	const struct control_reviews request = {.seen = l->seen};
	struct control_reviews_seen seen;
	struct buffer answer;
	cJSON *changed = NULL;
	int r;

	buffer_init(&answer, CONTROL_PAYLOAD_MOST);
	r = reviews_ask(
		client, CONTROL_REVIEWS, slice_of(&request, sizeof(request)), &answer, &changed, e);
	if (r == 0 && buffer_length(&answer) != sizeof(seen))
		r = error_set(e, -EBADMSG, "the daemon's answer is malformed");
	if (r == 0)
		memcpy(&seen, buffer_slice(&answer).data, sizeof(seen));
	buffer_done(&answer);
	if (r < 0) {
		cJSON_Delete(changed);
		return r;
	}
	cJSON_Delete(l->changed);
	l->changed = changed;
	l->whole = seen.whole;
	l->seen = seen.generation;
	return 0;
}

int reviews_list_find(const cJSON *items, const char *id)
{
	const cJSON *item;
	int row = 0;

	cJSON_ArrayForEach(item, items)
	{
		const char *other = json_text_of(item, "id");

		if (id && other && strcmp(other, id) == 0)
			return row;
		row++;
	}
	return -1;
}

/* What is pending comes first; then what was asked later. The daemon writes times so that their
 * texts have their order. */
static bool comes_before(const cJSON *a, const cJSON *b)
{
	const char *x = json_text_of(a, "created"), *y = json_text_of(b, "created");

	if (review_is_pending(a) != review_is_pending(b))
		return review_is_pending(a);
	return x && y && strcmp(x, y) > 0;
}

/* Puts the review where it belongs, in the place of what was known of it. All of the list is moved:
 * cJSON up to 1.7.16 can't insert into the middle. */
static cJSON *put(cJSON *items, cJSON *review)
{
	int old = reviews_list_find(items, json_text_of(review, "id"));
	cJSON *list = cJSON_CreateArray(), *item;
	bool waits = true;

	if (old >= 0)
		cJSON_DeleteItemFromArray(items, old);
	while ((item = cJSON_DetachItemFromArray(items, 0))) {
		if (waits && comes_before(review, item)) {
			cJSON_AddItemToArray(list, review);
			waits = false;
		}
		cJSON_AddItemToArray(list, item);
	}
	if (waits)
		cJSON_AddItemToArray(list, review);
	cJSON_Delete(items);
	return list;
}

/* No longer than one that is asked for as a whole. */
static void cut(cJSON *items)
{
	const cJSON *item;
	int decided = 0, count = 0;

	cJSON_ArrayForEach(item, items)
	{
		decided += !review_is_pending(item);
		count++;
	}
	for (; decided > (int)LIMIT_REVIEWS_LISTED; decided--)
		cJSON_DeleteItemFromArray(items, --count);
}

void reviews_list_take(struct reviews_list *l)
{
	cJSON *changed = l->changed;

	if (!changed)
		return;
	l->changed = NULL;
	if (l->whole) {
		cJSON_Delete(l->items);
		l->items = changed;
		return;
	}
	/* The oldest change first. */
	for (int i = cJSON_GetArraySize(changed); i > 0; i--)
		l->items = put(l->items, cJSON_DetachItemFromArray(changed, i - 1));
	cJSON_Delete(changed);
	cut(l->items);
}

void reviews_list_free(struct reviews_list *l)
{
	cJSON_Delete(l->items);
	cJSON_Delete(l->changed);
}
