/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/forwarded.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "capture/guard.h"
#include "capture/state.h"

/* Cookies of network namespaces are counted from 1. */
#define NUMBERS_FIRST (1ULL << 63)

static uint64_t number_of(const struct forwarded_agent *a, bool here)
{
	return NUMBERS_FIRST | (uint64_t)a->id << 1 | here;
}

static struct forwarded_agent *find(struct forwarded *f, uint32_t id)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->items[i].id == id)
			return &f->items[i];
	}
	return NULL;
}

/* --- what workers have of it --- */

static void tell(const struct capture *c, const struct forwarded_agent *a, bool there)
{
	if (!c->networks.tell)
		return;
	c->networks.tell(c->networks.context, number_of(a, false), there ? a->there.pairs : NULL);
	c->networks.tell(c->networks.context, number_of(a, true), there ? a->here.pairs : NULL);
}

static void close_listeners(const struct capture *c, struct forwarded_agent *a)
{
	if (a->told)
		tell(c, a, false);
	a->told = false;
	listener_close(&a->there);
	listener_close(&a->here);
}

void forwarded_each(const struct capture *c, networks_tell *on_listener, void *context)
{
	for (size_t i = 0; i < c->forwarded.count; i++) {
		const struct forwarded_agent *a = &c->forwarded.items[i];

		if (!a->told)
			continue;
		on_listener(context, number_of(a, false), a->there.pairs);
		on_listener(context, number_of(a, true), a->here.pairs);
	}
}

void forwarded_leave(struct capture *c)
{
	for (size_t i = 0; i < c->forwarded.count; i++)
		close_listeners(c, &c->forwarded.items[i]);
}

/* --- the list --- */

static void forget_places(struct forwarded_agent *a)
{
	for (size_t i = 0; i < a->interface_count; i++)
		free(a->interfaces[i]);
	free(a->interfaces);
	free(a->sources);
	a->interfaces = NULL;
	a->sources = NULL;
	a->interface_count = a->source_count = 0;
}

static void copy_places(struct forwarded_agent *to, const struct capture_forwarded *from)
{
	forget_places(to);
	to->interfaces = memory_new_array(from->interface_count + 1, sizeof(*to->interfaces));
	to->sources = memory_new_array(from->source_count + 1, sizeof(*to->sources));
	for (; to->interface_count < from->interface_count; to->interface_count++)
		to->interfaces[to->interface_count] =
			memory_copy_string(from->interfaces[to->interface_count]);
	for (; to->source_count < from->source_count; to->source_count++)
		to->sources[to->source_count] = from->sources[to->source_count];
}

static struct forwarded_agent *add(struct forwarded *f, uint32_t id)
{
	f->items = memory_resize_array(f->items, f->count + 1, sizeof(*f->items));
	f->items[f->count] = (struct forwarded_agent){.id = id};
	return &f->items[f->count++];
}

static void drop(struct capture *c, struct forwarded_agent *a)
{
	close_listeners(c, a);
	forget_places(a);
	governed_forget_counters(c, a->id);
	*a = c->forwarded.items[--c->forwarded.count];
}

/* --- rules and listeners --- */

static int open_listeners(struct capture *c, struct forwarded_agent *a, struct error *e)
{
	int r = 0;

	if (a->there.count == 0)
		r = listener_open_wide(c->worker_fd, &a->there, e);
	if (r == 0 && a->here.count == 0)
		r = listener_open_wide(c->worker_fd, &a->here, e);
	return r;
}

static int mark_socket(const struct capture *c, int fd, const struct steer_forwarded *mark)
{
	if (fd == LISTENER_NO_SOCKET)
		return 0;
	return bpf_map_update_elem(c->programs.maps[PROGRAMS_FORWARDED], &fd, mark, BPF_ANY) < 0
		? -errno
		: 0;
}

static int mark_pair(
	const struct capture *c, const struct listener_set *set, const struct steer_forwarded *mark)
{
	int r = mark_socket(c, set->pairs[0].v4, mark);

	return r == 0 ? mark_socket(c, set->pairs[0].v6, mark) : r;
}

static int mark_listeners(const struct capture *c, const struct forwarded_agent *a)
{
	const struct steer_forwarded there = {.agent = a->id, .way = ORIGIN_FORWARDED};
	const struct steer_forwarded here = {.agent = a->id,
		.way = a->named ? ORIGIN_FORWARDED_NAMED : ORIGIN_FORWARDED,
		.local = 1};
	int r = mark_pair(c, &a->there, &there);

	return r == 0 ? mark_pair(c, &a->here, &here) : r;
}

