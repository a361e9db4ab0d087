/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "monitor/monitor.h"

/* Beside the tests is no wayleave-broker: it does not run. */
static struct config_login login = {.client_id = {.text = "wayleave"}};
static struct config_issuer issuers[] = {
	{.name = {.text = "first"}, .url = {.text = "https://a"}, .login = &login},
	{.name = {.text = "second"}, .url = {.text = "https://b"}, .login = &login},
};
static struct config both = {.issuers = issuers, .issuer_count = 2},
		     one = {.issuers = issuers, .issuer_count = 1};
static struct monitor *m;
static const struct asker asker = {.uid = 1000};

static void setup(void)
{
	m = memory_new(sizeof(*m));
	m->config = &both;
	broker_process_init(&m->openid, &m->loop);
}

static int connect_broker(void)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	m->openid.pid = getpid();
	m->openid.channel = pair[0];
	return pair[1];
}

static void teardown(void)
{
	logins_close(m);
}

static void add_login(size_t issuer, uint32_t stage)
{
	logins_close(m);
	m->logins.items = memory_resize_array(NULL, 1, sizeof(*m->logins.items));
	m->logins.count = 1;
	m->logins.items[0] = (struct person_login){.uid = 1000,
		.id = 1,
		.issuer = issuer,
		.stage = stage,
		.until = UINT64_MAX,
		.ends = UINT64_MAX,
		.asked_at = clock_monotonic()};
}

static int begin(void)
{
	struct answer answer = {.made = -1};

	return logins_on_begin(m, &asker, slice_from_string("second"), &answer);
}

static int end(void)
{
	struct answer answer = {.made = -1};

	return logins_on_end(m, &asker, SLICE_EMPTY, &answer);
}

TestSuite(identity, .init = setup, .fini = teardown);

Test(identity, a_user_has_one_login_that_begins)
{
	int other = connect_broker();
	char message[256];

	cr_expect_eq(begin(), 0);
	cr_expect_eq(begin(), -EAGAIN);
	cr_expect_eq(end(), -EAGAIN);
	cr_expect_eq(m->logins.count, 1);
	cr_expect_gt(recv(other, message, sizeof(message), 0), 0);
	cr_expect_lt(recv(other, message, sizeof(message), 0), 0, "the broker was told of more");
	m->logins.items[0].stage = BROKER_LOGIN_WAITING;
	cr_expect_eq(begin(), 0);
	cr_expect_eq(m->logins.count, 1);
	cr_expect_eq(m->logins.items[0].stage, BROKER_LOGIN_ASKED);
}

Test(identity, a_login_begins_where_the_broker_can_be_told_alone)
{
	m->openid.pid = getpid();
	cr_expect_lt(begin(), 0);
	cr_expect_eq(m->logins.count, 0);
}

Test(identity, other_issuers_end_logins_also_while_no_broker_runs)
{
	struct error e;

	cr_assert_eq(openid_configure(m, &e), 0, "%s", e.text);
	cr_assert_eq(m->openid.pid, 0);
	add_login(1, BROKER_LOGIN_KNOWN);
	cr_expect_eq(openid_configure(m, &e), 0);
	cr_expect_eq(m->logins.count, 1);
	m->config = &one;
	cr_expect_eq(openid_configure(m, &e), 0);
	cr_expect_eq(m->logins.count, 0);
	cr_expect_eq(m->issuer_count, 1);
}

static void say_known(size_t length)
{
	struct broker_login_state head = {.id = 1,
		.until = UINT64_MAX,
		.stage = BROKER_LOGIN_KNOWN,
		.lengths = {(uint32_t)length}};
	char name[LIMIT_TOKEN_NAME];
	struct buffer payload;

	memset(name, 'a', sizeof(name));
	buffer_init(&payload, 4096);
	buffer_append(&payload, &head, sizeof(head));
	buffer_append(&payload, name, length);
	cr_expect_eq(logins_take(m, buffer_slice(&payload)), 0);
	buffer_done(&payload);
}

Test(identity, of_several_issuers_people_have_the_name_before_their_own)
{
	/* Known before: nothing is written into the audit log. */
	add_login(1, BROKER_LOGIN_KNOWN);
	say_known(3);
	cr_expect_str_eq(logins_person(m, 1000), "second:aaa");
	say_known(LIMIT_TOKEN_NAME);
	cr_expect_null(logins_person(m, 1000));
	m->config = &one;
	add_login(0, BROKER_LOGIN_KNOWN);
	say_known(LIMIT_TOKEN_NAME);
	cr_expect_eq(strlen(logins_person(m, 1000)), LIMIT_TOKEN_NAME);
}

static int tell_token(const char *token)
{
	const struct control_token head = {.run = 5};
	struct answer answer = {.made = -1};
	struct buffer request;
	int r;

	buffer_init(&request, 4096);
	buffer_append(&request, &head, sizeof(head));
	buffer_append_string(&request, token);
	r = runs_on_token(m, &asker, buffer_slice(&request), &answer);
	buffer_done(&request);
	return r;
}

Test(identity, tokens_of_a_run_come_slowly)
{
	struct identity run = {.run = 5, .own_token = true, .starter = 1000};

	buffer_init(&run.token, LIMIT_TOKEN_BYTES);
	m->identities.runs = &run;
	m->identities.run_count = 1;
	cr_expect_eq(tell_token("a"), 0);
	cr_expect_eq(tell_token("b"), -EAGAIN);
	cr_expect(slice_equal_string(buffer_slice(&run.token), "a"));
	usleep(600000);
	cr_expect_eq(tell_token("b"), 0);
	cr_expect(slice_equal_string(buffer_slice(&run.token), "b"));
	buffer_done(&run.token);
}
