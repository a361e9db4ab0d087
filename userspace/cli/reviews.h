/* SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs "reviews" and "grants" share: asking the daemon, and reviews as text.
 */
#ifndef WAYLEAVE_CLI_REVIEWS_H
#define WAYLEAVE_CLI_REVIEWS_H

#include "cli/recordings.h"
#include "monitor/control.h"

/* --- reviews_ask.c: what the daemon is asked --- */

/* One request over an open connection. The JSON that came in a descriptor is the caller's
 * (cJSON_Delete()); NULL where there was none. `ret_payload` may be NULL. */
int reviews_ask(struct control_client *client, enum control_request type, struct slice request,
	struct buffer *ret_payload, cJSON **ret, struct error *e);
/* The same over a connection of its own. */
int reviews_ask_once(const struct cli *cli, enum control_request type, struct slice request,
	cJSON **ret, struct error *e);
/* Asks for a list, and prints it: as JSON, or as a table, a row for each. An exit status. */
int reviews_print_all(const struct cli *cli, const char *verb, enum control_request type,
	const char *heading, void (*print_row)(const cJSON *item));
/* Asks for something to be done with what has that name, and says so: "NAME: DONE". An exit status.
 */
int reviews_tell(const struct cli *cli, const char *verb, enum control_request type,
	const char *name, const char *done);
/* `grant` as in struct control_decide. 0: decided, 1: others must approve too. */
int reviews_decide(struct control_client *client, const char *id, bool approve, uint64_t grant,
	const char *reason, struct error *e);

/* --- reviews_list.c: the list as it is followed --- */

/* Zeroed memory is one that nothing is known of yet. */
struct reviews_list {
	cJSON *items; /* what is pending, then what was decided, the newest first; NULL: not read */
	uint64_t seen; /* of the daemon's generations; 0: none */
	cJSON *changed; /* what is to be put into it, the last change first; NULL: nothing */
	bool whole; /* `changed` is a list of its own */
};

/* Asks what changed since the last time. */
int reviews_list_ask(struct control_client *client, struct reviews_list *l, struct error *e);
/* Puts what changed into the list. */
void reviews_list_take(struct reviews_list *l);
void reviews_list_free(struct reviews_list *l);
/* The row of that review; -1: it is not there. */
int reviews_list_find(const cJSON *items, const char *id);

/* --- reviews_text.c: reviews as text for a terminal; nothing in it drives one, but what
 * `colours` asks for --- */

struct review_layout {
	size_t width; /* columns of a line; 0: as long as it gets */
	bool colours;
	uint64_t now; /* wall clock, nanoseconds */
};

/* One line each, without a newline. */
void review_text_head(const struct review_layout *l, struct buffer *ret);
void review_text_row(const cJSON *review, const struct review_layout *l, struct buffer *ret);
/* All of it, in lines. */
void review_text_whole(const cJSON *review, const struct review_layout *l, struct buffer *ret);
bool review_is_pending(const cJSON *review);
/* Nanoseconds; 0: none. */
uint64_t review_time_of(const cJSON *review, const char *name);
/* "14m48s" */
void review_text_duration(uint64_t nanoseconds, char *ret, size_t size);
/* Columns that the byte of a visible text takes at most. */
size_t review_text_columns(uint8_t byte);

/* --- reviews_watch.c, reviews_screen.c: exit statuses --- */

/* A line per change, or an object with --json. */
int reviews_watch_lines(const struct cli *cli);
/* The terminal, live. */
int reviews_watch_screen(const struct cli *cli);

#endif
