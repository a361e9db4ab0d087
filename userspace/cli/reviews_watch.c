/* SPDX-License-Identifier: Apache-2.0
 *
 * reviews --watch for programs and files: what is pending, then a line for each change.
 */
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/reviews.h"

#define POLL_MILLISECONDS 200

/* Whether `review` is in the list of before, and looks the same there. */
static bool stands_in(const cJSON *review, const cJSON *before)
{
	static const char *const parts[] = {"state", "waiters", "groups", "decided_by"};
	int row = reviews_list_find(before, json_text_of(review, "id"));
	const cJSON *old = row < 0 ? NULL : cJSON_GetArrayItem(before, row);
	bool same = old != NULL;

	for (size_t i = 0; old && i < ARRAY_SIZE(parts); i++)
		same &= cJSON_Compare(cJSON_GetObjectItemCaseSensitive(review, parts[i]),
			cJSON_GetObjectItemCaseSensitive(old, parts[i]), true);
	return same;
}

static void print_change(const struct cli *cli, const cJSON *review)
{
	const struct review_layout l = {.now = clock_wall()};
	struct buffer b;

	if (cli->json) {
		cli_json_print_line(cJSON_Duplicate(review, true));
	} else {
		buffer_init(&b, 1u << 20);
		review_text_row(review, &l, &b);
		printf("%.*s\n", SLICE_PRINT(buffer_slice(&b)));
		buffer_done(&b);
	}
	fflush(stdout);
}

/* `before` NULL: the beginning, where only what is pending is told. Oldest first. */
static void print_changes(const struct cli *cli, const cJSON *now, const cJSON *before)
{
	for (int i = cJSON_GetArraySize(now); i > 0; i--) {
		const cJSON *review = cJSON_GetArrayItem(now, i - 1);

		if (before ? !stands_in(review, before) : review_is_pending(review))
			print_change(cli, review);
	}
}

int reviews_watch_lines(const struct cli *cli)
{
	const struct timespec pause = {.tv_nsec = POLL_MILLISECONDS * NANOSECONDS_PER_MILLISECOND};
	struct control_client client;
	struct reviews_list list = {0};
	struct error e;
	int r = control_open(&client, cli->socket, &e);

	if (r < 0)
		return cli_fail("reviews", CLI_REFUSED, "%s", e.text);
	while (reviews_list_ask(&client, &list, &e) == 0) {
		print_changes(cli, list.changed, list.items);
		reviews_list_take(&list);
		nanosleep(&pause, NULL);
	}
	reviews_list_free(&list);
	control_close(&client);
	return cli_fail("reviews", CLI_REFUSED, "%s", e.text);
}
