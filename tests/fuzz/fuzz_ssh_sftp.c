/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ssh_sftp: an agent and a host that send anything, and a worker that allows or denies. The
 * input is chunks: a byte that says whose, a byte of length. What reaches the host is packets, and
 * no more of them name files than were allowed.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "protocol/ssh/sftp.h"
#include "protocol/ssh/sftp_packet.h"

static uint32_t asked, over, allowed, sent;
static bool open_question;

static void check(bool good)
{
	if (!good)
		abort();
}

static uint32_t ask(
	struct deeds_host *h, const struct bridge_deed *deeds, size_t count, struct slice text)
{
	(void)h;
	check(!open_question && count > 0 && text.length);
	for (size_t i = 0; i < count; i++)
		check(deeds[i].object.length && deeds[i].kind < BRIDGE_DEED_GIT_PUSH);
	open_question = true;
	return ++asked;
}

static void repeat(struct deeds_host *h, uint32_t question, const struct bridge_deed *deeds,
	size_t count, struct slice text)
{
	check(question == asked);
	ask(h, deeds, count, text);
	asked--;
}

static void done(struct deeds_host *h, uint32_t question, const struct bridge_result *result)
{
	(void)h;
	(void)result;
	check(question && question <= asked);
	over++;
}

static void say(struct deeds_host *h, struct slice text)
{
	(void)h;
	(void)text;
}

/* Whole packets are looked at and forgotten. */
static void look(struct buffer *b, bool of_host)
{
	while (buffer_length(b) >= SFTP_HEAD) {
		struct slice all = buffer_slice(b);
		size_t length = SFTP_LENGTH_SIZE + bytes_get_u32(all.data);
		struct sftp_request request;

		check(length >= SFTP_HEAD);
		if (all.length < length)
			return;
		if (of_host && all.data[4] != SFTP_INIT) {
			check(sftp_decode(slice_head(all, length), &request) == 0);
			sent += request.kind->deeds[0] != 0 &&
				request.kind->type != SFTP_REALPATH &&
				request.kind->ways[0] != SFTP_WAY_HOME;
			check(sent <= allowed);
		}
		buffer_consume(b, length);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer to_agent, to_host;
	struct deeds_host host = {.ask = ask,
		.done = done,
		.say = say,
		.to = {&to_agent, &to_host},
		.repeat = repeat};
	struct sftp *s = sftp_new(&host);
	int r = 0;

	asked = over = allowed = sent = 0;
	open_question = false;
	buffer_init(&to_agent, 4u << 20);
	buffer_init(&to_host, 4u << 20);
	while (r == 0 && size >= 2) {
		uint8_t what = data[0];
		size_t length = data[1] < size - 2 ? data[1] : size - 2;

		if (open_question && what & 8) {
			open_question = false;
			r = sftp_again(s);
		}
		if (r == 0 && open_question && what & 2) {
			open_question = false;
			allowed += what & 1;
			r = sftp_answer(s, what & 1, slice_from_string("no"));
		}
		if (r == 0)
			r = sftp_take(
				s, what & 4 ? SIDE_SERVER : SIDE_AGENT, slice_of(data + 2, length));
		look(&to_host, true);
		look(&to_agent, false);
		data += 2 + length;
		size -= 2 + length;
	}
	sftp_free(s);
	check(asked == over);
	buffer_done(&to_agent);
	buffer_done(&to_host);
	return 0;
}
