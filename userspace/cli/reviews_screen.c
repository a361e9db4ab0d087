/* SPDX-License-Identifier: Apache-2.0
 *
 * reviews --watch at a terminal: a live list, in which one key decides. What is decided is the
 * review that is marked, by its id: rows that come and go move the mark with it.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/reviews_screen.h"
#include "cli/screen.h"

#define TURN_MILLISECONDS 250
/* A key that decides counts only when its review has been marked for so long: a key that was
 * pressed twice, or while the list moved, decides nothing that nobody read. */
#define READ_TIME (NANOSECONDS_PER_SECOND / 2)
/* A key that stays down decides once. Terminals repeat it after at most so long, then faster. */
#define REPEAT_FIRST (3 * NANOSECONDS_PER_SECOND / 4)
#define REPEAT_NEXT (NANOSECONDS_PER_SECOND / 5)
#define ROWS_ALL (1 << 30) /* more than there are of either */

/* --- the daemon --- */

const cJSON *watch_marked(const struct watch *w)
{
	return cJSON_GetArrayItem(w->list.items, w->marked);
}

bool watch_reads_whole(const struct watch *w)
{
	return w->mode == MODE_WHOLE || (w->mode == MODE_REASON && w->mode_behind == MODE_WHOLE);
}

const char *watch_subject(const struct watch *w)
{
	return w->mode == MODE_LIST ? json_text_of(watch_marked(w), "id") : w->shown_id;
}

static void say(struct watch *w, const char *text)
{
	struct buffer b;

	/* What the daemon says may quote an agent. */
	buffer_init(&b, 1u << 20);
	cli_append_line(&b, slice_from_string(text));
	snprintf(w->message, sizeof(w->message), "%.*s", SLICE_PRINT(buffer_slice(&b)));
	buffer_done(&b);
}

/* The mark stays with its review. From one that was just decided it goes to the next that is
 * pending; where nothing was pending it waits at the top for what comes. */
static void take_changes(struct watch *w)
{
	const cJSON *old = watch_marked(w), *list;
	bool was_pending = review_is_pending(old);
	const char *id = json_text_of(old, "id");
	char marked[32];
	int same, row, pending = 0;

	snprintf(marked, sizeof(marked), "%s", id ? id : "");
	reviews_list_take(&w->list);
	list = w->list.items;
	same = row = reviews_list_find(list, marked);

	while (review_is_pending(cJSON_GetArrayItem(list, pending)))
		pending++;
	if (row < 0 || (!was_pending && w->marked == 0) ||
		(was_pending && !review_is_pending(cJSON_GetArrayItem(list, row))))
		row = w->marked < pending ? w->marked : pending ? pending - 1 : 0;
	if (same != row)
		w->marked_since = clock_monotonic();
	w->marked = row;
}

static void disconnect(struct watch *w, const struct error *e)
{
	control_close(&w->client);
	w->list.seen = 0;
	say(w, e->text);
}

static void show_whole(struct watch *w)
{
	cJSON *review = NULL;
	struct error e;

	w->whole_grant = 0;
	buffer_clear(&w->whole);
	if (reviews_ask(&w->client, CONTROL_REVIEW, slice_from_string(w->shown_id), NULL, &review,
		    &e) < 0)
		buffer_append_string(&w->whole, e.text);
	else if (review)
		review_text_whole(review, &w->layout, &w->whole);
	if (review)
		w->whole_grant = json_number_of(review, "grant_limit");
	cJSON_Delete(review);
}

/* Whether what is read as a whole says something else now: that it is over, that somebody approved,
 * for how long it may be. How many wait is not worth reading all of it again. */
