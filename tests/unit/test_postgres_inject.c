/* SPDX-License-Identifier: Apache-2.0
 *
 * Logins with the host's credentials, with servers that ask for what they like.
 */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "tests/harness/engine_guard.h"

#define BYTES(text) slice_of(text, sizeof(text) - 1)
#define STARTUP "\0\0\0\x27\0\x03\0\0user\0me\0application_name\0tool\0\0"
#define OURS "\0\0\0\x37\0\x03\0\0user\0app_ro\0database\0me\0application_name\0tool\0\0"
/* The Authentication messages. */
#define OK "R\0\0\0\x08\0\0\0\0"
#define ASKS_PASSWORD "R\0\0\0\x08\0\0\0\x03"
#define ASKS_MD5 "R\0\0\0\x0c\0\0\0\x05\1\2\3\4"
#define ASKS_GSS "R\0\0\0\x08\0\0\0\x07"
#define OFFERS_PLAIN "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"
#define OFFERS_BOTH "R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
#define OFFERS_OTHER "R\0\0\0\x0f\0\0\0\x0aLOGIN\0\0"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"rules: [{ name: read, operations: [read], allow: {} }]\n";

static struct engine_bench bench;
static struct engine_run run;

static void set_up(void)
{
	engine_bench_init(&bench, policy);
	bench.user = "app_ro";
	bench.password = "the secret";
}

static void tear_down(void)
{
	engine_run_done(&run);
	engine_bench_done(&bench);
}

TestSuite(inject, .init = set_up, .fini = tear_down);

static bool sent(enum side side, struct slice text)
{
	struct slice all = buffer_slice(&run.sent[side]);

	return all.length && memmem(all.data, all.length, text.data, text.length);
}

static bool said(const char *text)
{
	struct slice events = buffer_slice(&run.events);

	return events.length && memmem(events.data, events.length, text, strlen(text));
}

/* Up to where the server asks. */
static void begin(bool tls)
{
	bench.upstream_tls = tls ? UPSTREAM_TLS_ON : UPSTREAM_TLS_OFF;
	engine_run_init(&run, &bench, NULL);
	engine_run_connected(&run);
	if (tls)
		engine_run_feed(&run, SIDE_SERVER, BYTES("S"));
	engine_run_feed(&run, SIDE_AGENT, BYTES(STARTUP));
}

static void expect_refusal(const char *text)
{
	cr_expect(run.closed);
	cr_expect(sent(SIDE_AGENT, slice_from_string(text)), "%s: %.*s", text,
		SLICE_PRINT(buffer_slice(&run.events)));
	cr_expect(sent(SIDE_AGENT, BYTES("28000")));
}

Test(inject, the_startup_message_is_ours)
{
	begin(false);
	cr_expect(slice_equal(buffer_slice(&run.sent[SIDE_SERVER]), BYTES(OURS)));
	engine_run_feed(&run, SIDE_SERVER, BYTES(OK));
	cr_expect(sent(SIDE_AGENT, BYTES(OK)));
}

Test(inject, the_agents_database_stays)
{
	bench.upstream_tls = UPSTREAM_TLS_OFF;
	engine_run_init(&run, &bench, NULL);
	engine_run_connected(&run);
	engine_run_feed(&run, SIDE_AGENT,
		BYTES("\0\0\0\x38\0\x03\0\0database\0shop\0user\0a\0user\0b\0application_"
		      "name\0y\0\0"));
	cr_expect(sent(SIDE_SERVER,
		BYTES("\0\x03\0\0user\0app_ro\0database\0shop\0application_name\0y\0\0")));
}

/* --- who the agent is --- */

#define STATUS_TOLD                                                                                \
	"S\0\0\0\x28"                                                                              \
	"application_name\0wayleave:demo tool\0"
#define STATUS_OWN                                                                                 \
	"S\0\0\0\x1a"                                                                              \
	"application_name\0tool\0"