static int load_rules(struct capture *c, struct error *e)
{
	struct forwarded *f = &c->forwarded;
	struct forward_agent *agents = memory_new_array(f->count + 1, sizeof(*agents));
	struct forward_rules rules = {.instance = c->pins.instance,
		.queue = c->queue_is_taken ? 0 : c->queue.number,
		.generation = c->generation,
		.agents = agents};
	int r;

	resolvers_read(&rules.resolvers);

	for (size_t i = 0; i < f->count; i++) {
		const struct forwarded_agent *a = &f->items[i];

		if (!a->wanted)
			continue;
		agents[rules.count++] = (struct forward_agent){
			.id = a->id,
			.interfaces = (const char *const *)a->interfaces,
			.interface_count = a->interface_count,
			.sources = a->sources,
			.source_count = a->source_count,
			.port = a->there.port,
			.port_here = a->here.port,
			.listen = a->listen,
			.udp = a->udp,
			.bandwidth = c->limits_not ? 0 : a->bandwidth,
		};
	}
	dropped_note(c);
	r = forward_rules_apply(&rules, e);
	if (r == 0) {
		dropped_begin_anew(c, DROPPED_INTERFACE_RULES);
		dropped_begin_anew(c, DROPPED_BRIDGE_RULES);
	}
	free(agents);
	return r;
}

static int keep_shape(struct capture *c, struct error *e)
{
	/* That they were loaded is no news. */
	(void)guard_watch_read(&c->forward_watch);
	if (c->forwarded.count == 0)
		return 0;
	return forward_rules_shape(c->pins.instance, &c->forwarded.shape, e);
}

/* A listener is an agent's once the rules are there: a handshake that began under others ends
 * without an origin, or not at all. */
int forwarded_load(struct capture *c, struct error *e)
{
	struct forwarded *f = &c->forwarded;
	int r = load_rules(c, e);

	f->loaded = false;
	for (size_t i = 0; r == 0 && i < f->count; i++) {
		struct forwarded_agent *a = &f->items[i];

		if (!a->wanted)
			continue;
		r = mark_listeners(c, a);
		if (r < 0)
			return error_set_errno(e, r, "the listeners for an interface");
		if (!a->told)
			tell(c, a, true);
		a->told = true;
	}
	/* Their ports are in no rule any more. */
	for (size_t i = f->count; r == 0 && i-- > 0;) {
		if (!f->items[i].wanted)
			drop(c, &f->items[i]);
	}
	if (r == 0)
		r = keep_shape(c, e);
	f->loaded = r == 0;
	return r;
}

static int take(struct capture *c, const struct capture_forwarded *from, struct error *e)
{
	struct forwarded_agent *a = find(&c->forwarded, from->id);
	int r = governed_ensure_counters(c, from->id);

	if (r < 0)
		return error_set_errno(e, r, "agent %s: its counters", from->name);
	if (!a)
		a = add(&c->forwarded, from->id);
	copy_places(a, from);
	a->seen = true;
	a->named = from->loopback != STEER_LOOPBACK_EGRESS;
	a->listen = from->listen;
	a->udp = from->udp;
	a->bandwidth = from->bandwidth;
	return open_listeners(c, a, e);
}

int forwarded_apply(struct capture *c, const struct capture_setup *setup, struct error *e)
{
	struct forwarded *f = &c->forwarded;
	int r = 0;

	for (size_t i = 0; i < f->count; i++)
		f->items[i].seen = false;
	for (size_t i = 0; r == 0 && i < setup->forwarded_count; i++)
		r = take(c, &setup->forwarded[i], e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < f->count; i++)
		f->items[i].wanted = f->items[i].seen;
	f->known = true;
	f->loaded = false;
	return 0;
}

int forwarded_process(struct capture *c, struct error *e)
{
	if (!c->forwarded.known || c->forwarded.loaded)
		return 0;
	return forwarded_load(c, e);
}

bool forwarded_watches(const struct capture *c)
{
	for (size_t i = 0; i < c->forwarded.count; i++) {
		const struct forwarded_agent *a = &c->forwarded.items[i];

		if (a->wanted && (a->udp == UDP_POLICY || a->udp == UDP_DNS))
			return true;
	}
	return false;
}

bool forwarded_judges(const struct capture *c)
{
	for (size_t i = 0; i < c->forwarded.count; i++) {
		if (c->forwarded.items[i].wanted && c->forwarded.items[i].udp == UDP_POLICY)
			return true;
	}
	return false;
}

int forwarded_verify(struct capture *c, struct error *e)
{
	uint64_t now;
	int r;

	if (c->forwarded.count == 0)
		return 0;
	r = forward_rules_shape(c->pins.instance, &now, e);
	if (r == 0 && now != c->forwarded.shape)
		r = error_set(
			e, -ESTALE, "nftables: somebody has changed the rules for interfaces");
	return r;
}

/* Without the listeners rules that lead to their ports would lead to whoever binds those next. */
static void refuse_all(struct capture *c)
{
	struct error e = {""};

	if (c->forwarded.known && c->forwarded.count > 0 && load_rules(c, &e) < 0)
		log_warning("agents behind interfaces: rules that refuse all: %s", e.text);
}

void forwarded_done(struct capture *c)
{
	forwarded_leave(c);
	refuse_all(c);
	for (size_t i = 0; i < c->forwarded.count; i++)
		forget_places(&c->forwarded.items[i]);
	free(c->forwarded.items);
	c->forwarded = (struct forwarded){0};
}
