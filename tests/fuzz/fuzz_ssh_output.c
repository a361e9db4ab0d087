/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ssh_output: what commands write, in pieces: the first bytes say how it is cut. Beyond memory
 * errors it checks that
 * - each byte is settled once, and none is kept when all has to pass,
 * - where nothing is looked for, the bytes that come out are those that went in.
 */
#include "base/memory.h"
#include "protocol/ssh/output.h"
#include "tests/fuzz/masking_tools.h"

#define HEAD 8

static void run(const struct mask_rules *rules, struct slice cuts, struct slice in, bool same)
{
	const struct protocol_host host = {.detectors = engine, .hasher = hasher};
	struct ssh_output *o = ssh_output_new(&host, rules, false);
	struct slice shown, rest = in;
	size_t sent = 0, settled = 0, now;
	struct buffer out;

	buffer_init(&out, 64u << 20);
	for (size_t i = 0; rest.length; i++) {
		size_t n = 1 + cuts.data[i % cuts.length] % 64;
		struct slice piece = slice_head(rest, n);

		/* Every now and then what is kept has waited long enough, or it was typed. */
		if (cuts.data[i % cuts.length] >= 250)
			piece = SLICE_EMPTY;
		else if (cuts.data[i % cuts.length] >= 240)
			ssh_output_typed(o, piece);
		CHECK(ssh_output_take(o, BRIDGE_STDOUT, piece, &shown, &now) == 0);
		CHECK(buffer_append_slice(&out, shown) == 0);
		sent += piece.length;
		settled += now;
		CHECK(settled <= sent && (piece.length || settled == sent));
		rest = slice_from(rest, piece.length);
		if (piece.length == 0 && i > in.length)
			break;
	}
	CHECK(ssh_output_take(o, BRIDGE_STDOUT, SLICE_EMPTY, &shown, &now) == 0);
	CHECK(buffer_append_slice(&out, shown) == 0);
	CHECK(settled + now == sent);
	CHECK(!same || slice_equal(buffer_slice(&out), slice_head(in, sent)));
	buffer_done(&out);
	ssh_output_free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mask_rules rules = {.detects = true};
	struct slice all = slice_of(data, size);

	masking_tools_set_up();
	if (size < HEAD || size > 65536)
		return 0;
	run(&rules, slice_head(all, HEAD), slice_from(all, HEAD), true);
	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] = i % 2 ? MASK_REDACT : MASK_PARTIAL;
	run(&rules, slice_head(all, HEAD), slice_from(all, HEAD), false);
	ssh_output_carries_files(all);
	return 0;
}
