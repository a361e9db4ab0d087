/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/network_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/log.h"
#include "base/memory.h"
#include "capture/guard.h"
#include "capture/namespace.h"
#include "capture/state.h"

#define TEXT_MOST (1u << 20)

struct network_rules {
	struct queue queue;
	struct guard_watch watch;
	uint64_t loaded; /* a number for their text; 0: none */
	uint64_t shape; /* of the rules as they were loaded */
};

static bool is_loopback(const struct resolver *r)
{
	return strncmp(r->text, "127.", 4) == 0 || strcmp(r->text, "::1") == 0;
}

/* A resolver of the host's on its loopback is another one there, or none. */
static void read_resolvers(struct resolvers *ret)
{
	struct resolvers all;

	resolvers_read(&all);
	ret->count = 0;
	for (size_t i = 0; i < all.count; i++) {
		if (!is_loopback(&all.items[i]))
			ret->items[ret->count++] = all.items[i];
	}
}

/* `ret->agents` is on the heap. */
static void fill(struct capture *c, const struct network *w, struct guard *ret)
{
	governed_fill_guard(c, w->agent, ret);
	ret->elsewhere = true;
	ret->port = 0;
	ret->queue = w->rules->queue.number;
	ret->queue_is_taken = false;
	ret->forwards_names = ret->forwards_flows = false;
	read_resolvers(&ret->resolvers);
}

/* Inside the namespace. What fills the queue first: until then what is asked for is dropped. */
static int load_here(struct capture *c, struct network *w, struct error *e)
{
	struct guard guard;
	struct buffer text;
	uint64_t sum = 0;
	int r;

	fill(c, w, &guard);
	buffer_init(&text, TEXT_MOST);
	r = guard_text(&guard, &text);
	if (r < 0) {
		error_set_errno(e, r, "the rules for nftables");
	} else {
		sum = XXH3_64bits(buffer_slice(&text).data, buffer_slice(&text).length);
		if (sum == w->rules->loaded)
			goto out;
	}
	w->rules->loaded = 0;
	if (r == 0 && guard_queues(&guard))
		r = guard_make_queue(&guard, e);
	if (r == 0)
		r = guard_apply(&guard, e);
	if (r == 0)
		r = guard_take_shape(&guard, &w->rules->watch, &w->rules->shape, e);
	if (r == 0)
		w->rules->loaded = sum;
out:
	buffer_done(&text);
	free((void *)guard.agents);
	return r;
}

static int enter(const struct network *w, int *ret_home, struct error *e)
{
	int r = namespace_enter(w->namespace_fd, w->cookie, ret_home);

	return r < 0 ? error_set_errno(e, r, "its network namespace") : 0;
}

static int load(struct capture *c, struct network *w, struct error *e)
{
	int home, r = enter(w, &home, e);

	if (r < 0)
		return r;
	r = load_here(c, w, e);
	namespace_leave(home);
	return r;
}

static int watch_here(struct capture *c, struct network *w, struct error *e)
{
	struct epoll_event event = {.events = EPOLLIN};
	int r = guard_watch_open(&w->rules->watch, c->pins.instance, e);

	if (r == 0 &&
		epoll_ctl(c->epoll, EPOLL_CTL_ADD, guard_watch_descriptor(&w->rules->watch),
			&event) < 0)
		r = error_set_errno(e, -errno, "epoll");
	return r;
}

void network_rules_close(struct networks *n, struct network *w)
{
	struct error e;
	int home;

	if (!w->rules)
		return;
	guard_watch_close(&w->rules->watch);
	n->on_queue(n->context, w->cookie, NULL);
	queue_close(&w->rules->queue);
	if (namespace_enter(w->namespace_fd, w->cookie, &home) == 0) {
		(void)guard_remove(n->capture->pins.instance, &e);
		namespace_leave(home);
	}
	free(w->rules);
	w->rules = NULL;
}

static int open_all(struct capture *c, struct network *w, struct error *e)
{
	int home,
		r = queue_open_in(
			&w->rules->queue, c->pins.instance, w->namespace_fd, w->cookie, e);

	if (r < 0)
		return r;
	c->networks.on_queue(c->networks.context, w->cookie, &w->rules->queue);
	r = enter(w, &home, e);
	if (r < 0)
		return r;
	r = watch_here(c, w, e);
	if (r == 0)
		r = load_here(c, w, e);
	namespace_leave(home);
	return r;
}

