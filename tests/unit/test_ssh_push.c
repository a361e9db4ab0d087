/* SPDX-License-Identifier: Apache-2.0
 *
 * Git pushes: what is asked for, what passes, and what a refused one is told.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "protocol/ssh/deeds.h"
#include "protocol/ssh/packet_line.h"

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"
#define NONE "0000000000000000000000000000000000000000"

static struct buffer to_agent, to_host, list, said;
static char asked[4096], text[4096];
static uint32_t questions, ended;
static size_t piece;
static struct deeds *push;

static uint32_t ask(
	struct deeds_host *h, const struct bridge_deed *deeds, size_t count, struct slice words)
{
	size_t n = 0;

	(void)h;
	for (size_t i = 0; i < count; i++) {
		cr_assert(deeds[i].kind == BRIDGE_DEED_GIT_PUSH);
		n += (size_t)snprintf(asked + n, sizeof(asked) - n, "%.*s%s|",
			SLICE_PRINT(deeds[i].object), deeds[i].known ? "" : "?");
	}
	snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(words));
	return ++questions;
}

static void done(struct deeds_host *h, uint32_t question, const struct bridge_result *result)
{
	(void)h;
	(void)result;
	cr_assert(question && question <= questions);
	ended++;
}

static void say(struct deeds_host *h, struct slice words)
{
	(void)h;
	buffer_append_slice(&said, words);
}

static struct deeds_host host = {.ask = ask, .done = done, .say = say, .to = {&to_agent, &to_host}};

static void setup(void)
{
	buffer_init(&to_agent, 1u << 20);
	buffer_init(&to_host, 1u << 20);
	buffer_init(&list, 1u << 20);
	buffer_init(&said, 1u << 20);
	host.about = host.repository = SLICE_EMPTY;
	host.observes = false;
	push = deeds_push.open(&host);
}

static void teardown(void)
{
	deeds_push.close(push);
	cr_assert_eq(ended, questions, "each question has its end");
	buffer_done(&to_agent);
	buffer_done(&to_host);
	buffer_done(&list);
	buffer_done(&said);
}

TestSuite(ssh_push, .init = setup, .fini = teardown);

static void line(const char *words, const char *capabilities)
{
	static const uint8_t nul;

	if (!capabilities) {
		packet_line_append(&list, slice_from_string(words), slice_from_string("\n"));
		return;
	}
	packet_line_append(&said, slice_from_string(words), slice_of(&nul, 1));
	packet_line_append(
		&list, slice_from(buffer_slice(&said), 4), slice_from_string(capabilities));
	buffer_clear(&said);
}

static int give(struct slice bytes)
{
	int r = 0;

	while (r == 0 && bytes.length) {
		struct slice part = slice_head(bytes, piece ? piece : bytes.length);

		r = deeds_push.take(push, SIDE_AGENT, part);
		bytes = slice_from(bytes, part.length);
	}
	return r;
}

static void expect(const struct buffer *b, const char *wanted)
{
	cr_assert(
		slice_equal_string(buffer_slice(b), wanted), "%.*s", SLICE_PRINT(buffer_slice(b)));
}

static void push_two(const char *capabilities)
{
	line(NONE " " A " refs/heads/new", capabilities);
	line(A " " B " refs/heads/main", NULL);
	packet_line_append_end(&list);
	buffer_append_string(&list, "PACK and so on");
	cr_assert_eq(give(buffer_slice(&list)), 0);
	cr_assert_str_eq(asked, "refs/heads/new|refs/heads/main|");
	cr_assert_str_eq(text, "create refs/heads/new " A "\nupdate refs/heads/main " A " " B);
	cr_assert_eq(buffer_length(&to_host), 0);
	cr_assert(!deeds_push.wants(push, SIDE_AGENT) && !deeds_push.is_dry(push, SIDE_AGENT));
}

static void pass_all(void)
{
	push_two(" report-status side-band-64k agent=git/2");
	cr_assert_eq(deeds_push.answer(push, true, SLICE_EMPTY, SLICE_EMPTY), 0);
	cr_assert(slice_equal(buffer_slice(&to_host), buffer_slice(&list)));
	cr_assert_eq(give(slice_from_string("more")), 0);
	cr_assert_eq(buffer_length(&to_host), buffer_length(&list) + 4);
	cr_assert_eq(deeds_push.take(push, SIDE_SERVER, slice_from_string("report")), 0);
	expect(&to_agent, "report");
	cr_assert(deeds_push.is_dry(push, SIDE_SERVER));
}

Test(ssh_push, an_allowed_one_passes_as_it_came)
{
	pass_all();
}

Test(ssh_push, byte_by_byte_it_is_the_same)
{
	piece = 1;
	pass_all();
}

Test(ssh_push, a_refused_one_is_reported_by_ref)
{
	push_two(" report-status-v2 atomic");
	cr_assert_eq(deeds_push.answer(push, false, slice_from_string("denied: no\nno"),
			     slice_from_string("refs/heads/main")),
		0);
	expect(&to_agent,
		"000eunpack ok\n"
		"004bng refs/heads/new wayleave: not pushed, as refs/heads/main was refused\n"
		"002fng refs/heads/main wayleave: denied: no no\n"
		"0000");
	expect(&to_host, "0000");
	expect(&said, "wayleave: denied: no\nno");
	cr_assert_eq(give(slice_from_string("the rest of the pack")), 0);
	cr_assert_eq(deeds_push.take(push, SIDE_SERVER, slice_from_string("x")), 0);
	expect(&to_host, "0000");
	cr_assert(!deeds_push.is_dry(push, SIDE_SERVER), "the agent still reads");
	deeds_push.end(push);
	cr_assert(deeds_push.is_dry(push, SIDE_SERVER));
}

Test(ssh_push, in_bands_people_read_it_too)
{
	line(A " " NONE " refs/tags/v1", "report-status side-band-64k\n");
	packet_line_append_end(&list);
	cr_assert_eq(give(buffer_slice(&list)), 0);
	cr_assert_str_eq(text, "delete refs/tags/v1 " A);
	cr_assert_eq(deeds_push.answer(push, false, slice_from_string("no"), SLICE_EMPTY), 0);
	expect(&to_agent,
		"0012\002wayleave: no\n"
		"0038\001000eunpack ok\n0021ng refs/tags/v1 wayleave: no\n0000"
		"0000");
	cr_assert_eq(buffer_length(&said), 0);
}

Test(ssh_push, nothing_to_push_asks_nothing)
{
	cr_assert_eq(give(slice_from_string("0000")), 0);
	expect(&to_host, "0000");
	cr_assert_eq(questions, 0);
}

Test(ssh_push, shallow_lines_pass)
{
	line("shallow " B, NULL);
	line(A " " B " refs/heads/main", "report-status");
	packet_line_append_end(&list);
	cr_assert_eq(give(buffer_slice(&list)), 0);
	cr_assert_str_eq(asked, "refs/heads/main|");
}

Test(ssh_push, the_repository_is_a_part_of_the_question)
{
	host.about = slice_from_string("git-receive-pack '/srv/a b'");
	host.repository = slice_from_string("/srv/a b");
	host.repository_known = true;
	line(A " " B " refs/heads/main", "report-status");
	packet_line_append_end(&list);
	cr_assert_eq(give(buffer_slice(&list)), 0);
	cr_assert_str_eq(asked, "/srv/a b|refs/heads/main|");
	cr_assert_str_eq(text, "git-receive-pack '/srv/a b'\nupdate refs/heads/main " A " " B);
}

static void push_with_options(void)
{
	line(A " " B " refs/heads/main", "report-status push-options");
	packet_line_append_end(&list);
	cr_assert_eq(give(buffer_slice(&list)), 0);
	cr_assert_eq(questions, 0, "the options are yet to come");
	buffer_clear(&list);
	line("ci.skip", NULL);
	line("deploy=prod", NULL);
	packet_line_append_end(&list);
	buffer_append_string(&list, "PACK");
	cr_assert_eq(give(buffer_slice(&list)), 0);
	cr_assert_str_eq(
		text, "update refs/heads/main " A " " B "\noption: ci.skip\noption: deploy=prod");
	cr_assert_eq(buffer_length(&to_host), 0);
	cr_assert_eq(deeds_push.answer(push, true, SLICE_EMPTY, SLICE_EMPTY), 0);
	cr_assert(slice_equal(
		slice_from(buffer_slice(&to_host), buffer_length(&to_host) - buffer_length(&list)),
		buffer_slice(&list)));
}

Test(ssh_push, options_are_shown_and_bound)
{
	push_with_options();
}

Test(ssh_push, options_byte_by_byte)
{
	piece = 1;
	push_with_options();
}

Test(ssh_push, options_are_a_line_each)
{
	line(A " " B " refs/heads/main", "push-options");
	packet_line_append_end(&list);
	line("a\noption: b", NULL);
	cr_assert_eq(give(buffer_slice(&list)), -EBADMSG);
}

Test(ssh_push, options_with_a_value_are_options)
{
	line(A " " B " refs/heads/main", "report-status push-options=1");
	packet_line_append_end(&list);
	cr_assert_eq(give(buffer_slice(&list)), 0);
	cr_assert_eq(questions, 0, "the options follow");
	buffer_clear(&list);
	line("ci.skip", NULL);
	packet_line_append_end(&list);
	cr_assert_eq(give(buffer_slice(&list)), 0);
	cr_assert_eq(questions, 1);
	cr_assert_str_eq(text, "update refs/heads/main " A " " B "\noption: ci.skip");
}

static const char *const unclear[] = {"report-status\tpush-options", "push-options\n\n",
	"\rpush-options", "report-status\vpush-options"};

Test(ssh_push, capabilities_are_read_as_git_reads_them_or_not_at_all)
{
	for (size_t i = 0; i < sizeof(unclear) / sizeof(*unclear); i++) {
		buffer_clear(&list);
		line(A " " B " refs/heads/main", unclear[i]);
		cr_expect_eq(give(buffer_slice(&list)), -EBADMSG, "%s", unclear[i]);
		deeds_push.close(push);
		push = deeds_push.open(&host);
	}
	buffer_clear(&list);
	buffer_append_string(&list, "0080" A " " B " refs/heads/main");
	buffer_append_slice(&list, slice_of("\0report-status\0push-options", 27));
	cr_expect_eq(give(buffer_slice(&list)), -EBADMSG);
}

Test(ssh_push, observed_ones_pass_though_they_are_not_understood)
{
	host.observes = true;
	host.about = slice_from_string("git-receive-pack /r");
	line("push-cert", "push-cert=1");
	buffer_append_string(&list, "what follows");
	cr_assert_eq(give(buffer_slice(&list)), 0);
	cr_assert_str_eq(asked, "refs?|");
	cr_assert_str_eq(text, "git-receive-pack /r\na push that is not understood");
	cr_assert_eq(deeds_push.answer(push, true, SLICE_EMPTY, SLICE_EMPTY), 0);
	cr_assert(slice_equal(buffer_slice(&to_host), buffer_slice(&list)));
}

static uint32_t ask_little(
	struct deeds_host *h, const struct bridge_deed *deeds, size_t count, struct slice words)
{
	return count > 1 ? 0 : ask(h, deeds, count, words);
}

Test(ssh_push, observed_ones_that_are_too_much_to_ask_about_are_recorded)
{
	host.observes = true;
	host.ask = ask_little;
	line(A " " B " refs/heads/main", "report-status");
	line(A " " B " refs/heads/other", NULL);
	packet_line_append_end(&list);
	cr_assert_eq(give(buffer_slice(&list)), 0);
	host.ask = ask;
	cr_assert_str_eq(asked, "refs?|");
	cr_assert_eq(buffer_length(&to_host), 0);
	cr_assert_eq(deeds_push.answer(push, true, SLICE_EMPTY, SLICE_EMPTY), 0);
	cr_assert(slice_equal(buffer_slice(&to_host), buffer_slice(&list)));
}

static const char *const wrong[] = {
	"push-cert\n",
	"x",
	A " " B " ",
	A " " B " refs/heads/a b",
	A " " B " refs/heads/a\x01",
	A " 22 refs/heads/a",
	"shallow 1",
	"g111111111111111111111111111111111111111 " B " refs/heads/a",
};

Test(ssh_push, what_is_no_list_is_refused)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		buffer_clear(&list);
		line(wrong[i], "report-status");
		cr_expect_eq(give(buffer_slice(&list)), -EBADMSG, "%s", wrong[i]);
		deeds_push.close(push);
		push = deeds_push.open(&host);
	}
	cr_assert_eq(give(slice_from_string("0003")), -EBADMSG);
	cr_assert_eq(buffer_length(&to_host), 0);
}

Test(ssh_push, refs_are_bounded)
{
	for (size_t i = 0; i <= BRIDGE_DEEDS_MOST; i++)
		line(A " " B " refs/heads/main", NULL);
	cr_assert_eq(give(buffer_slice(&list)), -E2BIG);
}

Test(ssh_push, a_capability_list_stands_only_in_front)
{
	line(A " " B " refs/heads/a", "report-status");
	line(A " " B " refs/heads/a", "report-status");
	cr_assert_eq(give(buffer_slice(&list)), -EBADMSG);
}