Test(inject, the_server_is_told_who_the_agent_is)
{
	bench.identity = "wayleave:demo";
	begin(false);
	cr_expect(sent(SIDE_SERVER, BYTES("\0application_name\0wayleave:demo tool\0\0")));
	engine_run_feed(&run, SIDE_SERVER, BYTES(OK STATUS_TOLD));
	cr_expect(sent(SIDE_AGENT, BYTES(STATUS_OWN)), "the agent sees what it said");
	cr_expect_not(sent(SIDE_AGENT, BYTES("wayleave")));
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("S\0\0\0\x18"
		      "application_name\0hi\0"));
	cr_expect(
		sent(SIDE_AGENT, BYTES("application_name\0hi\0")), "what it set later is its own");
}

#define READY "Z\0\0\0\x05I"
#define QUERY                                                                                      \
	"Q\0\0\0\x0d"                                                                              \
	"select 1\0"
#define COMPLETE                                                                                   \
	"C\0\0\0\x0d"                                                                              \
	"SELECT 1\0"
#define STATUS_SET                                                                                 \
	"S\0\0\0\x18"                                                                              \
	"application_name\0hi\0"
/* What the server says to the command that gives it our name. */
#define RENAMED                                                                                    \
	"1\0\0\0\x04"                                                                              \
	"2\0\0\0\x04"
#define CLOSED                                                                                     \
	"3\0\0\0\x04"                                                                              \
	"3\0\0\0\x04"

/* The agent has set another name, and we told the server who it is all the same. */
static void rename_it(void)
{
	bench.identity = "wayleave:demo";
	begin(false);
	/* The second one ends our own queries behind the login, which find nothing. */
	engine_run_feed(&run, SIDE_SERVER, BYTES(OK STATUS_TOLD READY READY));
	engine_run_feed(&run, SIDE_AGENT, BYTES(QUERY));
	engine_run_feed(&run, SIDE_SERVER, BYTES(STATUS_SET COMPLETE READY));
	cr_assert(sent(SIDE_SERVER, BYTES("application_name TO E'wayleave:demo hi'")), "%.*s",
		SLICE_PRINT(buffer_slice(&run.events)));
}

Test(inject, a_row_where_there_is_none)
{
	rename_it();
	buffer_clear(&run.sent[SIDE_AGENT]);
	engine_run_feed(&run, SIDE_SERVER,
		BYTES(CLOSED RENAMED "D\0\0\0\x06\0\0"
				     "C\0\0\0\x08SET\0" CLOSED READY));
	cr_expect_not(run.closed);
	cr_expect(sent(SIDE_AGENT, BYTES(READY)));
}

Test(inject, a_name_that_was_not_taken_is_told_again)
{
	rename_it();
	buffer_clear(&run.sent[SIDE_SERVER]);
	buffer_clear(&run.sent[SIDE_AGENT]);
	engine_run_feed(&run, SIDE_SERVER,
		BYTES(CLOSED "E\0\0\0\x10"
			     "C42P05\0Mno\0\0" READY));
	cr_expect(sent(SIDE_AGENT, BYTES(READY)), "nobody waits for it");
	cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0, "nor is it tried for ever");
	engine_run_feed(&run, SIDE_AGENT, BYTES(QUERY));
	engine_run_feed(&run, SIDE_SERVER, BYTES(COMPLETE READY));
	cr_expect(sent(SIDE_SERVER, BYTES("application_name TO E'wayleave:demo hi'")));
}

Test(inject, nothing_of_the_agents_has_the_name_of_the_command)
{
	rename_it();
	cr_expect(sent(SIDE_SERVER,
		BYTES("Pwayleave_name_4_206974206361\0"
		      "C\0\0\0\x22"
		      "Swayleave_name_4_206974206361\0"
		      "P\0")));
}

