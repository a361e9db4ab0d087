/* SPDX-License-Identifier: Apache-2.0
 *
 * callback: what Slack posts to us when somebody clicks or sends a dialog
 * (https://docs.slack.dev/interactivity/handling-user-interaction): a form with one field
 * "payload", which is JSON. Parsed after its signature was checked, and yet with no trust in it.
 */
#ifndef WAYLEAVE_BROKER_CALLBACK_H
#define WAYLEAVE_BROKER_CALLBACK_H

#include "base/slice.h"
#include "broker/messages.h"

#define CALLBACK_BODY_MOST                                                                         \
	(256u << 10) /* bytes; Slack sends the whole message back, percent-encoded */
#define CALLBACK_URL_SIZE 512
#define CALLBACK_TRIGGER_SIZE 256
#define CALLBACK_ACTION_SIZE 512

/* Names of ours, in the messages that we send and Slack gives back. */
#define CALLBACK_APPROVE "approve"
#define CALLBACK_APPROVE_TIME "approve_time"
#define CALLBACK_DENY "deny"
#define CALLBACK_REASON "reason" /* block and input of the dialog */

enum callback_kind {
	CALLBACK_OTHER, /* something that we have no use for */
	CALLBACK_CLICK, /* a button of a message */
	CALLBACK_DIALOG, /* the dialog that asks for a reason was sent */
};

struct callback {
	enum callback_kind kind;
	enum broker_verdict verdict;
	struct identifier review;
	uint64_t grant; /* as struct broker_decide has it */
	char user[BROKER_USER_SIZE];
	char reason[BROKER_REASON_MOST + 1]; /* of a dialog */
	char response_url[CALLBACK_URL_SIZE]; /* empty: none */
	char trigger[CALLBACK_TRIGGER_SIZE]; /* of a click: opens a dialog */
	char action[CALLBACK_ACTION_SIZE]; /* the same for all deliveries of one click or dialog */
};

/* -EBADMSG: not what Slack sends. */
int callback_parse(struct slice body, struct callback *ret);

/* What a dialog carries: the review and where to answer the click that opened it. For free(). */
char *callback_context(const struct identifier *review, const char *response_url);

#endif
