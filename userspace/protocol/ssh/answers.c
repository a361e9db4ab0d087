/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/engine_internal.h"

#include <errno.h>

#include "base/text.h"

static struct ssh_lane *asked_lane(struct protocol_engine *base, uint32_t id)
{
	struct ssh_lane *lane = ssh_lane_find(ssh_engine_of(base), id);

	return lane && lane->asked ? lane : NULL;
}

/* What the host could use on the agent's side. */
static bool is_backward(const struct ssh_lane *lane)
{
	return lane->kind == BRIDGE_AGENT_FORWARD || lane->kind == BRIDGE_X11;
}

static bool is_text(const struct ssh_lane *lane)
{
	return lane->kind == BRIDGE_SHELL ||
		(lane->kind == BRIDGE_EXEC &&
			lane->facts.action.pairs[0].operation == OPERATION_SSH_EXEC);
}

/* Files by SFTP and git are no text, of variables nothing comes back. */
static bool has_nothing_to_mask(const struct ssh_lane *lane)
{
	return lane->kind == BRIDGE_ENV || lane->kind == BRIDGE_DEEDS ||
		lane->kind == BRIDGE_LINE || lane->inside ||
		(lane->kind == BRIDGE_EXEC && !is_text(lane));
}

/* What passes on its standard output is files, of which nothing is masked; stderr is. */
static bool carries_files(const struct ssh_lane *lane)
{
	return lane->inside || (lane->kind == BRIDGE_EXEC && !is_text(lane)) ||
		(lane->kind == BRIDGE_EXEC && !lane->terminal &&
			ssh_output_carries_files(lane->facts.action.text));
}

/* Columns and JSON are nowhere in what a command writes: where a rule names them, it means
 * something that can't be found here. */
static bool can_mask(const struct ssh_lane *lane, const struct mask_rules *rules)
{
	return has_nothing_to_mask(lane) ||
		(is_text(lane) && !rules->column_count && !rules->json_count);
}

static int check_lane(
	const struct ssh_lane *lane, const struct mask_rules *rules, struct protocol_refusal *ret)
{
	if (is_backward(lane)) {
		*ret = (struct protocol_refusal){REASON_NOT_BUILT,
			slice_from_string("denied: nothing carries this kind of forwarding")};
		return -EPERM;
	}
	if (rules && !can_mask(lane, rules)) {
		*ret = (struct protocol_refusal){REASON_MASK_IMPOSSIBLE,
			slice_from_string("denied: what SSH carries here can't be masked so")};
		return -EPERM;
	}
	return 0;
}

int ssh_mask(struct protocol_engine *base, uint32_t id, const struct mask_rules *rules,
	bool record_rows, struct protocol_refusal *ret)
{
	struct ssh_lane *lane = asked_lane(base, id);
	int r;

	if (!lane)
		return 0;
	lane->record = record_rows;
	ssh_output_free(lane->output);
	lane->output = NULL;
	r = check_lane(lane, rules, ret);
	if (r == 0 && rules && (is_text(lane) || carries_files(lane)))
		lane->output = ssh_output_new(base->host, rules, carries_files(lane));
	return r;
}

int ssh_would_refuse(struct protocol_engine *base, uint32_t id, const struct mask_rules *rules,
	struct protocol_refusal *ret)
{
	const struct ssh_lane *lane = asked_lane(base, id);

	return lane ? check_lane(lane, rules, ret) : 0;
}

static void leave_lane(struct ssh_lane *lane)
{
	lane->asked = false;
	lane->state = LANE_IDLE;
	ssh_facts_done(&lane->facts);
}

static bool runs(const struct ssh_lane *lane)
{
	return lane->kind == BRIDGE_EXEC || lane->kind == BRIDGE_SHELL ||
		lane->kind == BRIDGE_SUBSYSTEM || lane->kind == BRIDGE_DEEDS ||
		lane->kind == BRIDGE_REMOTE_FORWARD || ssh_lane_is_tunnel(lane);
}

/* A terminal is always recorded, what a command writes where the rule says so. Subsystems and git
 * carry files. */
static uint8_t recorded(const struct ssh_lane *lane)
{
	if (lane->inside || lane->kind == BRIDGE_SUBSYSTEM || lane->kind == BRIDGE_DEEDS ||
		lane->kind == BRIDGE_REMOTE_FORWARD || ssh_lane_is_tunnel(lane))
		return 0;
	if (lane->terminal || lane->kind == BRIDGE_SHELL)
		return BRIDGE_INSPECT_INPUT | BRIDGE_INSPECT_OUTPUT;
	return lane->record ? BRIDGE_INSPECT_OUTPUT : 0;
}

static uint8_t inspected(const struct ssh_lane *lane, const struct protocol_host *host)
{
	uint8_t inspect = recorded(lane);

	if (lane->lines && host->judges_lines)
		inspect |= BRIDGE_INSPECT_LINES;
	if (lane->output)
		inspect |= BRIDGE_INSPECT_MASK;
	if (lane->inside)
		return inspect | lane->inside | (host->observes ? BRIDGE_INSPECT_OBSERVE : 0);
	if (ssh_lane_is_tunnel(lane))
		return BRIDGE_INSPECT_INPUT | BRIDGE_INSPECT_OUTPUT;
	if (lane->output && !ssh_output_is_binary(lane->output))
		inspect |= BRIDGE_INSPECT_OUTPUT;
	return inspect;
}

static void keep_variable(struct ssh_lane *lane)
{
	struct slice text = lane->facts.action.text;

	if (lane->has_more ||
		buffer_length(&lane->environment) + text.length + 1 > LIMIT_SSH_ENVIRONMENT) {
		lane->has_more = true;
		return;
	}
	buffer_append_slice(&lane->environment, text);
	buffer_append_byte(&lane->environment, '\0');
}

