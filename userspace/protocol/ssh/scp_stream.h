/* SPDX-License-Identifier: Apache-2.0
 *
 * scp_stream: what passes between the two programs of an scp, seen from the side: which files, how
 * large, and their digests. The source sends lines ("C0644 5 name", "D0755 0 name", "E", "T… ")
 * and behind a C line the file's bytes and a status; the sink answers each of these by a byte, 0:
 * go on, else a line that says what is wrong (OpenSSH's scp.c, source() and sink()).
 *
 * Pure. It judges nothing and changes nothing: what it can't follow, it says so, and looks no more.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_SCP_STREAM_H
#define WAYLEAVE_PROTOCOL_SSH_SCP_STREAM_H

#include "base/slice.h"

struct scp_stream;

/* `verb` ("wrote") is static; note() is told "wrote 5 bytes, sha256 …: folder/name" of each file,
 * at most LIMIT_SCP_FILES of them, and once what was not told. */
struct scp_stream *scp_stream_new(
	const char *verb, void (*note)(void *context, struct slice text), void *context);
/* Says of what is not complete that it is not; frees. Takes NULL. */
void scp_stream_end(struct scp_stream *s);
void scp_stream_from_source(struct scp_stream *s, struct slice bytes);
void scp_stream_from_sink(struct scp_stream *s, struct slice bytes);

#endif