static void expect_name(const char *options, const char *expected)
{
	struct buffer packet;

	bench.identity = "wayleave:demo";
	bench.upstream_tls = UPSTREAM_TLS_OFF;
	engine_run_init(&run, &bench, NULL);
	engine_run_connected(&run);
	buffer_init(&packet, 10000);
	buffer_append_u32(&packet, (uint32_t)(8 + 8 + 8 + strlen(options) + 1 + 1));
	buffer_append(&packet, "\0\x03\0\0user\0me\0options", 19);
	buffer_append_byte(&packet, 0);
	buffer_append(&packet, options, strlen(options) + 1);
	buffer_append_byte(&packet, 0);
	engine_run_feed(&run, SIDE_AGENT, buffer_slice(&packet));
	cr_expect(sent(SIDE_SERVER, slice_of(expected, strlen(expected) + 1)), "%s", expected);
	buffer_done(&packet);
}

Test(inject, a_name_among_the_options)
{
	expect_name("-c application_name=a -c application_name=b", "wayleave:demo b");
}

Test(inject, a_name_that_the_server_would_clean)
{
	expect_name("-c application_name=a\xc3\xa4\x01", "wayleave:demo a???");
}

Test(inject, a_name_that_the_server_would_cut)
{
	expect_name("-c application_name="
		    "0123456789012345678901234567890123456789012345678901234567890123456789",
		"wayleave:demo 0123456789012345678901234567890123456789012345678");
}

Test(inject, no_name)
{
	expect_name("", "wayleave:demo");
}

Test(inject, a_startup_message_that_gets_too_long)
{
	char *user = memory_new(9990);
	struct buffer packet;

	memset(user, 'u', 9980);
	buffer_init(&packet, 10000);
	buffer_append_u32(&packet, 8 + 5 + 9981 + 1);
	buffer_append(&packet, "\0\x03\0\0user", 9);
	buffer_append(&packet, user, 9981);
	buffer_append_byte(&packet, 0);
	bench.upstream_tls = UPSTREAM_TLS_OFF;
	engine_run_init(&run, &bench, NULL);
	engine_run_connected(&run);
	engine_run_feed(&run, SIDE_AGENT, buffer_slice(&packet));
	cr_expect(run.closed);
	cr_expect(sent(SIDE_AGENT, BYTES("a StartupMessage that is too long")));
	cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
	buffer_done(&packet);
	free(user);
}

Test(inject, what_the_agent_sends_before_it_is_asked_is_not_for_the_server)
{
	begin(false);
	engine_run_feed(&run, SIDE_AGENT, BYTES("p\0\0\0\x0ahello\0"));
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_MD5));
	cr_expect_not(sent(SIDE_SERVER, BYTES("hello")));
	engine_run_feed(&run, SIDE_SERVER, BYTES(OK));
	cr_expect_not(sent(SIDE_SERVER, BYTES("hello")));
}

Test(inject, md5)
{
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_MD5));
	/* md5(md5("the secret" + "app_ro") + 01020304) */
	cr_expect(sent(SIDE_SERVER,
		BYTES("p\0\0\0\x28"
		      "md5843750fa372c156b213a2834aec49145\0")));
	cr_expect_not(sent(SIDE_AGENT, BYTES("R")), "the agent is asked for nothing");
	engine_run_feed(&run, SIDE_SERVER, BYTES(OK));
	cr_expect(sent(SIDE_AGENT, BYTES(OK)));
}

Test(inject, the_password_in_clear_only_for_a_verified_server)
{
	begin(true);
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_PASSWORD));
	cr_expect(sent(SIDE_SERVER, BYTES("p\0\0\0\x0fthe secret\0")));
	engine_run_feed(&run, SIDE_SERVER, BYTES(OK));
	cr_expect(sent(SIDE_AGENT, BYTES(OK)));
}

Test(inject, the_password_in_clear_without_tls)
{
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_PASSWORD));
	expect_refusal("asks for the password in clear");
	cr_expect_not(sent(SIDE_SERVER, BYTES("the secret")));
	cr_expect_not(said("! proof"), "it is not even asked for");
}

