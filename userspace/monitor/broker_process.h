/* SPDX-License-Identifier: Apache-2.0
 *
 * broker_process: the broker (broker/messages.h) as the monitor keeps it: started with its secrets
 * and its listening socket, started again when it dies, ended when it is no more wanted. What it
 * sends is handed to one function, unread.
 */
#ifndef WAYLEAVE_MONITOR_BROKER_PROCESS_H
#define WAYLEAVE_MONITOR_BROKER_PROCESS_H

#include "base/buffer.h"
#include "base/error.h"
#include "broker/messages.h"
#include "monitor/loop.h"

/* What a broker works with. */
struct broker_setup {
	enum broker_role role;
	struct buffer texts[BROKER_TEXT_COUNT];
	char *listen; /* "ADDRESS:PORT"; NULL: nowhere */
	uid_t uid;
	gid_t gid;
};

struct broker_process {
	struct loop *loop;
	void (*on_start)(void *context); /* one is there that knows nothing yet */
	void (*on_message)(void *context, uint32_t type, struct slice payload);
	/* A socket is about to listen for it; negative errno: it can't. NULL: nothing to do. */
	int (*on_listen)(void *context, int fd);
	void *context;

	struct broker_setup *setup; /* NULL: there shall be none */
	int listener; /* -1: none */
	pid_t pid; /* 0: not running */
	int channel; /* -1: none */
	struct loop_source source;
	uint64_t started, start_again; /* monotonic */
	unsigned failures; /* in a row */
};

void broker_process_init(struct broker_process *b, struct loop *loop);
/* From now on there is a broker with this setup, which becomes its own (NULL: none). A running one
 * stays where nothing differs. On an error (the address can't be listened on) all is as before, and
 * the setup is freed. */
int broker_process_set(struct broker_process *b, struct broker_setup *setup, struct error *e);
/* Whether the process was it. */
bool broker_process_on_exit(struct broker_process *b, pid_t pid, int status);
void broker_process_tick(struct broker_process *b, uint64_t now);
/* Ends it and waits for that. */
void broker_process_stop(struct broker_process *b);
/* -EPIPE: there is none now; others: it was not sent. */
int broker_process_tell(struct broker_process *b, enum broker_message type, const void *head,
	size_t length, const char *text, int fd);

int broker_process_tell_bytes(
	struct broker_process *b, enum broker_message type, struct slice payload);

struct broker_setup *broker_setup_new(enum broker_role role);
void broker_setup_free(struct broker_setup *s); /* takes NULL; wipes the secrets */

#endif
