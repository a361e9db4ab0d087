/* SPDX-License-Identifier: Apache-2.0
 *
 * Which messages the outbox has room for, and whose turn it is.
 */
#include "base/memory.h"
#include "broker/outbox_internal.h"

/* An agent that has messages here. */
struct sender {
	struct list link;
	char *agent;
	unsigned count; /* of its messages */
	uint64_t served; /* the turn of its last request; 0: none */
};

static struct sender *find_or_add_sender(struct outbox *o, const char *agent)
{
	struct sender *s;

	list_for_each (position, &o->senders) {
		s = list_entry(position, struct sender, link);
		if (strcmp(s->agent, agent) == 0)
			return s;
	}
	s = memory_new(sizeof(*s));
	s->agent = memory_copy_string(agent);
	list_append(&o->senders, &s->link);
	return s;
}

static void leave_sender(struct sender *s)
{
	if (--s->count)
		return;
	list_remove(&s->link);
	free(s->agent);
	free(s);
}

/* --- room --- */

void outbox_forget(struct outbox *o, struct outbox_message *m)
{
	list_remove(&m->link);
	o->count--;
	leave_sender(m->sender);
	outbox_set_content(m, NULL, NULL);
	free(m);
}

/* What nobody has begun to show, of an agent with more messages than the other one: it is offered
 * again. The newest, as the others have waited for longer. */
static struct outbox_message *find_of_who_has_more(struct outbox *o, const struct sender *than)
{
	const struct sender *most = than;
	struct outbox_message *newest = NULL;

	list_for_each (position, &o->senders) {
		const struct sender *s = list_entry(position, struct sender, link);

		if (s->count > most->count)
			most = s;
	}
	if (most == than)
		return NULL;
	list_for_each (position, &o->messages) {
		struct outbox_message *m = list_entry(position, struct outbox_message, link);

		if (m->sender == most && !m->posted && !m->unsure && !m->in_flight)
			newest = m;
	}
	return newest;
}

/* What is shown as it should be need not be kept; outcomes that could not be told give way to
 * reviews that somebody waits for, of the agent with the most first; and agents have equal parts.
 */
static bool make_room(struct outbox *o, const struct sender *sender)
{
	struct outbox_message *other;
	struct outbox_message *closed = NULL;

	if (o->count < OUTBOX_MOST)
		return true;
	list_for_each (position, &o->messages) {
		struct outbox_message *m = list_entry(position, struct outbox_message, link);

		if (m->in_flight)
			continue;
		if (!m->waiting) {
			outbox_forget(o, m);
			return true;
		}
		if (m->closed && (!closed || m->sender->count > closed->sender->count))
			closed = m;
	}
	if (closed) {
		outbox_finish(o, closed);
		return true;
	}
	other = find_of_who_has_more(o, sender);
	if (!other)
		return false;
	o->options.shown(o->options.context, &other->place, BROKER_SHOWN_NOT);
	outbox_forget(o, other);
	return true;
}

struct outbox_message *outbox_add(struct outbox *o, const char *agent)
{
	struct sender *sender = find_or_add_sender(o, agent);
	struct outbox_message *m;

	sender->count++; /* else it could go with what gives way */
	if (!make_room(o, sender)) {
		leave_sender(sender);
		return NULL;
	}
	m = memory_new(sizeof(*m));
	m->sender = sender;
	list_append(&o->messages, &m->link);
	o->count++;
	return m;
}

/* --- turns --- */

static bool is_due(const struct outbox_message *m, uint64_t now)
{
	return m->waiting && !m->in_flight && m->due <= now;
}

/* The oldest that is due, of the agent whose last turn is the longest ago: one that asks for much
 * holds up nobody else's, also where Slack lets only few pass. */
struct outbox_message *outbox_find_next(struct outbox *o, uint64_t now)
{
	struct outbox_message *next = NULL;

	list_for_each (position, &o->messages) {
		struct outbox_message *m = list_entry(position, struct outbox_message, link);

		if (is_due(m, now) && (!next || m->sender->served < next->sender->served))
			next = m;
	}
	return next;
}

void outbox_take_turn(struct outbox *o, struct outbox_message *m)
{
	m->sender->served = ++o->turns;
}
