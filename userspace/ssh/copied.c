/* SPDX-License-Identifier: Apache-2.0
 *
 * copied: what scp's own protocol carries in a channel, for the recording.
 */
#include "protocol/ssh/scp_stream.h"
#include "protocol/ssh/transfer.h"
#include "ssh/relay.h"

static void note(void *context, struct slice text)
{
	struct lane *lane = context;

	if (!lane->relay->alone)
		link_tell(&lane->relay->link, BRIDGE_CARRIED, lane->id, SLICE_EMPTY, text);
}

void copied_begin(struct lane *lane, struct slice command)
{
	struct shell_line *line = memory_new(sizeof(*line));
	struct transfer t = {.program = TRANSFER_NONE};

	buffer_init(&line->text, 2 * command.length + 2);
	if (!lane->terminal && shell_split(command, line) == 0 && line->count == 1)
		t = transfer_of(line, &line->commands[0]);
	if (t.program == TRANSFER_SCP && t.reads != t.writes) {
		lane->copied_source = t.reads ? BRIDGE_STDOUT : BRIDGE_STDIN;
		lane->copied = scp_stream_new(t.reads ? "read" : "wrote", note, lane);
	}
	buffer_done(&line->text);
	free(line);
}

void copied_end(struct lane *lane)
{
	scp_stream_end(lane->copied);
	lane->copied = NULL;
}

void copied_take(struct lane *lane, enum bridge_stream stream, struct slice bytes)
{
	if (!lane->copied || stream == BRIDGE_STDERR)
		return;
	if (stream == lane->copied_source)
		scp_stream_from_source(lane->copied, bytes);
	else
		scp_stream_from_sink(lane->copied, bytes);
}