static int open_rules(struct capture *c, struct network *w, struct error *e)
{
	int r;

	w->rules = memory_new(sizeof(*w->rules));
	w->rules->queue.verdicts = w->rules->queue.source = -1;
	r = open_all(c, w, e);
	if (r < 0)
		network_rules_close(&c->networks, w);
	return r;
}

static int verify(struct capture *c, struct network *w, struct error *e)
{
	struct guard guard;
	int home, r = enter(w, &home, e);

	if (r < 0)
		return r;
	fill(c, w, &guard);
	r = guard_check(&guard, w->rules->shape, e);
	free((void *)guard.agents);
	namespace_leave(home);
	return r;
}

static bool are_others(struct capture *c, struct network *w)
{
	struct error e;

	return w->rules && guard_watch_read(&w->rules->watch) && verify(c, w, &e) < 0;
}

/* --- of all --- */

/* Nobody asks again, until there is another configuration. The hooks first: what they let out has
 * been judged by the rules. */
static void refuse_datagrams(struct networks *n, struct network *w, const struct error *e)
{
	networks_put(n, w, NETWORK_JUDGED_NEVER);
	network_rules_close(n, w);
	if (!n->unruled)
		log_warning("datagrams are refused in a network namespace of agent %08x: %s",
			w->agent, e->text);
	n->unruled = true;
}

/* The hooks let datagrams out when the rules are there. */
static void rule(struct networks *n, struct network *w)
{
	struct error e;
	int r = open_rules(n->capture, w, &e);

	if (r == 0)
		r = networks_put(n, w, w->agent);
	if (r < 0)
		refuse_datagrams(n, w, &e);
	else
		n->unruled = false;
}

/* Any agent's that could change the rules ends them for good: it may have changed them. */
void network_rules_on_event(
	struct networks *n, struct network *w, const struct network_event *event)
{
	struct error e;

	if (!n->capture || !w->listener.count || w->never)
		return;
	if (event->ruled == NETWORK_NOT_RULED) {
		w->never = true;
		error_set(&e, -EPERM, "pid %u could change the rules there", event->pid);
		refuse_datagrams(n, w, &e);
	} else if (event->ruled == NETWORK_RULED && event->agent == w->agent && !w->rules) {
		rule(n, w);
	}
}

static void reload(struct networks *n, struct network *w)
{
	struct error e;

	if (load(n->capture, w, &e) < 0)
		refuse_datagrams(n, w, &e);
}

/* Of rules that are not what they were: until they are again nothing leaves. */
static void load_again(struct networks *n, struct network *w)
{
	networks_put(n, w, 0);
	w->rules->loaded = 0;
	reload(n, w);
	if (w->rules)
		networks_put(n, w, w->agent);
}

void network_rules_reload(struct networks *n)
{
	for (size_t i = 0; i < n->count; i++) {
		struct network *w = &n->items[i];

		if (w->rules)
			reload(n, w);
		else if (n->capture && w->listener.count && !w->never)
			networks_put(n, w, 0);
	}
}

void network_rules_renew_queues(struct networks *n)
{
	for (size_t i = 0; i < n->count; i++) {
		struct network *w = &n->items[i];

		if (!w->rules)
			continue;
		networks_put(n, w, 0);
		network_rules_close(n, w);
		rule(n, w);
	}
}

int network_rules_verify(struct networks *n, struct error *e)
{
	int r = 0;

	for (size_t i = 0; i < n->count; i++) {
		struct network *w = &n->items[i];
		struct error found;
		int own = w->rules ? verify(n->capture, w, &found) : 0;

		if (own == 0)
			continue;
		if (r == 0)
			*e = found;
		r = own;
		load_again(n, w);
	}
	return r;
}

void network_rules_put_back(struct networks *n)
{
	for (size_t i = 0; i < n->count; i++) {
		struct network *w = &n->items[i];

		if (are_others(n->capture, w))
			load_again(n, w);
	}
}

void network_rules_each_queue(
	const struct networks *n, networks_tell_queue *on_queue, void *context)
{
	for (size_t i = 0; i < n->count; i++) {
		if (n->items[i].rules)
			on_queue(context, n->items[i].cookie, &n->items[i].rules->queue);
	}
}

/* --- of a daemon that is gone --- */

struct removal {
	const char *instance;
	unsigned count;
};

static void remove_here(void *context)
{
	struct removal *m = context;
	uint64_t shape;
	struct error e;

	if (guard_shape(m->instance, &shape, &e) == 0)
		m->count += guard_remove(m->instance, &e) == 0;
}

unsigned network_rules_remove(const char *instance)
{
	struct removal m = {.instance = instance};

	namespace_each(remove_here, &m);
	return m.count;
}
