/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker/replay.h"
#include "broker/signature.h"

/* The worked example of Slack's documentation ("Verifying requests from Slack"). */
#define SECRET "8f742231b10e8888abcd99yyyzzz85a5"
#define SENT 1531420618
#define TIMESTAMP "1531420618"
#define SIGNATURE "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
#define BODY                                                                                       \
	"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&"                \
	"channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&"         \
	"command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2F"           \
	"commands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"                          \
	"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"

static int check(const char *secret, const char *timestamp, const char *signature,
	struct slice body, uint64_t now)
{
	uint64_t sent;

	return signature_check(slice_from_string(secret), slice_from_string(timestamp),
		slice_from_string(signature), body, now, &sent);
}

static const struct slice body = {(const uint8_t *)BODY, sizeof(BODY) - 1};

Test(broker_signature, worked_example)
{
	uint64_t sent = 0;

	cr_assert_eq(signature_check(slice_from_string(SECRET), slice_from_string(TIMESTAMP),
			     slice_from_string(SIGNATURE), body, SENT, &sent),
		0);
	cr_assert_eq(sent, SENT);
}

Test(broker_signature, time)
{
	cr_assert_eq(check(SECRET, TIMESTAMP, SIGNATURE, body, SENT + 300), 0);
	cr_assert_eq(check(SECRET, TIMESTAMP, SIGNATURE, body, SENT - 300), 0);
	cr_assert_eq(check(SECRET, TIMESTAMP, SIGNATURE, body, SENT + 301), -ETIME);
	cr_assert_eq(check(SECRET, TIMESTAMP, SIGNATURE, body, SENT - 301), -ETIME);
	cr_assert_eq(check(SECRET, TIMESTAMP, SIGNATURE, body, 0), -ETIME);
	cr_assert_eq(check(SECRET, TIMESTAMP, SIGNATURE, body, UINT64_MAX / 2), -ETIME);
}

Test(broker_signature, every_bit_counts)
{
	char changed[sizeof(BODY)], signature[] = SIGNATURE;

	for (size_t i = 0; i < body.length; i++) {
		memcpy(changed, BODY, sizeof(BODY));
		changed[i] ^= 1;
		cr_assert_eq(
			check(SECRET, TIMESTAMP, SIGNATURE, slice_of(changed, body.length), SENT),
			-EACCES);
	}
	for (size_t i = 3; i < sizeof(signature) - 1; i++) {
		char kept = signature[i];

		signature[i] = kept == '0' ? '1' : '0';
		cr_assert_eq(check(SECRET, TIMESTAMP, signature, body, SENT), -EACCES);
		signature[i] = kept;
	}
}

Test(broker_signature, forms)
{
	static const char *const signatures[] = {"", "v0", "v0=", "v1" SIGNATURE, SIGNATURE "0",
		SIGNATURE "\n", " " SIGNATURE,
		"a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"};
	static const char *const timestamps[] = {
		"", "1531420618 ", "+1531420618", "01531420618", "1531420618.0", "-1", "1e9"};

	for (size_t i = 0; i < ARRAY_SIZE(signatures); i++)
		cr_assert_eq(check(SECRET, TIMESTAMP, signatures[i], body, SENT), -EACCES);
	for (size_t i = 0; i < ARRAY_SIZE(timestamps); i++)
		cr_assert_eq(check(SECRET, timestamps[i], SIGNATURE, body, SENT), -EACCES);
	cr_assert_eq(check("another secret", TIMESTAMP, SIGNATURE, body, SENT), -EACCES);
	cr_assert_eq(check("", TIMESTAMP, SIGNATURE, body, SENT), -EACCES);
}

static int add(struct replay *r, unsigned number, uint64_t now)
{
	return replay_add(r, slice_of(&number, sizeof(number)), now, 100);
}

/* The clock may be set while the process runs, in either direction. */
Test(broker_replay, since_it_began)
{
	const uint64_t s = NANOSECONDS_PER_SECOND, began = 50 * s, half = s / 2;

	cr_assert(replay_is_since(began, 1000, 1000 * s + half, began));
	cr_assert(replay_is_since(began, 1000, 1009 * s + half, began + 9 * s));
	cr_assert_not(replay_is_since(began, 999, 1009 * s + half, began + 9 * s));
	/* Set forward by an hour and a half, and back by as much as a few minutes. */
	cr_assert(replay_is_since(began, 6409, 6409 * s, began + 9 * s));
	cr_assert_not(replay_is_since(began, 6399, 6409 * s, began + 9 * s));
	cr_assert(replay_is_since(began, 705, 709 * s, began + 9 * s));
}

Test(broker_replay, once)
{
	struct replay *r = memory_new(sizeof(*r));

	cr_assert_eq(add(r, 1, 1000), 0);
	cr_assert_eq(add(r, 1, 1000), -EALREADY);
	cr_assert_eq(add(r, 2, 1001), 0);
	cr_assert_eq(add(r, 1, 1099), -EALREADY);
	cr_assert_eq(add(r, 1, 1100), 0);
	free(r);
}

/* What can't be remembered is refused, rather than forgetting what could then be played again. */
Test(broker_replay, full)
{
	struct replay *r = memory_new(sizeof(*r));

	for (unsigned i = 0; i < REPLAY_ENTRIES; i++)
		cr_assert_eq(add(r, i, 1000 + i / 1000), 0);
	cr_assert_eq(add(r, REPLAY_ENTRIES, 1010), -ENOSPC);
	cr_assert_eq(add(r, 0, 1010), -EALREADY);
	cr_assert_eq(add(r, REPLAY_ENTRIES, 1100), 0);
	cr_assert_eq(add(r, 5000, 1101), -EALREADY);
	free(r);
}
