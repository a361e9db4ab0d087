/* SPDX-License-Identifier: Apache-2.0
 *
 * reviews --watch at a terminal: a live list, in which one key decides. What is decided is the
 * review that is marked, by its id: rows that come and go move the mark with it.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/reviews.h"
#include "cli/screen.h"

#define TURN_MILLISECONDS 250
/* A key that decides counts only when its review has been marked for so long: a key that was
 * pressed twice, or while the list moved, decides nothing that nobody read. */
#define READ_TIME (NANOSECONDS_PER_SECOND / 2)
#define TEXT_MOST (128u << 20)
#define ROWS_ALL (1 << 30) /* more than there are of either */
#define REASON_MOST 500

enum mode { MODE_LIST, MODE_WHOLE, MODE_REASON };

struct watch {
	const struct cli *cli;
	struct control_client client; /* fd -1: not connected */
	struct reviews_list list;
	int marked, top; /* rows of the list */
	uint64_t marked_since; /* monotonic: when the list, not a key, put the mark there */
	enum mode mode, mode_behind; /* the reason is asked above another one */
	char shown_id[32]; /* MODE_WHOLE */
	struct buffer whole; /* its text */
	size_t scroll;
	char reason[REASON_MOST + 1];
	size_t reason_length;
	char message[600]; /* how the last decision went */
	struct review_layout layout;
	size_t height;
};

/* --- the daemon --- */

