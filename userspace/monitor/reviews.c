/* SPDX-License-Identifier: Apache-2.0
 *
 * reviews: between the book of reviews and grants, the workers that hold actions, and people at the
 * control socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "approval/ledger.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "monitor/monitor.h"
#include "monitor/user_name.h"

#define JSON_MOST (128u << 20) /* bytes of an answer */
#define LOG_GAP (60 * NANOSECONDS_PER_SECOND) /* between two that are refused, in the log */

/* --- what the book tells --- */

static int on_note(void *context, enum host_event event, struct slice subject, struct slice detail)
{
	return store_note(((struct monitor *)context)->store, event, subject, detail);
}

static void on_decided(
	void *context, const struct book_wait *wait, const struct book_outcome *outcome)
{
	struct monitor *m = context;
	struct slice by = text_head(outcome->by, LIMIT_RECORD_NAME);
	struct slice detail = text_head(outcome->detail, LIMIT_RECORD_NAME);
	const struct message_decision message = {
		.id = wait->id,
		.outcome = outcome->outcome,
		.by_length = (uint32_t)by.length,
		.detail_length = (uint32_t)detail.length,
		.grant = outcome->grant,
	};
	struct buffer payload;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	if (buffer_append(&payload, &message, sizeof(message)) == 0 &&
		buffer_append_slice(&payload, by) == 0 &&
		buffer_append_slice(&payload, detail) == 0)
		workers_tell(
			&m->workers[wait->worker], MESSAGE_DECISION, buffer_slice(&payload), -1);
	buffer_done(&payload);
}

static int give_grants(const struct monitor *m)
{
	struct buffer list;
	int fd;

	buffer_init(&list, GRANTS_BYTES_MOST);
	fd = book_grants_encode(m->book, &list);
	if (fd == 0)
		fd = file_make_sealed("wayleave-grants", buffer_slice(&list));
	buffer_done(&list);
	if (fd < 0)
		log_error("the grants can't be given to the workers: %s", strerror(-fd));
	return fd;
}

static void on_granted(void *context)
{
	struct monitor *m = context;
	int fd = give_grants(m);

	if (fd < 0)
		return;
	for (unsigned i = 0; i < m->worker_count; i++)
		workers_tell(&m->workers[i], MESSAGE_GRANTS, SLICE_EMPTY, fd);
	close(fd);
}

static void on_settled(void *context)
{
	struct monitor *m = context;

	for (unsigned i = 0; i < m->worker_count; i++)
		workers_tell(&m->workers[i], MESSAGE_SETTLED, SLICE_EMPTY, -1);
}

static void on_changed(void *context, const struct identifier *review, enum book_change change)
{
	static const char *const texts[] = {[BOOK_ASKED] = "asked",
		[BOOK_VOTED] = "approved by one",
		[BOOK_ENDED] = "ended",
		[BOOK_GRANT_ENDED] = "its grant ended"};

	if (change != BOOK_WAITERS && change != BOOK_RAN)
		log_info("review %s: %s", review->text, texts[change]);
	slack_on_review(context, review, change);
}

static const struct book_events events = {on_note, on_decided, on_granted, on_settled, on_changed};

/* --- life --- */

