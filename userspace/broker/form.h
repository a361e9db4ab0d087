/* SPDX-License-Identifier: Apache-2.0
 *
 * form: what a client of OAuth 2.0 sends to an issuer, and the errors that it gets (RFC 6749).
 */
#ifndef WAYLEAVE_BROKER_FORM_H
#define WAYLEAVE_BROKER_FORM_H

#include <cjson/cJSON.h>

#include "base/buffer.h"
#include "broker/client.h"

#define FORM_MOST (64u << 10) /* bytes */
#define FORM_TYPE "application/x-www-form-urlencoded"

/* Behind what is there, escaped. */
void form_put(struct buffer *b, const char *name, const char *value);
/* The text, for free(); wipes the buffer. */
char *form_take(struct buffer *b);
/* The Authorization of a client with a secret (section 2.3.1), for free(). */
char *form_authorization(const char *client_id, const char *secret);
/* Wipes and frees it; takes NULL. */
void form_forget(char *text);
/* The object of an answer with status 200, which the caller frees; else NULL, and why. `ret_code`
 * (64 bytes) gets the code of an error (section 5.2), made of a few characters; or "". */
cJSON *form_read_answer(
	const struct client_answer *answer, char *ret_code, char *ret_why, size_t why_size);

#endif
