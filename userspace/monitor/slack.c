/* SPDX-License-Identifier: Apache-2.0
 *
 * slack: between the book of reviews and the broker. The broker is told what its channels are to
 * show; what it says that somebody clicked is judged by the book, as what is typed at the command
 * line.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "monitor/monitor.h"

#define FILE_NAME "slack.db"
/* Nobody is told of what is over within it: an agent that asks and leaves in a loop would use up
 * what Slack takes in a minute, and people would read of what needs no decision. */
#define SETTLE_TIME (NANOSECONDS_PER_SECOND / 2)
#define HASTENED_MOST 4 /* reviews in a second of which no more changed than how many wait */
#define LOG_GAP (60 * NANOSECONDS_PER_SECOND) /* between two failures in the log */

/* --- what is to be shown --- */

/* A review as JSON, for the broker to read; a descriptor or negative errno. */
static int give_review(struct monitor *m, const struct identifier *review)
{
	struct buffer json;
	struct error e;
	int fd, r;

	buffer_init(&json, BROKER_REVIEW_MOST);
	r = book_review_json(m->book, slice_from_string(review->text), NULL, &json, &e);
	fd = r < 0 ? r : memfd_create("wayleave-review", MFD_CLOEXEC);
	if (r == 0 && fd < 0)
		fd = -errno;
	if (fd >= 0 &&
		(file_write_all(fd, buffer_slice(&json)) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		fd = -EIO;
	}
	buffer_done(&json);
	return fd;
}

/* It stays, and is tried again with a later tick, behind those that may do better; said once. */
static void delay(struct monitor *m, struct announcement *item, const char *why)
{
	list_remove(&item->link);
	list_append(announcements_list(m->announcements), &item->link);
	item->changed = true;
	item->soon = false;
	if (!item->delayed)
		log_warning(
			"slack: review %s can't be shown yet: %s", item->place.review.text, why);
	item->delayed = true;
}

static void on_unreadable(struct monitor *m, struct announcement *item, int r)
{
	if (r != -ENOENT && r != -E2BIG) {
		delay(m, item, strerror(-r));
		return;
	}
	if (r == -E2BIG)
		log_error("slack: review %s is not shown: it is too long", item->place.review.text);
	/* Else forgotten meanwhile, as old reviews are: nothing is left to be said. */
	announcements_remove(m->announcements, item);
}

/* Tells the broker; 0, or negative errno where it can't be told anything now. */
static int tell(struct monitor *m, struct announcement *item)
{
	struct broker_show show = {.place = item->place, .posted = item->posted};
	struct requirement requirement = {0};
	int fd, r;

	show.closed = book_requirement(m->book, &item->place.review, &requirement) < 0;
	show.grant = requirement.grant;
	fd = give_review(m, &item->place.review);
	if (fd < 0) {
		on_unreadable(m, item, fd);
		return 0;
	}
	item->changed = item->soon = false;
	/* Before, as it could be killed behind it. */
	announcements_set_told(m->announcements, item);
	r = broker_process_tell(&m->broker, BROKER_SHOW, &show, sizeof(show), "", fd);
	close(fd);
	if (r < 0)
		item->changed = item->soon = true;
	return r;
}

/* One in a turn of the loop, since each may be megabytes, and decisions wait meanwhile; agents in
 * turns. */
void slack_turn(struct monitor *m)
{
	struct announcement *item;
	bool more;

	m->slack_more = false;
	if (!m->config->slack || m->broker.channel < 0)
		return;
	item = announcements_next(m->announcements, clock_monotonic(), &more);
	if (item && tell(m, item) == 0)
		m->slack_more = more;
}

/* Of which only more or fewer wait, and what could not be told before: some of them, the longest
 * waiting first. */
static void hasten(struct monitor *m)
{
	unsigned count = 0;

	list_for_each_safe (position, announcements_list(m->announcements)) {
		struct announcement *item = list_entry(position, struct announcement, link);

		if (!item->changed || item->soon)
			continue;
		if (count++ == HASTENED_MOST)
			return;
		item->soon = true;
		list_remove(&item->link);
		list_append(announcements_list(m->announcements), &item->link);
	}
}

/* What has changed since it was said; a Slack that fails in turns does not fill the journal. */
static void log_state(struct monitor *m, uint64_t now)
{
	const struct broker_state *state = &m->slack_state;
	const char *why = state->failing_since && m->slack_why ? m->slack_why : "";

	if (now < m->slack_log_again || strcmp(why, m->slack_logged ? m->slack_logged : "") == 0)
		return;
	if (*why)
		log_warning("slack: %s (%u of the %u messages that wait)", why, state->failing,
			state->waiting);
	else
		log_info("slack: all is shown again");
	m->slack_log_again = now + LOG_GAP;
	free(m->slack_logged);
	m->slack_logged = memory_copy_string(why);
}

void slack_tick(struct monitor *m, uint64_t now)
{
	log_state(m, now);
	broker_process_tick(&m->broker, now);
	hasten(m);
}

bool slack_is_settled(const struct monitor *m)
{
	struct requirement ignored;

	if (!m->announcements || m->broker.channel < 0 || m->slack_state.failing_since)
		return true;
	list_for_each (position, announcements_list(m->announcements)) {
		const struct announcement *item = list_entry(position, struct announcement, link);

		if (item->posted != BROKER_POSTED_OUTCOME &&
			book_requirement(m->book, &item->place.review, &ignored) < 0)
			return false;
	}
	return true;
}

/* A message per channel; a webhook has one of its own, whatever the groups say. */
static void announce(struct monitor *m, const struct identifier *review)
{
	const char *agent = book_agent(m->book, review);
	struct requirement requirement;
	struct announcement *item;

	if (!agent || book_requirement(m->book, review, &requirement) < 0)
		return;
	for (size_t i = 0; i < requirement.group_count; i++) {
		const struct config_reviewer_slack *slack = requirement.groups[i]->slack;
		const char *channel;

		if (!slack)
			continue;
		channel = m->config->slack->bot_token_file.text ? slack->channel.text : "";
		if (announcements_find(m->announcements, review, channel))
			continue;
		item = announcements_add(m->announcements, review, channel, config_agent_id(agent));
		item->due = clock_monotonic() + SETTLE_TIME;
	}
}

/* Whether a message that says how it ended may still have to say more: that its grant was revoked,
 * or that what was approved was lost before it ran. */
static bool may_end_otherwise(const struct monitor *m, const struct identifier *review)
{
	return book_grant_of(m->book, review) == BOOK_GRANT_IN_FORCE ||
		book_is_going_on(m->book, review);
}

static void forget_if_over(struct monitor *m, struct announcement *item)
{
	if (item->posted == BROKER_POSTED_OUTCOME && !item->changed &&
		!may_end_otherwise(m, &item->place.review))
		announcements_remove(m->announcements, item);
}

/* That its time is over everybody knows. */
static void look_at_grant(struct monitor *m, struct announcement *item)
{
	if (book_grant_of(m->book, &item->place.review) == BOOK_GRANT_REVOKED)
		item->changed = item->soon = true;
	else
		forget_if_over(m, item);
}

/* Behind the outcome it is that something was lost. Who approved reads of it, also where the daemon
 * ends before Slack has it. */
static void on_change(struct monitor *m, struct announcement *item)
{
	item->changed = true;
	if (item->posted == BROKER_POSTED_OUTCOME)
		announcements_set_told(m->announcements, item);
}

void slack_on_review(struct monitor *m, const struct identifier *review, enum book_change change)
{
	if (!m->announcements)
		return;
	if (m->config->slack && change <= BOOK_VOTED)
		announce(m, review);
	list_for_each_safe (position, announcements_list(m->announcements)) {
		struct announcement *item = list_entry(position, struct announcement, link);

		if (strcmp(item->place.review.text, review->text) != 0)
			continue;
		if (change == BOOK_GRANT_ENDED) {
			look_at_grant(m, item);
			continue;
		}
		if (change == BOOK_RAN) {
			forget_if_over(m, item);
			continue;
		}
		if (change == BOOK_ENDED && item->posted == BROKER_NOT_POSTED) {
			announcements_remove(m->announcements, item); /* nobody has seen it */
			continue;
		}
		on_change(m, item);
		if (change != BOOK_WAITERS)
			item->soon = true;
	}
}

/* One that knows nothing yet is told everything. */
static void on_start(void *context)
{
	struct monitor *m = context;

	m->slack_state = (struct broker_state){0};
	announcements_forget_broker(m->announcements);
}

/* Agents have no part in what is decided there, even where they may dial others on this host. */
static int on_listen(void *context, int fd)
{
	return capture_forbid(((struct monitor *)context)->capture, fd);
}

/* --- what the broker says: fixed structs and short texts, each checked --- */

/* Texts in structs end where they must; else they are not looked at. */
static bool ends(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

/* Of what was decided before anybody saw it nothing need be said later, either. */
static bool is_there(const struct announcement *item, const struct broker_place *shown)
{
	return item->posted == BROKER_POSTED || shown->time[0];
}

static void on_shown(struct monitor *m, struct slice head, struct slice text)
{
	struct broker_shown shown;
	struct announcement *item;

	(void)text;
	memcpy(&shown, head.data, sizeof(shown));
	if (!ends(shown.place.review.text, sizeof(shown.place.review.text)) ||
		!ends(shown.place.channel, sizeof(shown.place.channel)) ||
		!ends(shown.place.time, sizeof(shown.place.time)))
		return;
	item = announcements_find(m->announcements, &shown.place.review, shown.place.channel);
	if (!item)
		return;
	if (shown.state == BROKER_SHOWN_NOT) {
		announcements_set_refused(m->announcements, item);
		delay(m, item, "too many others wait for Slack");
		return;
	}
	item->delayed = false;
	if (shown.state != BROKER_SHOWN_CLOSED || item->changed)
		announcements_set_posted(m->announcements, item, shown.place.time);
	else if (is_there(item, &shown.place) && may_end_otherwise(m, &shown.place.review))
		announcements_set_outcome(m->announcements, item, shown.place.time);
	else
		announcements_remove(m->announcements, item);
}

static void answer(struct monitor *m, uint64_t id, int status, const char *sentence)
{
	const struct broker_decided decided = {
		.id = id, .status = status, .sentence_length = (uint32_t)strlen(sentence)};

	broker_process_tell(&m->broker, BROKER_DECIDED, &decided, sizeof(decided), sentence, -1);
}

static void on_decide(struct monitor *m, struct slice head, struct slice reason)
{
	struct broker_decide asked;
	struct book_decision decision = {.who = {.via = REVIEWER_SLACK}, .reason = reason};
	struct error e = {""};
	int r = -EINVAL;

	memcpy(&asked, head.data, sizeof(asked));
	if (ends(asked.review.text, sizeof(asked.review.text)) &&
		ends(asked.user, sizeof(asked.user)) && asked.user[0] &&
		(asked.verdict == BROKER_APPROVE ||
			(asked.verdict == BROKER_DENY && !asked.grant)) &&
		/* Only what a button says: never "as long as the rules allow". */
		asked.grant != BOOK_GRANT_RULES && asked.reason_length == reason.length &&
		reason.length <= BOOK_REASON_MOST && text_is_utf8(reason)) {
		decision.who.name = asked.user;
		decision.approve = asked.verdict == BROKER_APPROVE;
		decision.grant = asked.grant;
		r = book_decide(
			m->book, slice_from_string(asked.review.text), &decision, wall_now(m), &e);
	} else {
		error_set(&e, r, "not a decision");
	}
	answer(m, asked.id, r < 0 ? r : 0, e.text);
}

static void on_state(struct monitor *m, struct slice head, struct slice why)
{
	struct broker_state state;
	struct buffer text;

	memcpy(&state, head.data, sizeof(state));
	if (state.why_length != why.length)
		return;
	buffer_init(&text, 4 * BROKER_SENTENCE_MOST);
	text_append_visible(&text, why);
	m->slack_state = state;
	free(m->slack_why);
	m->slack_why = memory_copy_text(text.data, buffer_length(&text));
	buffer_done(&text);
}

static const struct row {
	void (*handle)(struct monitor *m, struct slice head, struct slice text);
	size_t head, text_most;
} rows[] = {
	[BROKER_SHOWN] = {on_shown, sizeof(struct broker_shown), 0},
	[BROKER_DECIDE] = {on_decide, sizeof(struct broker_decide), BROKER_REASON_MOST},
	[BROKER_STATE] = {on_state, sizeof(struct broker_state), BROKER_SENTENCE_MOST},
};

static void on_message(void *context, uint32_t type, struct slice payload)
{
	const struct row *row = type < ARRAY_SIZE(rows) ? &rows[type] : NULL;

	if (!row || !row->handle || payload.length < row->head ||
		payload.length - row->head > row->text_most) {
		log_error("the broker sent something that is no message (type %u)", type);
		return;
	}
	row->handle(context, slice_head(payload, row->head), slice_from(payload, row->head));
}

/* --- life --- */

static void announce_pending(void *context, const struct identifier *review)
{
	announce(context, review);
}

/* By the end of the daemon before this one: at the start alone. */
static void announce_lost(void *context, const struct identifier *review)
{
	slack_on_review(context, review, BOOK_WAITERS);
}

void slack_on_configured(struct monitor *m)
{
	bool token;

	if (!m->config->slack)
		return;
	book_each_lost(m->book, announce_lost, m);
	token = m->config->slack->bot_token_file.text;
	/* What was posted by a webhook can't be changed with a token, nor the other way round. */
	list_for_each_safe (position, announcements_list(m->announcements)) {
		struct announcement *item = list_entry(position, struct announcement, link);

		if (token != (item->place.channel[0] != '\0'))
			announcements_remove(m->announcements, item);
		else if (item->posted == BROKER_POSTED_OUTCOME && !item->changed)
			look_at_grant(m, item); /* what ended while nothing ran */
	}
	book_each_pending(m->book, announce_pending, m);
}

int slack_open(struct monitor *m, struct error *e)
{
	char *path = memory_format("%s/" FILE_NAME, m->config->state_dir.text);
	int r = announcements_open(path, &m->announcements, e);

	free(path);
	broker_process_init(&m->broker, &m->loop);
	m->broker.on_start = on_start;
	m->broker.on_message = on_message;
	m->broker.on_listen = on_listen;
	m->broker.context = m;
	return r;
}

void slack_close(struct monitor *m)
{
	if (m->broker.loop)
		broker_process_stop(&m->broker);
	announcements_close(m->announcements);
	m->announcements = NULL;
	free(m->slack_why);
	free(m->slack_logged);
}
