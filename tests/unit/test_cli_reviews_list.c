/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "cli/reviews.h"

/* "ID STATE SECOND …", the last change first, as the daemon gives it. */
static void take(struct reviews_list *l, bool whole, const char *text)
{
	char id[16], state[16], created[64];
	int second, length;

	l->changed = cJSON_CreateArray();
	l->whole = whole;
	for (; sscanf(text, " %15s %15s %d%n", id, state, &second, &length) == 3; text += length) {
		cJSON *review = cJSON_CreateObject();

		snprintf(created, sizeof(created), "2026-01-31T12:00:%02d.000Z", second);
		cJSON_AddStringToObject(review, "id", id);
		cJSON_AddStringToObject(review, "state", state);
		cJSON_AddStringToObject(review, "created", created);
		cJSON_AddItemToArray(l->changed, review);
	}
	reviews_list_take(l);
	cr_assert_null(l->changed);
}

static void expect(const struct reviews_list *l, const char *expected)
{
	char *text = memory_copy_string("");
	const cJSON *item;

	cJSON_ArrayForEach(item, l->items)
	{
		char *longer = memory_format("%s%s%s:%s", text, *text ? " " : "",
			json_text_of(item, "id"), json_text_of(item, "state"));

		free(text);
		text = longer;
	}
	cr_assert_str_eq(text, expected);
	free(text);
}

Test(reviews_list, is_what_the_whole_would_be)
{
	struct reviews_list l = {0};

	take(&l, true, "b pending 2 a pending 1 z denied 0");
	expect(&l, "b:pending a:pending z:denied");
	take(&l, false, "c pending 3");
	expect(&l, "c:pending b:pending a:pending z:denied");
	/* What is decided stands by when it was asked. */
	take(&l, false, "d pending 4 a approved 1 c denied 3");
	expect(&l, "d:pending b:pending c:denied a:approved z:denied");
	take(&l, false, "d cancelled 4 b cancelled 2");
	expect(&l, "d:cancelled c:denied b:cancelled a:approved z:denied");
	cr_assert_eq(reviews_list_find(l.items, "b"), 2);
	cr_assert_eq(reviews_list_find(l.items, "y"), -1);
	cr_assert_eq(reviews_list_find(l.items, NULL), -1);
	reviews_list_take(&l);
	expect(&l, "d:cancelled c:denied b:cancelled a:approved z:denied");
	take(&l, true, "e pending 5");
	expect(&l, "e:pending");
	reviews_list_free(&l);
}

Test(reviews_list, does_not_grow_without_end)
{
	struct reviews_list l = {0};
	char text[64];

	take(&l, true, "p pending 1");
	for (unsigned i = 0; i < LIMIT_REVIEWS_LISTED + 10; i++) {
		snprintf(text, sizeof(text), "r%u denied %u", i, i % 60);
		take(&l, false, text);
	}
	cr_assert_eq(cJSON_GetArraySize(l.items), (int)LIMIT_REVIEWS_LISTED + 1);
	cr_assert_eq(reviews_list_find(l.items, "p"), 0);
	reviews_list_free(&l);
}
