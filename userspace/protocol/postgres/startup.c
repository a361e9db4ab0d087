/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/startup.h"

#include <ctype.h>
#include <errno.h>

#include "base/bytes.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "base/text.h"
#include "protocol/postgres/wire.h"

#define STARTUP_SETTINGS_MOST 256

/* Settings are compared without case; "-" in an option's name stands for "_" (ParseLongOption). */
static struct slice setting_name(struct arena *arena, struct slice name, bool option)
{
	struct slice copy = arena_copy(arena, name);

	for (size_t i = 0; copy.data && i < copy.length; i++) {
		uint8_t *c = (uint8_t *)&copy.data[i];

		*c = option && *c == '-' ? '_' : (uint8_t)tolower(*c);
	}
	return copy;
}

static int add_setting(struct pg_startup *s, struct arena *arena, struct slice name,
	struct slice value, bool option)
{
	struct pg_setting *setting;

	if (s->setting_count == STARTUP_SETTINGS_MOST)
		return -E2BIG;
	if (!s->settings)
		s->settings = arena_new_array(arena, STARTUP_SETTINGS_MOST, sizeof(*s->settings));
	if (!s->settings)
		return -E2BIG;
	setting = &s->settings[s->setting_count];
	setting->name = setting_name(arena, name, option);
	setting->value = value;
	setting->option = option;
	if (!setting->name.data)
		return -E2BIG;
	s->setting_count++;
	return 0;
}

/* The next word of `options`, as pg_split_opts() cuts them: white space separates, a backslash
 * takes the next byte as it is. The empty slice with NULL data at the end. */
static int next_option(struct slice *rest, struct arena *arena, struct slice *ret)
{
	uint8_t *word;
	size_t n = 0;

	while (rest->length && isspace(rest->data[0]))
		*rest = slice_from(*rest, 1);
	*ret = SLICE_EMPTY;
	if (rest->length == 0)
		return 0;
	word = arena_new(arena, rest->length);
	if (!word)
		return -E2BIG;
	while (rest->length && !isspace(rest->data[0])) {
		size_t step = rest->data[0] == '\\' && rest->length > 1 ? 2 : 1;

		if (rest->data[0] != '\\' || step == 2)
			word[n++] = rest->data[step - 1];
		*rest = slice_from(*rest, step);
	}
	*ret = slice_of(word, n);
	return 0;
}

/* "name=value" of -c or --. */
static int take_assignment(struct pg_startup *s, struct arena *arena, struct slice word)
{
	const uint8_t *equals = word.length ? memchr(word.data, '=', word.length) : NULL;
	size_t length = equals ? (size_t)(equals - word.data) : word.length;

	if (!equals) {
		s->strange_option = "an option without a value";
		return 0;
	}
	return add_setting(s, arena, slice_head(word, length), slice_from(word, length + 1), true);
}

static int parse_options(struct pg_startup *s, struct arena *arena, struct slice options)
{
	for (;;) {
		struct slice word;
		int r = next_option(&options, arena, &word);

		if (r < 0 || !word.data)
			return r;
		if (word.length > 2 && word.data[0] == '-' &&
			(word.data[1] == 'c' || word.data[1] == '-')) {
			r = take_assignment(s, arena, slice_from(word, 2));
		} else if (slice_equal_string(word, "-c")) {
			r = next_option(&options, arena, &word);
			if (r == 0)
				r = take_assignment(s, arena, word);
		} else {
			s->strange_option = "an option that is no setting";
		}
		if (r < 0)
			return r;
	}
}

/* parse_bool() of the server, and "database". Whatever is not plainly false asks for replication.
 */
static bool asks_for_replication(struct slice value)
{
	static const char *const no[] = {
		"false", "no", "off", "0", "f", "fa", "fal", "fals", "n", "of"};

	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		if (text_equal_ignore_case(value, slice_from_string(no[i])))
			return false;
	}
	return true;
}

static int take_parameter(
	struct pg_startup *s, struct arena *arena, struct slice name, struct slice value)
{
	if (slice_equal_string(name, "user"))
		s->user = value;
	else if (slice_equal_string(name, "database"))
		s->database = value;
	else if (slice_equal_string(name, "replication"))
		/* The server goes by the last one; what is in between may not. */
		s->replication |= asks_for_replication(value);
	else if (slice_equal_string(name, "options"))
		return parse_options(s, arena, value);
	else if (slice_starts_with(name, slice_from_string("_pq_.")))
		return 0; /* protocol extensions: the server answers what it knows */
	else
		return add_setting(s, arena, name, value, false);
	return 0;
}

/* Those of `options` first, as the server takes them (process_startup_options). */
static struct slice find_application(const struct pg_startup *s)
{
	struct slice found = SLICE_EMPTY;

	for (int options = 1; options >= 0; options--) {
		for (size_t i = 0; i < s->setting_count; i++) {
			const struct pg_setting *setting = &s->settings[i];

			if (setting->option == (options == 1) &&
				slice_equal_string(setting->name, "application_name"))
				found = setting->value;
		}
	}
	return found;
}

int pg_startup_parse(struct slice packet, struct arena *arena, struct pg_startup *ret)
{
	struct pg_startup s = {0};
	uint32_t version;
	int r = pg_get_u32(&packet, &version);

	if (r < 0)
		return r;
	if (version >> 16 != PG_PROTOCOL_MAJOR)
		return -EPROTONOSUPPORT;
	s.minor = version & 0xffff;
	for (;;) {
		struct slice name, value;

		r = pg_get_string(&packet, &name);
		if (r < 0)
			return r;
		if (name.length == 0)
			break;
		r = pg_get_string(&packet, &value);
		if (r < 0)
			return r;
		r = take_parameter(&s, arena, name, value);
		if (r < 0)
			return r;
	}
	if (packet.length != 0 || s.user.length == 0)
		return -EBADMSG;
	if (s.database.length == 0)
		s.database = s.user;
	s.application = find_application(&s);
	*ret = s;
	return 0;
}

static int put_parameter(struct buffer *b, struct slice name, struct slice value)
{
	int r = pg_put_string(b, name);

	return r < 0 ? r : pg_put_string(b, value);
}

static bool is_replaced(struct slice name)
{
	return slice_equal_string(name, "user") || slice_equal_string(name, "database") ||
		slice_equal_string(name, "application_name");
}

/* `packet`: behind the code. */
static int put_other_parameters(struct slice packet, struct buffer *ret)
{
	struct slice name, value;
	int r = 0;

	while (r == 0 && pg_get_string(&packet, &name) == 0 && name.length &&
		pg_get_string(&packet, &value) == 0) {
		if (!is_replaced(name))
			r = put_parameter(ret, name, value);
	}
	return r;
}

int pg_startup_put(struct slice packet, struct slice user, struct slice database,
	struct slice application, struct buffer *ret)
{
	size_t before = buffer_length(ret);
	int r = buffer_append_u32(ret, 0);

	if (r == 0)
		r = buffer_append_slice(ret, slice_head(packet, 4));
	if (r == 0)
		r = put_parameter(ret, slice_from_string("user"), user);
	if (r == 0)
		r = put_parameter(ret, slice_from_string("database"), database);
	if (r == 0 && application.length)
		r = put_parameter(ret, slice_from_string("application_name"), application);
	if (r == 0)
		r = put_other_parameters(slice_from(packet, 4), ret);
	if (r == 0)
		r = buffer_append_byte(ret, 0);
	if (r == 0)
		bytes_put_u32(
			ret->data + ret->start + before, (uint32_t)(buffer_length(ret) - before));
	return r;
}
