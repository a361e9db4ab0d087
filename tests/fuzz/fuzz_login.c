/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_login: answers of an issuer to somebody who logs in, one behind the other, each with a NUL
 * behind it. The first byte of one says what it is: an answer as it is, with one of several status
 * codes; none; or the claims of a token that is signed and put into an answer, so that what stands
 * behind the signature is reached.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "monitor/control.h"
#include "tests/harness/issuer_client.h"

#define WEEK (7ull * 24 * 3600)

static void check(bool good)
{
	if (!good)
		abort();
}

/* --- what the monitor may be told --- */

static bool is_plain(struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < ' ' || text.data[i] == 0x7f)
			return false;
	}
	return true;
}

static bool is_ascii(struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
			return false;
	}
	return true;
}

static void check_state(struct slice payload)
{
	struct broker_login_state head;
	struct slice texts[3], rest;

	check(payload.length >= sizeof(head));
	memcpy(&head, payload.data, sizeof(head));
	rest = slice_from(payload, sizeof(head));
	for (size_t i = 0; i < 3; i++) {
		check(head.lengths[i] <= LIMIT_TOKEN_NAME && head.lengths[i] <= rest.length);
		texts[i] = slice_head(rest, head.lengths[i]);
		rest = slice_from(rest, head.lengths[i]);
		check(is_plain(texts[i]));
	}
	check(rest.length == 0 && texts[0].length > 0);
	if (head.stage == BROKER_LOGIN_WAITING) {
		check(is_ascii(texts[0]) && is_ascii(texts[1]) && is_ascii(texts[2]));
		check(slice_starts_with(texts[1], slice_from_string("https://")));
	} else if (head.stage == BROKER_LOGIN_KNOWN) {
		check(head.until <= clock_wall() + 5 * WEEK * NANOSECONDS_PER_SECOND);
	} else {
		check(head.stage == BROKER_LOGIN_FAILED);
	}
}

static void hear(void)
{
	struct control_header header;
	struct buffer payload;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	while (control_receive(monitor, &header, &payload, NULL, NULL) == 0) {
		if (header.type == BROKER_LOGIN_STATE)
			check_state(buffer_slice(&payload));
		buffer_clear(&payload);
	}
	buffer_done(&payload);
}

/* --- what it answers --- */

static void answer_signed(struct slice claims, const char *name)
{
	char *text = memory_copy_text(claims.data, claims.length), *token = issuer_sign(text),
	     *body = memory_format("{\"%s\":\"%s\",\"refresh_token\":\"r\"}", name, token);

	issuer_answer(&(struct client_answer){.status = 200, .body = slice_from_string(body)});
	free(body);
	free(token);
	free(text);
}

static void answer(struct slice input)
{
	static const unsigned statuses[] = {200, 200, 200, 400, 302};
	unsigned kind = input.length ? input.data[0] % 8 : 0;
	struct slice rest = slice_from(input, input.length ? 1 : 0);

	if (kind < ARRAY_SIZE(statuses))
		issuer_answer(&(struct client_answer){.status = statuses[kind], .body = rest});
	else if (kind == 5)
		issuer_answer(&(struct client_answer){.problem = "there is none"});
	else
		answer_signed(rest, kind == 6 ? "access_token" : "id_token");
}

/* The time in which the next question is asked, or the next token. */
static bool is_asked(void)
{
	const uint64_t steps[] = {0, 64, 4 * WEEK};

	for (size_t i = 0; i < ARRAY_SIZE(steps) && !issuer_asked.url; i++) {
		logins_tick(&o, clock_monotonic() + steps[i] * NANOSECONDS_PER_SECOND);
		hear();
	}
	return issuer_asked.url;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size);

	if (!issuer_key)
		issuer_setup();
	logins_begin(&o, &(struct broker_login){.id = 1});
	while (rest.length && is_asked()) {
		const uint8_t *end = memchr(rest.data, 0, rest.length);
		struct slice one = slice_head(rest, end ? (size_t)(end - rest.data) : rest.length);

		check(issuer_asked.https_alone);
		answer(one);
		hear();
		rest = slice_from(rest, one.length + (end != NULL));
	}
	logins_end(&o, 1);
	if (issuer_asked.url)
		issuer_answer(&(struct client_answer){.problem = "it is over"});
	hear();
	check(list_is_empty(&o.logins));
	return 0;
}