/* Shared with all workers, of which none may write. */
static int make_table(struct monitor *m, struct error *e)
{
	size_t size = sizeof(struct grant_table);

	m->grants_fd = memfd_create("wayleave-grant-table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->grants_fd < 0 || ftruncate(m->grants_fd, (off_t)size) < 0)
		return error_set_errno(e, -errno, "memfd_create");
	m->grants = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->grants_fd, 0);
	if (m->grants == MAP_FAILED) {
		m->grants = NULL;
		return error_set_errno(e, -errno, "mmap");
	}
	/* The mapping that is there stays writable; no other one becomes so (kernel 5.1). */
	if (fcntl(m->grants_fd, F_ADD_SEALS,
		    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		return error_set_errno(e, -errno, "F_SEAL_FUTURE_WRITE");
	return 0;
}

int reviews_open(struct monitor *m, struct error *e)
{
	char *path = memory_format("%s/" LEDGER_FILE, m->config->state_dir.text);
	int r = make_table(m, e);
	const struct book_options options = {
		.path = path,
		.config = m->config,
		.table = m->grants,
		.events = &events,
		.context = m,
		.moved = wall_open(m),
		.now = clock_wall(),
	};

	if (r == 0)
		r = book_open(&options, &m->book, e);
	free(path);
	return r;
}

void reviews_close(struct monitor *m)
{
	book_free(m->book);
	m->book = NULL;
}

void reviews_configure(struct monitor *m)
{
	book_configure(m->book, m->config, wall_now(m));
}

void reviews_tick(struct monitor *m)
{
	uint64_t now = wall_now(m);

	if (now >= book_next(m->book))
		book_tick(m->book, now, wall_was_set(m));
}

/* --- workers --- */

/* A memfd, as nothing else can be read without waiting for somebody. */
static int read_question(int fd, struct buffer *ret)
{
	struct stat s;

	if (fd == REQUESTS_LOST_DESCRIPTOR)
		return fd;
	if (fd < 0 || fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &s) < 0 || !S_ISREG(s.st_mode) ||
		s.st_size > (off_t)QUESTION_BYTES_MOST)
		return -EBADMSG;
	return file_read_shared(fd, ret);
}

static int ask(struct monitor_worker *w, const struct message_review *request, struct slice encoded,
	struct book_held *ret, struct error *e)
{
	const struct book_wait wait = {w->index, request->id};
	struct question *q = memory_new(sizeof(*q));
	const char *name = NULL;
	int r = question_decode(encoded, q);

	if (r < 0) {
		error_set(e, r, "the worker's question can't be read");
	} else if (q->uid != UINT64_MAX) {
		/* Nobody approves their own request: it must be known whose it is, if it is a local
		 * user's. */
		r = user_name((uid_t)q->uid, &name);
		if (r < 0)
			error_set_errno(e, r, "the user that asks is not known");
	}
	if (r == 0)
		r = book_ask(
			w->monitor->book, &wait, q, encoded, name, wall_now(w->monitor), ret, e);
	free(q);
	return r;
}

/* What is beyond an agent's limits it may ask for as often as it likes; the audit log and the
 * metrics have how often. */
static void log_refused(const struct monitor_worker *w, int r, const char *why)
{
	struct monitor *m = w->monitor;
	uint64_t now = clock_monotonic();

	if (r == -EDQUOT && now < m->reviews_log_again)
		return;
	if (r == -EDQUOT)
		m->reviews_log_again = now + LOG_GAP;
	log_warning("worker %u: no review: %s", w->index, why);
}

int reviews_ask(
	struct monitor_worker *w, const struct message_review *request, int fd, struct buffer *ret)
{
	struct message_review_held held = {0};
	struct book_held book_held;
	struct buffer encoded;
	struct error e = {"the worker's question can't be read"};
	int r;

	buffer_init(&encoded, QUESTION_BYTES_MOST);
	r = read_question(fd, &encoded);
	if (r == -EMFILE)
		error_set_errno(&e, r, "the daemon has no room for the question");
	if (r == 0)
		r = ask(w, request, buffer_slice(&encoded), &book_held, &e);
	buffer_done(&encoded);
	if (r < 0) {
		log_refused(w, r, e.text);
		buffer_append_string(ret, e.text);
		return r;
	}
	held.review = book_held.review;
	held.deadline = book_held.deadline;
	r = buffer_append(ret, &held, sizeof(held));
	return r < 0 ? r : buffer_append_string(ret, book_held.reviewers);
}

void reviews_asked(struct monitor_worker *w, const struct message_review *request)
{
	const struct book_wait wait = {w->index, request->id};

	book_answer(w->monitor->book, &wait);
}

void reviews_leave(struct monitor_worker *w, const struct message_leave *request)
{
	const struct book_wait wait = {w->index, request->id};

	if (request->ran)
		book_ran(w->monitor->book, &wait);
	else
		book_leave(w->monitor->book, &wait, request->stays != 0, wall_now(w->monitor));
}

void reviews_worker_gone(struct monitor_worker *w)
{
	book_worker_gone(w->monitor->book, w->index, wall_now(w->monitor));
}

void reviews_stop(struct monitor *m)
{
	if (m->book)
		book_stop(m->book, wall_now(m));
}

void reviews_send_grants(struct monitor *m, struct monitor_worker *w)
{
	int fd = give_grants(m);

	if (fd < 0)
		return;
	workers_tell(w, MESSAGE_GRANTS, SLICE_EMPTY, fd);
	close(fd);
}

/* --- people --- */

/* The name is valid until the next look-up. Who has none, or none that can be found now, is in no
 * group. */
static struct reviewer reviewer_of(const struct asker *who)
{
	const char *name = NULL;

	if (user_name(who->uid, &name) < 0)
		log_warning("the name of user %u can't be found", who->uid);
	return (struct reviewer){REVIEWER_LOCAL, who->uid, name};
}

/* `r`: how the text was made. */
static int give_json(struct buffer *json, int r, struct answer *ret)
{
	int fd = r < 0 ? r : file_make_sealed("wayleave-reviews", buffer_slice(json));

	buffer_done(json);
	if (fd < 0)
		return fd;
	ret->made = fd;
	return 0;
}

int reviews_on_list(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	const struct reviewer reviewer = reviewer_of(who);
	struct control_reviews_seen seen = {.generation = book_generation(m->book)};
	struct control_reviews asked;
	struct buffer json;
	bool whole = false, cut = false;
	int r = 0;

	if (request.length != sizeof(asked))
		return error_set(&ret->error, -EINVAL, "not a request for reviews");
	memcpy(&asked, request.data, sizeof(asked));
	if (asked.most == 0 || asked.most > LIMIT_REVIEWS_KEPT)
		asked.most = asked.most ? LIMIT_REVIEWS_KEPT : LIMIT_REVIEWS_LISTED;
	if (asked.seen != seen.generation) {
		buffer_init(&json, JSON_MOST);
		r = give_json(&json,
			book_list_json(
				m->book, &reviewer, asked.seen, asked.most, &json, &whole, &cut),
			ret);
	}
	seen.whole = whole;
	seen.cut = cut;
	return r < 0 ? r : buffer_append(&ret->payload, &seen, sizeof(seen));
}

int reviews_on_show(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	const struct reviewer reviewer = reviewer_of(who);
	struct buffer json;

	buffer_init(&json, JSON_MOST);
	return give_json(
		&json, book_review_json(m->book, request, &reviewer, &json, &ret->error), ret);
}

/* The request's parts; -EINVAL for anything that is none. */
static int read_decision(struct slice request, struct slice *ret_id, struct book_decision *ret)
{
	struct control_decide asked;
	struct slice texts = slice_from(request, sizeof(asked));

	if (request.length < sizeof(asked))
		return -EINVAL;
	memcpy(&asked, request.data, sizeof(asked));
	if (asked.approve > 1 || asked.id_length > texts.length || (!asked.approve && asked.grant))
		return -EINVAL;
	ret->approve = asked.approve;
	ret->grant = asked.grant;
	ret->reason = slice_from(texts, asked.id_length);
	*ret_id = slice_head(texts, asked.id_length);
	return 0;
}

static bool is_text(struct slice s)
{
	return text_is_utf8(s) && !(s.length && memchr(s.data, 0, s.length));
}

int reviews_on_decide(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	struct book_decision decision = {.who = reviewer_of(who)};
	struct slice id;
	int r = read_decision(request, &id, &decision);

	if (r < 0)
		return error_set(&ret->error, r, "not a decision");
	if (decision.reason.length > BOOK_REASON_MOST)
		return error_set(&ret->error, -EINVAL, "the reason is too long (at most %d bytes)",
			BOOK_REASON_MOST);
	if (!is_text(decision.reason))
		return error_set(&ret->error, -EINVAL, "the reason is not UTF-8 text");
	r = book_decide(m->book, id, &decision, wall_now(m), &ret->error);
	return r < 0 ? r : buffer_append_string(&ret->payload, r ? "counted" : "decided");
}

int reviews_on_grants(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	const struct reviewer reviewer = reviewer_of(who);
	struct buffer json;

	if (request.length)
		return error_set(&ret->error, -EINVAL, "not a request for grants");
	buffer_init(&json, JSON_MOST);
	return give_json(&json, book_grants_json(m->book, &reviewer, &json), ret);
}

int reviews_on_revoke(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	const struct reviewer reviewer = reviewer_of(who);

	return book_revoke(m->book, request, &reviewer, wall_now(m), &ret->error);
}
