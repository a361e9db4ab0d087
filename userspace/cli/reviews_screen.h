/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of `reviews --watch` at a terminal share: what it shows, and what keys are about.
 */
#ifndef WAYLEAVE_CLI_REVIEWS_SCREEN_H
#define WAYLEAVE_CLI_REVIEWS_SCREEN_H

#include "cli/reviews.h"

#define REASON_MOST 500 /* bytes */
#define WATCH_TEXT_MOST (128u << 20) /* bytes of a review as text */

enum mode { MODE_LIST, MODE_WHOLE, MODE_REASON };

struct watch {
	const struct cli *cli;
	struct control_client client; /* fd -1: not connected */
	struct reviews_list list;
	int marked, top; /* rows of the list */
	uint64_t marked_since; /* monotonic: when the list, not a key, put the mark there */
	int down; /* the key that decided last, while it may still be down; 0: none */
	uint64_t down_at, down_for; /* monotonic: when it came last, and what may lie between two */
	enum mode mode, mode_behind; /* the reason is asked above another one */
	char shown_id[32]; /* MODE_WHOLE */
	struct buffer whole; /* its text */
	double whole_grant; /* seconds for which that says it may be approved; 0: this action alone
			     */
	size_t scroll;
	char reason[REASON_MOST + 4]; /* the last character may begin within */
	size_t reason_length;
	char message[600]; /* how the last decision went */
	struct review_layout layout;
	size_t height;
};

/* NULL: the list is empty. */
const cJSON *watch_marked(const struct watch *w);
/* The id of the review that the keys are about now; NULL: none. */
const char *watch_subject(const struct watch *w);
/* Whether a review is shown as a whole, perhaps with a question below it. */
bool watch_reads_whole(const struct watch *w);

/* --- reviews_draw.c --- */

/* A frame, for the size that the terminal has now. */
void watch_draw(struct watch *w);

#endif