int ssh_release(struct protocol_engine *base, uint32_t id, uint64_t number)
{
	struct ssh_engine *e = ssh_engine_of(base);
	struct ssh_lane *lane = asked_lane(base, id);
	uint8_t inspect = 0;

	if (!lane)
		return 0;
	if (lane->kind == BRIDGE_ENV)
		keep_variable(lane);
	if (runs(lane)) {
		tunnel_free(lane->tunnel);
		lane->tunnel =
			ssh_lane_is_tunnel(lane) ? tunnel_new(lane->facts.action.text) : NULL;
	}
	leave_lane(lane);
	if (runs(lane)) {
		inspect = inspected(lane, base->host);
		lane->number = number;
		lane->record = recorded(lane);
		lane->cut = false;
	}
	if (lane->record && lane->terminal)
		ssh_set_event(e, EVENT_DATA)->data = (struct protocol_data){
			.action = number,
			.kind = DATA_WINDOW,
			.columns = lane->columns,
			.rows = lane->rows,
		};
	return ssh_tell(base, BRIDGE_ALLOW, id, slice_of(&inspect, 1), SLICE_EMPTY);
}

static int refuse_deeds(
	struct protocol_engine *base, uint32_t id, const struct protocol_refusal *refusal)
{
	struct buffer body;
	int r;

	buffer_init(&body, BRIDGE_BODY_MOST);
	r = buffer_append_slice(&body, refusal->text);
	if (r == 0 && refusal->object.length)
		r = buffer_append_byte(&body, 0);
	if (r == 0)
		r = buffer_append_slice(&body, refusal->object);
	if (r == 0)
		r = ssh_tell(base, BRIDGE_DENY, id, SLICE_EMPTY, buffer_slice(&body));
	buffer_done(&body);
	return r;
}

int ssh_refuse(struct protocol_engine *base, uint32_t id, uint64_t number,
	const struct protocol_refusal *refusal)
{
	struct ssh_lane *lane = asked_lane(base, id);
	int r;

	(void)number;
	if (!lane)
		return 0;
	/* The object may be the lane's. */
	r = lane->kind == BRIDGE_DEEDS ? refuse_deeds(base, id, refusal)
				       : ssh_tell_text(base, BRIDGE_DENY, id, refusal->text);
	leave_lane(lane);
	return r;
}

/* On one line, so that no value looks like a line of its own. */
static int put_line(struct buffer *b, const char *name, struct slice value)
{
	int r = buffer_append_format(b, "\n%s: ", name);

	while (r == 0 && value.length) {
		const uint8_t *end = memchr(value.data, '\n', value.length);
		size_t length = end ? (size_t)(end - value.data) : value.length;

		r = text_append_visible(b, slice_head(value, length));
		if (r == 0 && end)
			r = buffer_append_string(b, "\\x0a");
		value = slice_from(value, length + 1);
	}
	return r;
}

/* Commands read what is in the environment, and a line that is typed what the shell was told
 * before. */
static int put_context(struct ssh_engine *e, const struct ssh_lane *lane)
{
	const uint8_t *n = e->base.host->nonce + 16;
	struct slice rest = buffer_slice(&lane->environment);
	int r;

	buffer_clear(&e->context);
	r = buffer_append_string(&e->context, e->user);
	while (r == 0 && rest.length) {
		struct slice one = slice_from_string((const char *)rest.data);

		r = put_line(&e->context, "env", one);
		rest = slice_from(rest, one.length + 1);
	}
	if (r == 0 && lane->kind == BRIDGE_LINE)
		r = buffer_append_format(
			&e->context, "\nonly in session: %02x%02x%02x%02x", n[0], n[1], n[2], n[3]);
	return r;
}

int ssh_bind(struct protocol_engine *base, uint32_t id, struct protocol_binding *ret)
{
	struct ssh_engine *e = ssh_engine_of(base);
	struct ssh_lane *lane = asked_lane(base, id);
	int r;

	if (!lane)
		return -ENOTSUP;
	if (lane->partial)
		return lane->kind == BRIDGE_LINE ? -ENOTSUP : -E2BIG;
	r = lane->has_more ? -E2BIG : put_context(e, lane);
	if (r < 0)
		return r;
	*ret = (struct protocol_binding){.context = buffer_slice(&e->context)};
	/* The same words as a command and as a variable are not the same question. */
	ret->bound[0] = slice_of(&lane->kind, sizeof(lane->kind));
	ret->bound[1] = slice_of(&lane->terminal, sizeof(lane->terminal));
	ret->bound[2] = buffer_slice(&lane->environment);
	return 0;
}

bool ssh_reassure(struct protocol_engine *base, uint32_t id, struct slice text)
{
	/* The process keeps the connection alive by itself. */
	return asked_lane(base, id) &&
		(!text.length || ssh_tell_text(base, BRIDGE_NOTICE, id, text) == 0);
}

/* Names of files, which only the host can say what they mean. */
static bool has_paths(const struct ssh_lane *lane)
{
	return lane->kind == BRIDGE_DEEDS &&
		lane->facts.action.pairs[0].operation != OPERATION_GIT_PUSH;
}

bool ssh_judge_again(struct protocol_engine *base, uint32_t id, bool anew)
{
	struct ssh_lane *lane = asked_lane(base, id);

	if (!lane || lane->state != LANE_ASKED)
		return false;
	lane->state = LANE_WAITING;
	if (anew && has_paths(lane) &&
		ssh_tell(base, BRIDGE_AGAIN, id, SLICE_EMPTY, SLICE_EMPTY) == 0)
		lane->state = LANE_FINDING;
	return true;
}