static bool is_whole_old(const struct watch *w)
{
	static const char *const parts[] = {"state", "groups", "grant_limit"};
	int before = reviews_list_find(w->list.items, w->shown_id);
	int after = reviews_list_find(w->list.changed, w->shown_id);
	bool same = before >= 0;

	if (!watch_reads_whole(w) || (after < 0 && !w->list.whole))
		return false;
	for (size_t i = 0; same && after >= 0 && i < ARRAY_SIZE(parts); i++)
		same = cJSON_Compare(cJSON_GetObjectItemCaseSensitive(
					     cJSON_GetArrayItem(w->list.items, before), parts[i]),
			cJSON_GetObjectItemCaseSensitive(
				cJSON_GetArrayItem(w->list.changed, after), parts[i]),
			true);
	return !same;
}

static void refresh(struct watch *w)
{
	struct error e;
	bool old;
	int r = 0;

	if (w->client.fd < 0)
		r = control_open(&w->client, w->cli->socket, &e);
	if (r == 0)
		r = reviews_list_ask(&w->client, &w->list, &e);
	if (r < 0) {
		disconnect(w, &e);
	} else if (w->list.changed) {
		old = is_whole_old(w);
		take_changes(w);
		if (old)
			show_whole(w);
	}
}

static void open_whole(struct watch *w)
{
	const char *id = json_text_of(watch_marked(w), "id");

	if (!id)
		return;
	snprintf(w->shown_id, sizeof(w->shown_id), "%s", id);
	w->mode = MODE_WHOLE;
	w->scroll = 0;
	show_whole(w);
}

/* What the list has just put under the mark can't have been read, nor what a key that came too late
 * has opened. A reason is typed for one review, whatever the list does. */
static bool has_just_moved(struct watch *w)
{
	if (w->mode == MODE_REASON || clock_monotonic() - w->marked_since >= READ_TIME)
		return false;
	say(w, "the list has just changed: press the key again");
	return true;
}

/* Whether it is the press that has decided already, which the terminal repeats. */
static bool is_still_down(struct watch *w, int key)
{
	uint64_t now = clock_monotonic();

	if (key != w->down || now - w->down_at >= w->down_for)
		return false;
	w->down_at = now;
	w->down_for = REPEAT_NEXT;
	return true;
}

/* What the screen says now, which the rule may not say any more: then it is refused, and never
 * approved for longer than anybody has read. */
static double shown_grant(const struct watch *w)
{
	return w->mode == MODE_LIST ? json_number_of(watch_marked(w), "grant_limit")
				    : w->whole_grant;
}

static void decide(struct watch *w, bool approve, uint64_t grant, const char *reason)
{
	char id[32], time[32], text[sizeof(w->message)];
	struct error e = {"not connected"};
	int r = -1;

	/* The list that has it is replaced below. */
	snprintf(id, sizeof(id), "%s", watch_subject(w));
	review_text_duration(grant, time, sizeof(time));
	if (w->client.fd >= 0)
		r = reviews_decide(&w->client, id, approve, grant, reason, &e);
	if (r < 0)
		snprintf(text, sizeof(text), "%s", e.text);
	else
		snprintf(text, sizeof(text), "%s: %s%s%s", id,
			r                 ? "your approval counts; others must approve too"
				: approve ? "approved"
					  : "denied",
			r == 0 && grant ? ", for at most " : "", r == 0 && grant ? time : "");
	say(w, text);
	refresh(w);
	if (w->mode != MODE_LIST)
		show_whole(w);
}

static void approve(struct watch *w, int key, uint64_t grant)
{
	if (!watch_subject(w) || is_still_down(w, key) || has_just_moved(w))
		return;
	w->down = key;
	w->down_at = clock_monotonic();
	w->down_for = REPEAT_FIRST;
	decide(w, true, grant, NULL);
}

static void approve_for_time(struct watch *w, int key)
{
	double seconds = shown_grant(w);

	if (seconds > 0)
		approve(w, key, (uint64_t)(seconds * (double)NANOSECONDS_PER_SECOND));
	else if (watch_subject(w))
		say(w, "this can be approved for this action alone, not for a time");
}

/* --- keys --- */

