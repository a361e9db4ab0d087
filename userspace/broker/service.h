/* SPDX-License-Identifier: Apache-2.0
 *
 * service: the broker's work for Slack. Reviews that the monitor wants shown go to the outbox;
 * callbacks are checked, and what somebody clicked goes to the monitor, which alone decides whether
 * it counts.
 */
#ifndef WAYLEAVE_BROKER_SERVICE_H
#define WAYLEAVE_BROKER_SERVICE_H

#include "base/error.h"
#include "broker/receiver.h"
#include "broker/outbox.h"
#include "broker/replay.h"

#define SERVICE_ASKED_MOST 256 /* decisions that the monitor has not answered */
#define SERVICE_ASKED_TIME 10 /* seconds for which an answer is waited for */

struct service {
	const char *texts[BROKER_TEXT_COUNT]; /* the caller's */
	int channel;
	char host[256];
	struct client *client;
	struct outbox outbox;
	struct receiver *receiver; /* NULL: there is none */
	struct replay replay;
	uint64_t started; /* monotonic: what was signed before is not for this process */
	unsigned refused; /* callbacks, since that was logged */
	uint64_t refused_log_again; /* monotonic */
	uint64_t last_id;
	struct list asked;
	unsigned asked_count;
	struct broker_state reported;
	char reported_why[BROKER_SENTENCE_MOST];
};

/* Connects nothing yet. `texts` and the descriptors of `start` are used as long as the service. */
int service_init(struct service *s, const struct broker_start *start,
	const char *const texts[BROKER_TEXT_COUNT], struct error *e);
/* To the monitor; -EAGAIN: it has not read what was sent before. */
int service_tell(struct service *s, enum broker_message type, const void *head, size_t length,
	const char *text);
/* Waits for what comes next, at most a second, and handles it. -EPIPE: the monitor is gone. */
int service_turn(struct service *s);

#endif