static const cJSON *marked_review(const struct watch *w)
{
	return cJSON_GetArrayItem(w->list.items, w->marked);
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
	const cJSON *old = marked_review(w), *list;
	bool was_pending = review_is_pending(old);
	const char *id = review_text_of(old, "id");
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

static void refresh(struct watch *w)
{
	struct error e;
	int r = 0;

	if (w->client.fd < 0)
		r = control_open(&w->client, w->cli->socket, &e);
	if (r == 0)
		r = reviews_list_ask(&w->client, &w->list, &e);
	if (r < 0)
		disconnect(w, &e);
	else if (w->list.changed)
		take_changes(w);
}

static void show_whole(struct watch *w)
{
	cJSON *review = NULL;
	struct error e;

	buffer_clear(&w->whole);
	if (reviews_ask(&w->client, CONTROL_REVIEW, slice_from_string(w->shown_id), NULL, &review,
		    &e) < 0)
		buffer_append_string(&w->whole, e.text);
	else if (review)
		review_text_whole(review, &w->layout, &w->whole);
	cJSON_Delete(review);
}

static void open_whole(struct watch *w)
{
	const char *id = review_text_of(marked_review(w), "id");

	if (!id)
		return;
	snprintf(w->shown_id, sizeof(w->shown_id), "%s", id);
	w->mode = MODE_WHOLE;
	w->scroll = 0;
	show_whole(w);
}

/* The review that the keys are about now. */
static const char *subject(const struct watch *w)
{
	return w->mode == MODE_LIST ? review_text_of(marked_review(w), "id") : w->shown_id;
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

static void decide(struct watch *w, bool approve, uint64_t grant, const char *reason)
{
	char id[32], text[sizeof(w->message)];
	struct error e = {"not connected"};
	int r = -1;

	if (!subject(w) || has_just_moved(w))
		return;
	/* The list that has it is replaced below. */
	snprintf(id, sizeof(id), "%s", subject(w));
	if (w->client.fd >= 0)
		r = reviews_decide(&w->client, id, approve, grant, reason, &e);
	if (r < 0)
		snprintf(text, sizeof(text), "%s", e.text);
	else
		snprintf(text, sizeof(text), "%s: %s", id,
			r                 ? "your approval counts; others must approve too"
				: approve ? "approved"
					  : "denied");
	say(w, text);
	refresh(w);
	if (w->mode != MODE_LIST)
		show_whole(w);
}

/* --- drawing --- */

static void draw_text(const char *text)
{
	screen_line(slice_from_string(text), false);
}

static void draw_list(struct watch *w)
{
	int count = cJSON_GetArraySize(w->list.items), rows = (int)w->height - 3;
	bool colours = w->layout.colours;
	struct buffer b;

	if (w->marked < w->top)
		w->top = w->marked;
	if (w->marked >= w->top + rows)
		w->top = w->marked - rows + 1;
	if (w->top > count - rows)
		w->top = count > rows ? count - rows : 0;
	buffer_init(&b, TEXT_MOST);
	review_text_head(&w->layout, &b);
	screen_line(buffer_slice(&b), false);
	for (int i = w->top; i < w->top + rows; i++) {
		/* Colours would end the mark. */
		w->layout.colours = colours && i != w->marked;
		buffer_clear(&b);
		if (i < count)
			review_text_row(cJSON_GetArrayItem(w->list.items, i), &w->layout, &b);
		screen_line(buffer_slice(&b), i == w->marked && i < count);
	}
	w->layout.colours = colours;
	buffer_done(&b);
	draw_text(w->message);
}

/* The next line of at most `width` columns; long lines go on in the next one, as nothing may hide.
 */
static struct slice take_line(struct slice *rest, size_t width)
{
	size_t i = 0, columns = 0;
	struct slice line;

	while (i < rest->length && rest->data[i] != '\n') {
		columns += review_text_columns(rest->data[i]);
		if (columns > width && i)
			break;
		i++;
	}
	line = slice_head(*rest, i);
	*rest = slice_from(*rest, i + (i < rest->length && rest->data[i] == '\n'));
	return line;
}

static void draw_whole(struct watch *w)
{
	struct slice rest = buffer_slice(&w->whole);
	size_t rows = w->height - 2, number = 0, total = 0;
	char below[sizeof(w->message) + 32];

	for (struct slice all = rest; all.length; total++)
		take_line(&all, w->layout.width);
	if (w->scroll + rows > total)
		w->scroll = total > rows ? total - rows : 0;
	while (number < w->scroll && rest.length) {
		take_line(&rest, w->layout.width);
		number++;
	}
	for (size_t i = 0; i < rows; i++)
		screen_line(take_line(&rest, w->layout.width), false);
	snprintf(below, sizeof(below), "%s%s", rest.length ? "-- more below --  " : "", w->message);
	draw_text(below);
}

static void draw(struct watch *w)
{
	static const char *const helps[] = {
		[MODE_LIST] = "a approve once  g approve for the rule's time  d deny  "
			      "enter show  j/k move  q quit",
		[MODE_WHOLE] =
			"a approve once  g for the rule's time  d deny  j/k < > scroll  q back",
	};
	char prompt[REASON_MOST + 64];

	screen_size(&w->layout.width, &w->height);
	w->layout.now = clock_wall();
	screen_begin();
	if (w->mode == MODE_WHOLE || (w->mode == MODE_REASON && w->mode_behind == MODE_WHOLE))
		draw_whole(w);
	else
		draw_list(w);
	if (w->mode == MODE_REASON) {
		snprintf(prompt, sizeof(prompt), "why is %s denied? (esc: not) %s_",
			subject(w) ? subject(w) : "it", w->reason);
		draw_text(prompt);
	} else {
		draw_text(helps[w->mode]);
	}
	screen_show();
}

/* --- keys --- */

static void ask_reason(struct watch *w)
{
	const char *id = subject(w);

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
		decide(w, false, 0, w->reason);
		w->mode = w->mode_behind;
	} else if (key == 0x7f || key == 0x08) {
		while (w->reason_length && (w->reason[--w->reason_length] & 0xc0) == 0x80)
			;
		w->reason[w->reason_length] = '\0';
	} else if (key >= 0x20 && key <= 0xff && w->reason_length < REASON_MOST) {
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
		decide(w, true, 0, NULL);
		break;
	case 'g':
		decide(w, true, CONTROL_GRANT_RULES, NULL);
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
	buffer_init(&w.whole, TEXT_MOST);
	if (screen_open() < 0)
		return cli_fail("reviews", CLI_REFUSED, "this is no terminal");
	do {
		refresh(&w);
		draw(&w);
	} while (on_key(&w, screen_key(TURN_MILLISECONDS)));
	screen_close();
	reviews_list_free(&w.list);
	buffer_done(&w.whole);
	control_close(&w.client);
	return CLI_DONE;
}
