/* SPDX-License-Identifier: Apache-2.0
 *
 * clicks: what people do with the messages. A callback is checked: signed by Slack, now, and not
 * acted on before; then a decision is asked of the monitor, or a reason of the person. Whoever
 * clicked in vain is told why.
 */
#ifndef WAYLEAVE_BROKER_CLICKS_H
#define WAYLEAVE_BROKER_CLICKS_H

#include "broker/service.h"

/* For receiver_new(), with the struct service as its context. */
unsigned clicks_on_request(void *context, const struct receiver_request *request);
/* The monitor has answered: struct broker_decided and a sentence. */
void clicks_on_decided(struct service *s, struct slice payload);
/* Every second or so: gives up on answers that do not come. */
void clicks_expire(struct service *s);

#endif
