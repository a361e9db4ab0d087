/* SPDX-License-Identifier: Apache-2.0
 *
 * signature: whether Slack sent a callback (https://docs.slack.dev/authentication/
 * verifying-requests-from-slack): HMAC-SHA256 under the app's signing secret over version, time and
 * the raw body.
 */
#ifndef WAYLEAVE_BROKER_SIGNATURE_H
#define WAYLEAVE_BROKER_SIGNATURE_H

#include "base/slice.h"

#define SIGNATURE_AGE_MOST 300 /* seconds, to either side */

/* `timestamp` and `signature` are the headers X-Slack-Request-Timestamp and X-Slack-Signature;
 * `now` is wall time in seconds. -EACCES: not Slack's; -ETIME: too old or from the future; -EIO:
 * can't be computed. An empty secret signs nothing. */
int signature_check(struct slice secret, struct slice timestamp, struct slice signature,
	struct slice body, uint64_t now, uint64_t *ret_sent);

#endif
