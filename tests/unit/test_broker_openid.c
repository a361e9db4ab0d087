/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "broker/openid.h"
#include "monitor/control.h"

static struct openid o;
static struct issuer issuer = {.owner = &o, .name = "idp", .login_client = "wayleave"};
static int monitor;

static void setup(void)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	o = (struct openid){.channel = pair[0], .issuers = &issuer, .issuer_count = 1};
	monitor = pair[1];
	list_init(&o.logins);
	list_init(&o.runs);
}

/* How many messages of that type there are. */
static size_t hear(uint32_t type)
{
	struct control_header header;
	struct buffer payload;
	size_t count = 0;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	while (control_receive(monitor, &header, &payload, NULL, NULL) == 0) {
		count += header.type == type;
		buffer_clear(&payload);
	}
	buffer_done(&payload);
	return count;
}

TestSuite(openid, .init = setup);

Test(openid, what_the_monitor_could_not_be_told_is_said_again)
{
	struct subject s = {.owner = &o,
		.issuer = &issuer,
		.client_id = "client",
		.ask_failures = 1,
		.ask_at = UINT64_MAX,
		.ask_problem = "it does not answer"};

	buffer_init(&s.reported, CONTROL_PAYLOAD_MOST);
	while (openid_tell(&o, BROKER_ISSUER, "x", 1, SLICE_EMPTY) == 0)
		;
	subject_check(&s);
	cr_expect_eq(hear(BROKER_PRINCIPAL), 0);
	cr_assert_neq(s.check_at, 0);
	sleep(2);
	subject_tick(&s, 0);
	cr_expect_eq(hear(BROKER_PRINCIPAL), 1);
	cr_expect_eq(s.check_at, 0);
	subject_check(&s);
	cr_expect_eq(hear(BROKER_PRINCIPAL), 0, "it is said once");
	buffer_done(&s.reported);
}

Test(openid, logins_are_bounded)
{
	size_t count = 0;

	for (uint64_t id = 1; id <= 2 * LIMIT_LOGINS + 3; id++)
		logins_begin(&o, &(struct broker_login){.id = id});
	list_for_each (position, &o.logins)
		count++;
	cr_expect_eq(count, 2 * LIMIT_LOGINS);
	cr_expect_eq(hear(BROKER_LOGIN_STATE), 3);
	logins_end(&o, 1);
	logins_begin(&o, &(struct broker_login){.id = 1000});
	cr_expect_eq(hear(BROKER_LOGIN_STATE), 0);
}
