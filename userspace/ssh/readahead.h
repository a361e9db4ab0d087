/* SPDX-License-Identifier: Apache-2.0
 *
 * readahead: reads from the two legs' sockets in large pieces.
 *
 * libssh takes 4 KiB from a socket at a time and polls all it has before each: of a packet of 32
 * KiB that is sixteen system calls, a third of what a copy costs the session's process. It has no
 * setting for it. In wayleave-ssh its recv(2) and poll(2) come here (interpose.c), and nobody
 * else's do.
 *
 * And it polls in the middle of most of what it is asked for, several times for each packet, and
 * takes 4 KiB each time, of which the relay would look after each. So sockets are read in the
 * relay's own loop alone, and all that came together is taken before the relay looks at it.
 *
 * And where it polls for one session, and the other's connection has ended, it takes that for the
 * end of the first: ssh_handle_packets() marks its session as failed when a socket was closed in
 * the middle of ssh_poll_ctx_dopoll(), whosever it was. So ends are told there alone, too.
 *
 * And it gives the port that a host chose from the packet that it took last, whichever that is by
 * the time it is asked. So until it is known, that host's are taken in steps, which are too small
 * to end a packet and begin to read the next one (ssh_packet_socket_callback() wants four bytes of
 * it), and by nobody who does not ask for it.
 */
#ifndef WAYLEAVE_SSH_READAHEAD_H
#define WAYLEAVE_SSH_READAHEAD_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define READAHEAD_SIZE 65536
#define READAHEAD_STEP 4 /* bytes */

/* From now on `fd` is read ahead, until it is closed; at most two are, others are not. It must be
 * non-blocking. */
void readahead_add(int fd);
/* `fd` is about to be closed: what was read ahead is lost, and its number may be another's. False:
 * it was not read ahead. */
bool readahead_forget(int fd);

/* What readahead_poll() says from now on, of sockets that are read ahead and of others. */
enum readahead_phase {
	READAHEAD_BESIDE, /* all, but of ends nothing; at first */
	READAHEAD_LOOP, /* all: in the relay's own loop */
	READAHEAD_TAKE, /* what was read ahead, and nothing else: behind that */
	READAHEAD_TURN, /* nothing, but to who waits, or is given steps: while the relay looks */
};
void readahead_enter(enum readahead_phase phase);

/* Whether `fd`, which is read ahead, is to be as if nothing came, until the other says so; but for
 * the end of what its peer sends, with which it is over. */
void readahead_hold(int fd, bool on);

/* Whether `fd`, which is read ahead, is taken in steps from now on, of which each call of
 * readahead_poll() can lead to one: in the relay's own loop, and while they are given. */
void readahead_step(int fd, bool on);
/* Whether they are given from now on; how many were taken. */
size_t readahead_give_steps(int fd, bool on);

/* From now on no more than so many bytes in all are taken of the sockets that are read ahead;
 * beyond that they are as if nothing came, not even an end. Any number at first. */
void readahead_allow(uint64_t most);
uint64_t readahead_taken(void);

/* As recv(2) without flags: what was read ahead comes first. */
ssize_t readahead_receive(int fd, void *ret, size_t length);
/* As poll(2). Where something that was read ahead can be taken it doesn't wait, and looks at the
 * other sockets every eighth time; in the relay's own loop each time. */
int readahead_poll(struct pollfd *fds, nfds_t count, int timeout);

#endif
