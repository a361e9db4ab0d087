/* SPDX-License-Identifier: Apache-2.0
 *
 * channels: what exec and attach carry, whichever transport carries it: a program's input and
 * outputs, the size of its terminal, and what became of it. Recorded as a terminal is; outputs are
 * masked by detectors. Internal to protocol/kubernetes/.
 */
#ifndef WAYLEAVE_PROTOCOL_KUBERNETES_CHANNELS_H
#define WAYLEAVE_PROTOCOL_KUBERNETES_CHANNELS_H

#include "masking/stream.h"
#include "protocol/http/stream.h"

/* As k8s.io/apimachinery/pkg/util/remotecommand numbers them. */
enum kubernetes_channel {
	KUBERNETES_STDIN,
	KUBERNETES_STDOUT,
	KUBERNETES_STDERR,
	KUBERNETES_ERROR, /* a Status, when the program has ended */
	KUBERNETES_RESIZE, /* {"Width": 80, "Height": 24} */
	KUBERNETES_CHANNELS
};

#define KUBERNETES_STATUS_MOST 65536u /* bytes of a Status */
#define KUBERNETES_SIZE_MOST 256u /* of a terminal's size */
/* Of what a program without a terminal writes, so much is recorded whatever the rules say. */
#define KUBERNETES_RECORDED 1048576u

/* What a program's output is. */
enum kubernetes_output {
	KUBERNETES_UNDECIDED, /* its first message is still to show it */
	KUBERNETES_TEXT, /* whatever it is: what is found is masked */
	KUBERNETES_ARCHIVE, /* which nothing is masked in */
};

struct kubernetes_channels {
	struct http_stream *stream; /* whose they are */
	uint64_t recorded; /* bytes of outputs */
	bool masked;
	enum kubernetes_output output; /* stdout */
	struct mask_stream masks[2]; /* of stdout and stderr, where something is masked */
	size_t came[2]; /* of their message in hand */
	struct buffer leaves[2]; /* what of them is settled, behind the next function */
	struct buffer status, size; /* as far as they came */
	struct buffer ending; /* the Status, masked */
};

void kubernetes_channels_init(struct kubernetes_channels *c, struct http_stream *stream);
void kubernetes_channels_done(struct kubernetes_channels *c);
/* Who may write to it. */
enum side kubernetes_channel_writer(enum kubernetes_channel channel);

/* For what passes as it came: records it, and reads sizes and Status. `ends`: a message of those is
 * complete. Errors as http_stream_kind.input(). */
int kubernetes_channels_note(struct kubernetes_channels *c, enum kubernetes_channel channel,
	struct slice bytes, bool ends);
enum kubernetes_more {
	KUBERNETES_WITHIN, /* of a message or frame, more comes */
	KUBERNETES_AWAITS, /* the next message, whenever that is */
	KUBERNETES_LAST, /* no more comes of the channel */
};

/* Where something is masked, for an output: what of it may leave is then in c->leaves[channel -
 * KUBERNETES_STDOUT], and recorded. */
int kubernetes_channels_mask(struct kubernetes_channels *c, enum kubernetes_channel channel,
	struct slice bytes, enum kubernetes_more more);
/* Where something is masked: the Status that was noted is in c->ending, as it may leave. */
int kubernetes_channels_mask_status(struct kubernetes_channels *c);

/* stream_messages.c, stream_spdy.c: as a dialect's open_stream(). */
struct http_stream *kubernetes_messages_new(
	const struct http_request *r, struct event_queue *events, const char **ret_problem);
struct http_stream *kubernetes_spdy_new(
	const struct http_request *r, struct event_queue *events, const char **ret_problem);

#endif
