/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/push.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "protocol/ssh/packet_line.h"

#define LIST_MOST (512u << 10)
#define KEPT_MOST (256u << 10) /* of the agent's bytes behind its list */
#define TO_MOST (256u << 10)

enum push_state {
	PUSH_LISTING,
	PUSH_OPTING, /* the list is there, its options follow */
	PUSH_ASKING,
	PUSH_PASSING, /* what the agent sends goes to the host */
	PUSH_REFUSED, /* it goes nowhere: git sends its pack before it reads the report */
};

struct push {
	struct deeds base;
	enum push_state state;
	struct push_list list;
	size_t line; /* where the line begins that is being read */
	struct buffer kept; /* behind the list */
	uint32_t question; /* 0: none */
	bool ended; /* the agent sends no more */
};

static struct push *push_of(const struct deeds *d)
{
	return container_of(d, struct push, base);
}

/* --- the list --- */

static bool is_oid(struct slice s)
{
	if (s.length != 40 && s.length != 64)
		return false;
	for (size_t i = 0; i < s.length; i++) {
		if (!strchr("0123456789abcdefABCDEF", s.data[i]) || !s.data[i])
			return false;
	}
	return true;
}

static bool is_zero(struct slice oid)
{
	for (size_t i = 0; i < oid.length; i++) {
		if (oid.data[i] != '0')
			return false;
	}
	return true;
}

static struct slice part(const struct push_list *list, size_t start, size_t length)
{
	return slice_head(slice_from(buffer_slice(&list->text), start), length);
}

struct slice push_list_ref(const struct push_list *list, size_t i)
{
	return part(list, list->updates[i].ref, list->updates[i].ref_length);
}

static bool is_capability(struct slice word, const char *name)
{
	size_t length = strlen(name);

	return slice_equal_string(slice_head(word, length), name) &&
		(word.length == length || word.data[length] == '=');
}

/* git's clients part them by single spaces. Its servers take any blank for one, read a capability
 * with a value as that capability, and nothing behind a NUL. */
static int read_capabilities(struct push_list *list, struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < ' ' || text.data[i] == 0x7f)
			return -EBADMSG;
	}
	while (text.length) {
		struct slice word = slice_take_until(&text, ' ');

		if (is_capability(word, "report-status") || is_capability(word, "report-status-v2"))
			list->capabilities |= PUSH_REPORT;
		else if (is_capability(word, "side-band-64k"))
			list->capabilities |= PUSH_SIDE_BAND;
		else if (is_capability(word, "push-options"))
			list->capabilities |= PUSH_OPTIONS;
	}
	return 0;
}

/* As git allows at most: a policy's pattern and a person see all of it. */
static bool is_ref(struct slice name)
{
	for (size_t i = 0; i < name.length; i++) {
		if (name.data[i] <= ' ' || name.data[i] == 0x7f)
			return false;
	}
	return name.length && name.length <= PUSH_REF_MOST;
}

static int add_update(struct push_list *list, struct slice line)
{
	const uint8_t *base = buffer_slice(&list->text).data;
	struct slice rest = line, old = slice_take_until(&rest, ' '),
		     new = slice_take_until(&rest, ' ');

	if (!is_oid(old) || !is_oid(new) || old.length != new.length || !is_ref(rest))
		return -EBADMSG;
	if (list->count == PUSH_UPDATES_MOST)
		return -E2BIG;
	list->updates[list->count++] = (struct push_update){
		.old = (size_t)(old.data - base),
		.new = (size_t)(new.data - base),
		.oid_length = old.length,
		.ref = (size_t)(rest.data - base),
		.ref_length = rest.length,
	};
	return 0;
}

/* Signed pushes ("push-cert") are none that is understood. */
int push_list_add(struct push_list *list, size_t start, size_t length)
{
	struct slice line = part(list, start + PACKET_LINE_HEAD, length - PACKET_LINE_HEAD), rest;
	const uint8_t *nul = memchr(line.data, '\0', line.length);
	int r;

	if (nul && list->count)
		return -EBADMSG;
	if (!nul && line.data[line.length - 1] == '\n')
		line.length--;
	if (nul) {
		rest = slice_from(line, (size_t)(nul - line.data) + 1);
		if (rest.length && rest.data[rest.length - 1] == '\n')
			rest.length--;
		r = read_capabilities(list, rest);
		if (r < 0)
			return r;
		line = slice_head(line, (size_t)(nul - line.data));
	}
	rest = line;
	if (slice_equal_string(slice_take_until(&rest, ' '), "shallow") && list->count == 0 && !nul)
		return is_oid(rest) ? 0 : -EBADMSG;
	return add_update(list, line);
}

