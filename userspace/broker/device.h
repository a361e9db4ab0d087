/* SPDX-License-Identifier: Apache-2.0
 *
 * device: what an issuer answers to the device authorization grant (RFC 8628), and to the
 * refreshing of what came of it (RFC 6749 section 6). Parsing alone; a person is shown what comes
 * of it, and must not be shown anything but lines of plain text.
 */
#ifndef WAYLEAVE_BROKER_DEVICE_H
#define WAYLEAVE_BROKER_DEVICE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#define DEVICE_INTERVAL 5 /* seconds between questions where the issuer says nothing (3.2) */
#define DEVICE_INTERVAL_MOST 60
#define DEVICE_TIME_MOST 1800 /* seconds that a code is good for */
#define DEVICE_USER_CODE_MOST 64

/* Section 3.2. The texts are those of the answer. */
struct device_code {
	const char *code, *user_code;
	const char *address; /* https://, in a browser's own spelling */
	const char *whole; /* the same place with the code in it; NULL: there is none */
	uint64_t interval, good_for; /* seconds */
};

/* RFC 6749 section 5.1. */
struct device_token {
	const char *token;
	bool is_id_token; /* OpenID Connect Core section 2; else it is an access token */
	const char *refresh_token; /* NULL: there is none */
};

/* NULL; or why it is no such answer, and nothing is returned. */
const char *device_read_code(const cJSON *answer, struct device_code *ret);
const char *device_read_token(const cJSON *answer, struct device_token *ret);

#endif
