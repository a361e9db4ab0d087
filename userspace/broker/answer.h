/* SPDX-License-Identifier: Apache-2.0
 *
 * answer: what Slack says to a request of ours.
 */
#ifndef WAYLEAVE_BROKER_ANSWER_H
#define WAYLEAVE_BROKER_ANSWER_H

#include "broker/client.h"
#include "broker/messages.h"

enum answer_kind {
	ANSWER_GOOD,
	ANSWER_FAILED, /* there is none, or it was Slack's own fault: soon again */
	ANSWER_LIMITED, /* too many requests: nothing before `retry_after` */
	ANSWER_REFUSED, /* it will be refused until somebody changes something */
	ANSWER_GONE, /* the message that was to be changed is not there */
};

struct answer {
	enum answer_kind kind;
	uint64_t retry_after; /* seconds */
	char time[BROKER_CHANNEL_SIZE]; /* Slack's name of the message; may be empty */
	char why[256]; /* for people; empty where it is good */
};

/* `api`: a method of Slack's API, which answers with JSON; else a webhook, which says "ok". */
void answer_parse(const struct client_answer *from, bool api, struct answer *ret);

#endif