/* git's own are one line of text; what people can't be shown is none. */
int push_list_add_option(struct push_list *list, size_t start, size_t length)
{
	struct slice line = part(list, start + PACKET_LINE_HEAD, length - PACKET_LINE_HEAD);
	int r;

	if (line.length && line.data[line.length - 1] == '\n')
		line.length--;
	for (size_t i = 0; i < line.length; i++) {
		if (line.data[i] < ' ' || line.data[i] == 0x7f)
			return -EBADMSG;
	}
	r = buffer_append_string(&list->options, "\noption: ");
	return r < 0 ? r : buffer_append_slice(&list->options, line);
}

int push_list_describe(const struct push_list *list, struct buffer *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->count; i++) {
		const struct push_update *u = &list->updates[i];
		struct slice old = part(list, u->old, u->oid_length);
		struct slice new = part(list, u->new, u->oid_length), ref = push_list_ref(list, i);
		const char *end = i ? "\n" : "";

		if (is_zero(new))
			r = buffer_append_format(
				ret, "%sdelete %.*s %.*s", end, SLICE_PRINT(ref), SLICE_PRINT(old));
		else if (is_zero(old))
			r = buffer_append_format(
				ret, "%screate %.*s %.*s", end, SLICE_PRINT(ref), SLICE_PRINT(new));
		else
			r = buffer_append_format(ret, "%supdate %.*s %.*s %.*s", end,
				SLICE_PRINT(ref), SLICE_PRINT(old), SLICE_PRINT(new));
	}
	return r < 0 ? r : buffer_append_slice(ret, buffer_slice(&list->options));
}

/* --- deciding --- */

static int pass_on(struct push *p)
{
	struct buffer *to = p->base.host->to[SIDE_SERVER];
	int r = buffer_append_slice(to, buffer_slice(&p->list.text));

	if (r == 0)
		r = buffer_append_slice(to, buffer_slice(&p->kept));
	p->state = PUSH_PASSING;
	buffer_done(&p->list.text);
	buffer_done(&p->kept);
	return r;
}

/* The host is told that nothing is pushed, and the agent why. */
static int refuse(struct push *p, struct slice text, struct slice object)
{
	struct deeds_host *host = p->base.host;
	char line[1024];
	int r;

	p->state = PUSH_REFUSED;
	r = push_append_report(&p->list, text, object, host->to[SIDE_AGENT]);
	if (r == 0 && !(p->list.capabilities & PUSH_SIDE_BAND)) {
		snprintf(line, sizeof(line), "wayleave: %.*s", SLICE_PRINT(text));
		host->say(host, slice_from_string(line));
	}
	buffer_done(&p->list.text);
	buffer_done(&p->kept);
	return r < 0 ? r : packet_line_append_end(host->to[SIDE_SERVER]);
}

/* For the refs alone no grant could tell one repository's main from another's. */
static size_t list_deeds(const struct push *p, struct bridge_deed *ret)
{
	const struct deeds_host *host = p->base.host;
	size_t count = 0;

	if (host->repository.length)
		ret[count++] = (struct bridge_deed){
			BRIDGE_DEED_GIT_PUSH, host->repository_known, host->repository};
	for (size_t i = 0; i < p->list.count; i++)
		ret[count++] = (struct bridge_deed){
			BRIDGE_DEED_GIT_PUSH, true, push_list_ref(&p->list, i)};
	return count;
}

static int describe(const struct push *p, struct buffer *ret)
{
	struct slice about = p->base.host->about;
	int r = buffer_append_slice(ret, about);

	if (r == 0 && about.length)
		r = buffer_append_byte(ret, '\n');
	return r < 0 ? r : push_list_describe(&p->list, ret);
}

/* It is recorded as what it is: a push of something unknown. The answer is awaited, as any. */
static int ask_blindly(struct push *p)
{
	static const struct slice unknown = {(const uint8_t *)"refs", 4};
	const struct bridge_deed deed = {BRIDGE_DEED_GIT_PUSH, false, unknown};
	struct deeds_host *host = p->base.host;
	struct buffer text;

	buffer_init(&text, LIST_MOST);
	buffer_append_slice(&text, host->about);
	buffer_append_string(&text, "\na push that is not understood");
	p->state = PUSH_ASKING;
	p->question = host->ask(host, &deed, 1, buffer_slice(&text));
	buffer_done(&text);
	return p->question ? 0 : pass_on(p);
}

static int ask(struct push *p)
{
	struct bridge_deed *deeds = memory_new_array(BRIDGE_DEEDS_MOST, sizeof(*deeds));
	struct deeds_host *host = p->base.host;
	size_t count = list_deeds(p, deeds);
	struct buffer text;
	int r;

	buffer_init(&text, LIST_MOST);
	r = describe(p, &text);
	p->state = PUSH_ASKING;
	if (r == 0)
		p->question = host->ask(host, deeds, count, buffer_slice(&text));
	buffer_done(&text);
	free(deeds);
	if (r < 0 || p->question)
		return r;
	if (host->observes)
		return ask_blindly(p);
	return refuse(p, slice_from_string("denied: too much in one push"), SLICE_EMPTY);
}