Test(inject, the_password_in_clear_for_a_server_that_is_not_verified)
{
	bench.unverified = true;
	begin(true);
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_PASSWORD));
	expect_refusal("asks for the password in clear");
}

Test(inject, the_password_in_clear_where_that_is_allowed)
{
	bench.allow_cleartext = true;
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_PASSWORD));
	cr_expect(sent(SIDE_SERVER, BYTES("the secret")));
}

/* Whoever passes the bytes on would have a connection that is logged in. */
Test(inject, no_proof_where_somebody_else_made_the_connection)
{
	bench.proven_only = true;
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_MD5));
	expect_refusal("somebody else made");
	cr_expect_not(said("! proof"), "it is not even asked for");
}

Test(inject, no_proof_there_for_a_server_that_is_not_verified)
{
	bench.proven_only = bench.unverified = true;
	begin(true);
	engine_run_feed(&run, SIDE_SERVER, BYTES(OFFERS_BOTH));
	expect_refusal("somebody else made");
}

Test(inject, a_server_that_is_verified_there)
{
	bench.proven_only = true;
	begin(true);
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_PASSWORD));
	cr_expect(sent(SIDE_SERVER, BYTES("p\0\0\0\x0fthe secret\0")));
}

Test(inject, methods_that_credentials_do_not_answer)
{
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_GSS));
	expect_refusal("the server asks for GSSAPI");
}

Test(inject, mechanisms_that_are_not_spoken)
{
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES(OFFERS_OTHER));
	expect_refusal("a SASL mechanism other than SCRAM-SHA-256");
}

Test(inject, a_certificate_is_no_password)
{
	bench.password = NULL;
	begin(true);
	engine_run_feed(&run, SIDE_SERVER, BYTES(OFFERS_BOTH));
	expect_refusal("the resource's credentials are a client certificate");
}

Test(inject, a_proof_that_can_not_be_had)
{
	begin(false);
	run.fail_proof = true;
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_MD5));
	expect_refusal("wayleave: no proof today");
}

Test(inject, a_server_that_refuses)
{
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES("E\0\0\0\x1cSFATAL\0C28P01\0Mgo away\0\0"));
	expect_refusal("wayleave: the server refused the resource's credentials: go away");
}

Test(inject, other_errors_are_the_servers)
{
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES("E\0\0\0\x1dSFATAL\0C53300\0Mtoo many\0\0"));
	cr_expect(sent(SIDE_AGENT, BYTES("C53300\0Mtoo many\0")));
	cr_expect_not(sent(SIDE_AGENT, BYTES("credentials")));
}

Test(inject, half_an_exchange_is_no_login)
{
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES(OFFERS_PLAIN));
	engine_run_feed(&run, SIDE_SERVER, BYTES(OK));
	cr_expect(run.closed);
	cr_expect_not(sent(SIDE_AGENT, BYTES(OK)));
}

Test(inject, a_second_demand_behind_an_answer)
{
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_MD5));
	engine_run_feed(&run, SIDE_SERVER, BYTES(ASKS_MD5));
	cr_expect(run.closed);
}

/* --- SCRAM, as a server sees it --- */

static void put_authentication(struct buffer *b, uint32_t code, const char *text)
{
	buffer_append_byte(b, 'R');
	buffer_append_u32(b, (uint32_t)(8 + strlen(text)));
	buffer_append_u32(b, code);
	buffer_append_string(b, text);
}

static void feed_authentication(uint32_t code, const char *text)
{
	struct buffer message;

	buffer_init(&message, 4096);
	put_authentication(&message, code, text);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&message));
	buffer_done(&message);
}

/* What stands behind `mark` in the last message for the server, up to a comma or the end. */
static char *value_behind(const char *mark)
{
	struct slice all = buffer_slice(&run.sent[SIDE_SERVER]);
	const char *found = memmem(all.data, all.length, mark, strlen(mark));
	const char *start = found ? found + strlen(mark) : NULL;
	size_t length = 0;

	cr_assert_not_null(found, "%s", mark);
	while ((const uint8_t *)start + length < all.data + all.length && start[length] != ',')
		length++;
	return memory_copy_text(start, length);
}

