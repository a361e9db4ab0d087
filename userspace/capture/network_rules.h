/* SPDX-License-Identifier: Apache-2.0
 *
 * network_rules: the guard's rules for datagrams (guard.h) in another network namespace than the
 * daemon's, of one agent, and a queue of their own there: what they let pass goes on from there.
 * What the agent is answered by name servers of the host's is believed as at home: so no thread of
 * an agent's may be able to change the rules, or have made the namespace (bpf/networks.h). Without
 * them the hooks let no datagram out.
 */
#ifndef WAYLEAVE_CAPTURE_NETWORK_RULES_H
#define WAYLEAVE_CAPTURE_NETWORK_RULES_H

#include "capture/networks.h"

/* Of a namespace with a listener: makes the rules, where the event is of its agent and says that
 * the thread can't change them, or takes them away for good, where a thread of any agent's can. The
 * hooks are told. */
void network_rules_on_event(
	struct networks *n, struct network *w, const struct network_event *event);
/* Agents, resolvers or the policy are others: so are the rules. */
void network_rules_reload(struct networks *n);
/* Whoever had the queues is gone: what it may have given away is worth nothing from here on. */
void network_rules_renew_queues(struct networks *n);
/* Whether all of them are what was loaded; where they are not, loads them again. */
int network_rules_verify(struct networks *n, struct error *e);
/* Puts back what somebody removed or changed. */
void network_rules_put_back(struct networks *n);
void network_rules_each_queue(
	const struct networks *n, networks_tell_queue *on_queue, void *context);
/* Takes the rules away, as far as the namespace is there, and closes the queue; none is no error.
 */
void network_rules_close(struct networks *n, struct network *w);

/* Of an instance that is taken away: removes what a daemon that was killed has left in any
 * namespace that a process is in. In how many there was something. */
unsigned network_rules_remove(const char *instance);

#endif
