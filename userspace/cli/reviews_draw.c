/* SPDX-License-Identifier: Apache-2.0
 *
 * How `reviews --watch` looks: the list, or one review as a whole, and the keys below it.
 */
#include "base/clock.h"
#include "cli/reviews_screen.h"
#include "cli/screen.h"

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
	buffer_init(&b, WATCH_TEXT_MOST);
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

void watch_draw(struct watch *w)
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
	if (watch_reads_whole(w))
		draw_whole(w);
	else
		draw_list(w);
	if (w->mode == MODE_REASON) {
		snprintf(prompt, sizeof(prompt), "why is %s denied? (esc: not) %s_",
			watch_subject(w) ? watch_subject(w) : "it", w->reason);
		draw_text(prompt);
	} else {
		draw_text(helps[w->mode]);
	}
	screen_show();
}
