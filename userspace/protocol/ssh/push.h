/* SPDX-License-Identifier: Apache-2.0
 *
 * push: what git-receive-pack is told on one channel (gitprotocol-pack(5), "Pushing data to a
 * server"): the agent's list of refs to create, update and delete, with its options, is one
 * question about these refs of that repository, and nothing of it, nor the pack behind it, reaches
 * the host before it is answered. A refused push is reported as git does, ref by ref. Objects are
 * the refs' names; whether an update is a forced one the list does not say.
 *
 *   push.c          the list and the streams
 *   push_report.c   the report of a refused push
 *   packet_line.c   lines with their length in front
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_PUSH_H
#define WAYLEAVE_PROTOCOL_SSH_PUSH_H

#include "protocol/ssh/deeds.h"

#define PUSH_UPDATES_MOST (BRIDGE_DEEDS_MOST - 1) /* and the repository */
#define PUSH_REF_MOST 1024u

/* One line of the list; offsets into it. */
struct push_update {
	size_t old, new, oid_length; /* where the object names are */
	size_t ref, ref_length;
};

enum push_capability {
	PUSH_REPORT = 1 << 0, /* report-status or its version 2 */
	PUSH_SIDE_BAND = 1 << 1, /* side-band-64k */
	PUSH_OPTIONS = 1 << 2, /* options follow the list */
};

struct push_list {
	struct buffer text; /* as it came, with the options */
	struct push_update updates[PUSH_UPDATES_MOST];
	size_t count;
	unsigned capabilities; /* enum push_capability, that the agent asks for */
	struct buffer options; /* for people: "option: …", each behind a line's end */
};

/* A line of the list, at `start` of list->text, with its head. -EBADMSG: it is none; -E2BIG: there
 * are too many. */
int push_list_add(struct push_list *list, size_t start, size_t length);
/* A line of the options behind it, in the same way. */
int push_list_add_option(struct push_list *list, size_t start, size_t length);
struct slice push_list_ref(const struct push_list *list, size_t i);
/* For people: "update refs/heads/main 1234… → 5678…", a line each, and the options. */
int push_list_describe(const struct push_list *list, struct buffer *ret);

/* Appends what git-receive-pack would say of a push whose refs are all refused: `text` of the ref
 * `object`, or of all where that is empty or none of them. */
int push_append_report(
	const struct push_list *list, struct slice text, struct slice object, struct buffer *ret);

#endif
