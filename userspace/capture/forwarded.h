/* SPDX-License-Identifier: Apache-2.0
 *
 * forwarded: agents that are known by an interface of this host, as a virtual machine or a
 * container of others' making. Rules lead their connections (forward_rules.h) to listeners that are
 * each one agent's: that tells whose an accepted connection is (bpf/origin.bpf.c), and connection
 * tracking where it was to go (origin.h).
 *
 * A listener counts as an agent's only while rules are in force that let nobody else reach it;
 * before that, what it accepts has no origin.
 */
#ifndef WAYLEAVE_CAPTURE_FORWARDED_H
#define WAYLEAVE_CAPTURE_FORWARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "capture/forward_rules.h"
#include "capture/listener.h"
#include "capture/networks.h"

struct capture;
struct capture_forwarded;
struct capture_setup;

struct forwarded_agent {
	uint32_t id;
	struct listener_set there, here; /* for other hosts' addresses, and for this host's */
	bool told; /* workers accept on them */
	bool seen; /* in the setup that is being applied */
	bool wanted; /* in the last one that was */
	bool named; /* of this host's places only those that resources name */
	/* Own memory. */
	char **interfaces;
	size_t interface_count;
	struct forward_source *sources;
	size_t source_count;
	bool listen;
	enum udp_mode udp;
	uint64_t bandwidth;
};

struct forwarded {
	struct forwarded_agent *items;
	size_t count;
	bool known; /* there was a setup */
	bool loaded; /* the rules are in force; else they are to be loaded again */
	uint64_t shape; /* of the rules as they were loaded: forward_rules_shape() */
};

/* Makes the setup's agents what is to be governed by interface, once forwarded_load() has loaded
 * the rules. After an error it is what it was. Until the first call those of a daemon before are in
 * force. */
int forwarded_apply(struct capture *c, const struct capture_setup *setup, struct error *e);
/* Whether rules queue what some of them ask name servers, and what they send else. */
bool forwarded_watches(const struct capture *c);
bool forwarded_judges(const struct capture *c);
/* Loads the rules, and makes the listeners the agents'. Behind governed_guard(), which makes the
 * queue that they fill. */
int forwarded_load(struct capture *c, struct error *e);
/* Loads them again where somebody removed them, they are others by now, or it failed before. */
int forwarded_process(struct capture *c, struct error *e);
/* Whether the rules are those that were loaded. */
int forwarded_verify(struct capture *c, struct error *e);
/* The listeners, each under a number that is no network namespace's. */
void forwarded_each(const struct capture *c, networks_tell *tell, void *context);
/* Lets go of the listeners: who connects is refused. The rules stay. */
void forwarded_leave(struct capture *c);
/* At the end of the daemon, when no worker has connections any more: the rules that stay lead to no
 * port. */
void forwarded_done(struct capture *c);

#endif