static void ask_reason(struct watch *w)
{
	const char *id = watch_subject(w);

	if (!id || has_just_moved(w))
		return;
	/* Whatever the list does meanwhile, the reason is about this one. */
	if (w->mode == MODE_LIST)
		snprintf(w->shown_id, sizeof(w->shown_id), "%s", id);
	w->mode_behind = w->mode;
	w->mode = MODE_REASON;
	w->reason_length = 0;
	w->reason[0] = '\0';
}

static void on_reason_key(struct watch *w, int key)
{
	if (key == SCREEN_ESCAPE) {
		w->mode = w->mode_behind;
	} else if ((key == '\r' || key == '\n') && w->reason_length) {
		w->reason[text_head(slice_of(w->reason, w->reason_length), REASON_MOST).length] =
			'\0';
		decide(w, false, 0, w->reason);
		w->mode = w->mode_behind;
	} else if (key == 0x7f || key == 0x08) {
		while (w->reason_length && (w->reason[--w->reason_length] & 0xc0) == 0x80)
			;
		w->reason[w->reason_length] = '\0';
	} else if (key >= 0x20 && key <= 0xff &&
		w->reason_length < REASON_MOST + ((key & 0xc0) == 0x80 ? 3 : 0)) {
		w->reason[w->reason_length++] = (char)key;
		w->reason[w->reason_length] = '\0';
	}
}

static void move(struct watch *w, int rows)
{
	int count = cJSON_GetArraySize(w->list.items);

	if (w->mode == MODE_WHOLE) {
		w->scroll = rows < 0 && w->scroll < (size_t)-rows ? 0 : w->scroll + (size_t)rows;
		return;
	}
	w->marked += rows;
	if (w->marked >= count)
		w->marked = count - 1;
	if (w->marked < 0)
		w->marked = 0;
}

/* False: the end. */
static bool on_key(struct watch *w, int key)
{
	int page = (int)w->height - 4;

	if (key == SCREEN_END)
		return false;
	if (w->mode == MODE_REASON) {
		on_reason_key(w, key);
		return true;
	}
	switch (key) {
	case 'q':
	case SCREEN_ESCAPE:
		if (w->mode == MODE_LIST)
			return key != 'q';
		w->mode = MODE_LIST;
		break;
	case 'j':
	case SCREEN_DOWN:
		move(w, 1);
		break;
	case 'k':
	case SCREEN_UP:
		move(w, -1);
		break;
	case ' ':
	case SCREEN_PAGE_DOWN:
		move(w, page);
		break;
	case SCREEN_PAGE_UP:
		move(w, -page);
		break;
	case '<':
		move(w, -ROWS_ALL);
		break;
	case '>':
		move(w, ROWS_ALL);
		break;
	case '\r':
	case '\n':
		if (w->mode == MODE_LIST)
			open_whole(w);
		break;
	case 'a':
		approve(w, key, 0);
		break;
	case 'g':
		approve_for_time(w, key);
		break;
	case 'd':
		ask_reason(w);
		break;
	default:
		break;
	}
	return true;
}

int reviews_watch_screen(const struct cli *cli)
{
	struct watch w = {.cli = cli, .client = {-1}, .layout = {.colours = !getenv("NO_COLOR")}};
	struct error e;

	/* A daemon that isn't there is told now; one that goes later comes again. */
	if (control_open(&w.client, cli->socket, &e) < 0)
		return cli_fail("reviews", CLI_REFUSED, "%s", e.text);
	buffer_init(&w.whole, WATCH_TEXT_MOST);
	if (screen_open() < 0)
		return cli_fail("reviews", CLI_REFUSED, "this is no terminal");
	do {
		refresh(&w);
		watch_draw(&w);
	} while (on_key(&w, screen_key(TURN_MILLISECONDS)));
	screen_close();
	reviews_list_free(&w.list);
	buffer_done(&w.whole);
	control_close(&w.client);
	return CLI_DONE;
}
