/* SPDX-License-Identifier: Apache-2.0
 *
 * sftp: one channel of the SSH File Transfer Protocol between an agent and a host. Each request
 * that names a file is asked for, under the name that the host itself gives it; what is done with
 * an open file was decided when it was opened.
 *
 *   sftp.c          both streams of packets; what is done with open files
 *   sftp_job.c      a request that names files: found, asked for, sent on; the rest stands behind
 * it sftp_files.c    open files, and what went through them sftp_packet.c   the packets
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_SFTP_H
#define WAYLEAVE_PROTOCOL_SSH_SFTP_H

#include "protocol/ssh/deeds.h"

struct sftp;

/* As deeds_sftp (deeds.h). */
struct sftp *sftp_new(struct deeds_host *host);
void sftp_free(struct sftp *s);
int sftp_take(struct sftp *s, enum side from, struct slice in);
bool sftp_wants(const struct sftp *s, enum side from);
bool sftp_is_dry(const struct sftp *s, enum side from);
int sftp_answer(struct sftp *s, bool allowed, struct slice text);
int sftp_again(struct sftp *s);

#endif
