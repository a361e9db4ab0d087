/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ssh_bridge: what a session's process that was taken over might tell its worker. Judged by
 * the length of what is asked; what the engine tells the process is well-formed, and goes only to
 * lanes that asked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "protocol/ssh/bridge.h"
#include "protocol/ssh/ssh.h"
#include "tests/fuzz/masking_tools.h"

static void check(bool good)
{
	if (!good)
		abort();
}

static int write_it(struct protocol_host *host, enum side to, struct slice bytes)
{
	struct bridge_frame frame;
	size_t length;

	(void)host;
	check(to == SIDE_SERVER);
	do {
		check(bridge_take(bytes, &frame, &length) == 0);
		check(frame.type >= BRIDGE_DATA);
		bytes = slice_from(bytes, length);
	} while (bytes.length);
	return 0;
}

static void judge(struct protocol_engine *e, const struct protocol_action_event *event)
{
	const struct protocol_refusal no = {
		.reason = REASON_NOT_COVERED, .text = slice_from_string("denied: no")};
	static const struct mask_rules masks = {
		.detects = true, .detectors = {[DETECTOR_EMAIL] = MASK_REDACT}};
	bool some = event->action->text.length % 8 == 2;
	struct protocol_refusal refusal;
	struct protocol_binding binding;
	int r;

	check(event->action->pair_count > 0 && event->lane > 0);
	r = protocol_ssh.bind(e, event->lane, &binding);
	/* A typed line that can't be known can't be decided by people. */
	check(r == 0 || r == -E2BIG || (r == -ENOTSUP && event->action->text.length == 0));
	switch (event->action->text.length % 4) {
	case 0:
		protocol_ssh.refuse(e, event->lane, 1, &no);
		break;
	case 1: /* held */
		protocol_ssh.reassure(e, event->lane, slice_from_string("wait"));
		break;
	default:
		if (protocol_ssh.mask(e, event->lane, some ? &masks : NULL,
			    event->action->text.length % 4 == 3, &refusal) == 0)
			protocol_ssh.release(e, event->lane, 1);
		else
			protocol_ssh.refuse(e, event->lane, 1, &refusal);
	}
}

/* False: it is over. */
static bool handle(struct protocol_engine *e)
{
	struct protocol_event event;

	while (protocol_ssh.next_event(e, &event)) {
		if (event.type == EVENT_ACTION)
			judge(e, &event.action);
		else if (event.type == EVENT_CLOSE)
			return false;
		else if (event.type == EVENT_DATA)
			check(event.data.action == 1);
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct protocol_host host = {.write = write_it, .needs_facts = size % 2};
	struct protocol_engine *e = protocol_ssh.open(&host);
	struct slice in = slice_of(data, size);
	size_t taken = 1;
	bool open = true;

	masking_tools_set_up();
	host.detectors = engine;
	host.hasher = hasher;
	while (open && taken && protocol_ssh.wants(e, SIDE_SERVER)) {
		taken = 0;
		check(protocol_ssh.needs(e, SIDE_SERVER, in) >= 1);
		if (protocol_ssh.input(e, SIDE_SERVER, in, &taken) < 0)
			break;
		check(taken <= in.length);
		in = slice_from(in, taken);
		open = handle(e);
	}
	if (open) {
		protocol_ssh.end(e, SIDE_SERVER);
		handle(e);
	}
	protocol_ssh.close(e);
	return 0;
}
