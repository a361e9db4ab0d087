/* SPDX-License-Identifier: Apache-2.0
 *
 * output: what a command or shell writes, on its way through the worker: with what detectors find
 * replaced (masking/stream.h), except what a terminal echoes of what the agent typed.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_OUTPUT_H
#define WAYLEAVE_PROTOCOL_SSH_OUTPUT_H

#include "masking/stream.h"
#include "protocol/protocol.h"
#include "protocol/ssh/bridge.h"

struct ssh_output;

/* `binary`: its stdout carries files, and passes as it is. What of the host is borrowed must
 * outlive it. */
struct ssh_output *ssh_output_new(
	const struct protocol_host *host, const struct mask_rules *rules, bool binary);
void ssh_output_free(struct ssh_output *o); /* takes NULL */

bool ssh_output_is_binary(const struct ssh_output *o);
/* The agent typed that into a terminal. */
void ssh_output_typed(struct ssh_output *o, struct slice bytes);
/* BRIDGE_STDOUT or _STDERR wrote bytes; empty: it ended, or has waited long enough. Stores what the
 * agent gets, valid until the next call, and how many bytes, of these and earlier ones, are settled
 * by that. Errors of mask_stream_pass(). */
int ssh_output_take(struct ssh_output *o, enum bridge_stream stream, struct slice bytes,
	struct slice *ret_shown, size_t *ret_settled);

/* Whether a command line runs a program whose output is a protocol of its own that carries files:
 * scp, rsync, git or an SFTP server, by itself, without anything that a shell would do beside it
 * but to find the names of files. */
bool ssh_output_carries_files(struct slice line);

#endif