static int push_answer(struct deeds *d, bool allowed, struct slice text, struct slice object)
{
	const struct bridge_result passed = {.signal = slice_from_string("passed to the host")};
	struct push *p = push_of(d);
	uint32_t question = p->question;

	if (p->state != PUSH_ASKING)
		return -EBADMSG;
	p->question = 0;
	d->host->done(d->host, question, allowed ? &passed : NULL);
	return allowed ? pass_on(p) : refuse(p, text, object);
}

/* --- streams --- */

/* Up to the end of a line, or of its head; how much that is. */
static size_t wanted(const struct push *p)
{
	struct slice line = slice_from(buffer_slice(&p->list.text), p->line);
	int length;

	if (line.length < PACKET_LINE_HEAD)
		return PACKET_LINE_HEAD - line.length;
	length = packet_line_length(line.data);
	return length > (int)line.length ? (size_t)length - line.length : 0;
}

static int end_lines(struct push *p)
{
	if (p->list.count == 0)
		return pass_on(p);
	if (p->state == PUSH_OPTING || !(p->list.capabilities & PUSH_OPTIONS))
		return ask(p);
	p->state = PUSH_OPTING;
	p->line += PACKET_LINE_HEAD;
	return 0;
}

static int take_line(struct push *p)
{
	struct slice line = slice_from(buffer_slice(&p->list.text), p->line);
	int length = packet_line_length(line.data), r;

	if (length < 0)
		return length;
	if (length == 0)
		return end_lines(p);
	r = p->state == PUSH_OPTING ? push_list_add_option(&p->list, p->line, (size_t)length)
				    : push_list_add(&p->list, p->line, (size_t)length);
	p->line += (size_t)length;
	return r;
}

static int take_list(struct push *p, struct slice *in)
{
	struct slice some;
	int r;

	some = slice_head(*in, wanted(p));
	r = buffer_append_slice(&p->list.text, some);
	if (r < 0)
		return r;
	*in = slice_from(*in, some.length);
	if (wanted(p))
		return 0;
	return take_line(p);
}

static bool is_listing(const struct push *p)
{
	return p->state == PUSH_LISTING || p->state == PUSH_OPTING;
}

static int take_from_agent(struct push *p, struct slice in)
{
	int r = 0;

	while (r == 0 && in.length && is_listing(p))
		r = take_list(p, &in);
	if (r < 0 && p->base.host->observes)
		r = ask_blindly(p);
	if (r < 0 || !in.length)
		return r;
	if (p->state == PUSH_ASKING)
		return buffer_append_slice(&p->kept, in);
	return p->state == PUSH_PASSING ? buffer_append_slice(p->base.host->to[SIDE_SERVER], in)
					: 0;
}

static int push_take(struct deeds *d, enum side from, struct slice in)
{
	struct push *p = push_of(d);

	if (from == SIDE_AGENT)
		return take_from_agent(p, in);
	/* Its own report would follow ours. */
	return p->state == PUSH_REFUSED ? 0 : buffer_append_slice(d->host->to[SIDE_AGENT], in);
}

static bool push_wants(const struct deeds *d, enum side from)
{
	const struct push *p = push_of(d);

	if (from == SIDE_AGENT && p->state == PUSH_ASKING)
		return false;
	return buffer_length(d->host->to[side_other(from)]) < TO_MOST;
}

static bool push_is_dry(const struct deeds *d, enum side from)
{
	const struct push *p = push_of(d);

	if (from == SIDE_AGENT)
		return p->state != PUSH_ASKING;
	/* The agent still sends its pack; who ends the channel before would cut off the report. */
	return p->state != PUSH_REFUSED || p->ended;
}

static void push_end(struct deeds *d)
{
	push_of(d)->ended = true;
}

/* --- life --- */

static struct deeds *push_open(struct deeds_host *host)
{
	struct push *p = memory_new(sizeof(*p));

	p->base = (struct deeds){&deeds_push, host};
	buffer_init(&p->list.text, LIST_MOST);
	buffer_init(&p->list.options, LIST_MOST);
	buffer_init(&p->kept, KEPT_MOST);
	return &p->base;
}

static void push_close(struct deeds *d)
{
	struct push *p = push_of(d);

	if (p->question)
		d->host->done(d->host, p->question, NULL);
	buffer_done(&p->list.text);
	buffer_done(&p->list.options);
	buffer_done(&p->kept);
	free(p);
}

const struct deeds_protocol deeds_push = {
	.open = push_open,
	.close = push_close,
	.take = push_take,
	.end = push_end,
	.wants = push_wants,
	.is_dry = push_is_dry,
	.answer = push_answer,
};