static void mac(const uint8_t *key, const char *text, uint8_t *ret)
{
	unsigned length;

	HMAC(EVP_sha256(), key, 32, (const uint8_t *)text, strlen(text), ret, &length);
}

/* The server's v=, with the channel that it expects. */
static char *server_final(const char *nonce, const char *channel)
{
	uint8_t salted[32], key[32], signature[32];
	char text[64] = "v=";
	char *message = memory_format(
		"n=,r=%s,r=%smore,s=c2FsdA==,i=100,c=%s,r=%smore", nonce, nonce, channel, nonce);

	PKCS5_PBKDF2_HMAC(
		"the secret", 10, (const uint8_t *)"salt", 4, 100, EVP_sha256(), 32, salted);
	mac(salted, "Server Key", key);
	mac(key, message, signature);
	EVP_EncodeBlock((uint8_t *)text + 2, signature, 32);
	free(message);
	return memory_copy_string(text);
}

static void scram(
	bool tls, struct slice offer, const char *expected_first, const char *channel, bool lies)
{
	char *nonce, *first, *final;

	begin(tls);
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, offer);
	cr_expect(sent(SIDE_SERVER, slice_from_string(expected_first)), "%s", expected_first);
	nonce = value_behind("n=,r=");
	first = memory_format("r=%smore,s=c2FsdA==,i=100", nonce);
	buffer_clear(&run.sent[SIDE_SERVER]);
	feed_authentication(11, first);
	cr_expect(sent(SIDE_SERVER, slice_from_string(channel)));
	final = server_final(nonce, channel);
	if (lies)
		final[5] = final[5] == 'A' ? 'B' : 'A';
	feed_authentication(12, final);
	engine_run_feed(&run, SIDE_SERVER, BYTES(OK));
	cr_expect_eq(sent(SIDE_AGENT, BYTES(OK)), !lies);
	if (lies)
		expect_refusal("could not prove that it knows the password");
	free(nonce);
	free(first);
	free(final);
}

#define BOUND "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsZW5kIHBvaW50"

Test(inject, scram_in_clear)
{
	scram(false, BYTES(OFFERS_PLAIN), "n,,n=,r=", "biws", false);
}

Test(inject, scram_over_tls_is_bound)
{
	scram(true, BYTES(OFFERS_BOTH), "p=tls-server-end-point,,n=,r=", BOUND, false);
}

Test(inject, scram_over_tls_where_binding_is_not_offered)
{
	scram(true, BYTES(OFFERS_PLAIN), "y,,n=,r=", "eSws", false);
}

Test(inject, plus_without_tls_is_not_for_us)
{
	scram(false, BYTES(OFFERS_BOTH), "n,,n=,r=", "biws", false);
}

Test(inject, scram_with_a_server_that_does_not_know_the_password)
{
	scram(false, BYTES(OFFERS_PLAIN), "n,,n=,r=", "biws", true);
}

Test(inject, too_many_iterations)
{
	char *nonce, *first;

	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES(OFFERS_PLAIN));
	nonce = value_behind("n=,r=");
	first = memory_format("r=%smore,s=c2FsdA==,i=10000000", nonce);
	feed_authentication(11, first);
	expect_refusal("asks for more than 1000000 iterations");
	cr_expect_not(said("! proof"));
	free(nonce);
	free(first);
}

Test(inject, a_nonce_that_is_not_ours)
{
	begin(false);
	engine_run_feed(&run, SIDE_SERVER, BYTES(OFFERS_PLAIN));
	feed_authentication(11, "r=something,s=c2FsdA==,i=4096");
	expect_refusal("SCRAM challenge is malformed");
	cr_expect_not(said("! proof"));
}
