/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/setting.h"

#include "base/memory.h"
#include "base/text.h"
#include "protocol/sql/encoding.h"
#include "protocol/sql/statement.h"

enum setting_kind {
	SETTING_HARMLESS,
	SETTING_VALUES,
	SETTING_NAMING,
	SETTING_TRANSACTION,
	SETTING_ROLE,
	SETTING_ENCODING,
	SETTING_STRINGS,
	SETTING_OTHER,
	SETTING_OTHER_VALUES,
	SETTING_KIND_COUNT
};

static const struct setting {
	const char *name;
	enum setting_kind kind;
} settings[] = {
#define SETTING(name, kind) {name, SETTING_##kind},
#include "protocol/sql/settings.inc"
#undef SETTING
};

static const struct {
	enum operation operation;
	unsigned effects;
} meanings[SETTING_KIND_COUNT] = {
	[SETTING_HARMLESS] = {OPERATION_SESSION, 0},
	[SETTING_VALUES] = {OPERATION_SESSION, SQL_EFFECT_VALUES},
	[SETTING_NAMING] = {OPERATION_SESSION, SQL_EFFECT_NAMING},
	[SETTING_TRANSACTION] = {OPERATION_TRANSACTION, 0},
	[SETTING_ROLE] = {OPERATION_SET_ROLE, SQL_EFFECT_NAMING},
	[SETTING_ENCODING] = {OPERATION_SET, SQL_EFFECT_NAMING},
	[SETTING_STRINGS] = {OPERATION_SET, 0},
	[SETTING_OTHER] = {OPERATION_SET, 0},
	[SETTING_OTHER_VALUES] = {OPERATION_SET, SQL_EFFECT_VALUES},
};

static const struct setting *setting_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		if (text_equal_ignore_case(name, slice_from_string(settings[i].name)))
			return &settings[i];
	}
	return NULL;
}

static bool is_on(struct slice value)
{
	static const char *const words[] = {"on", "true", "yes", "1"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (text_equal_ignore_case(value, slice_from_string(words[i])))
			return true;
	}
	return false;
}

static bool has_capital(struct slice name)
{
	for (size_t i = 0; i < name.length; i++) {
		if (name.data[i] >= 'A' && name.data[i] <= 'Z')
			return true;
	}
	return false;
}

struct action_pair sql_setting_pair(struct slice name, struct slice value)
{
	const struct setting *s = setting_find(name);
	enum setting_kind kind = s ? s->kind : SETTING_OTHER;

	if ((kind == SETTING_ENCODING && sql_encoding_is_safe(value)) ||
		(kind == SETTING_STRINGS && is_on(value)))
		kind = SETTING_HARMLESS;
	if (kind == SETTING_ROLE && value.length &&
		!text_equal_ignore_case(value, slice_from_string("none")))
		return (struct action_pair){
			.operation = OPERATION_SET_ROLE, .state = OBJECT_KNOWN, .object = value};
	if (meanings[kind].operation != OPERATION_SET)
		return (struct action_pair){.operation = meanings[kind].operation};
	/* Two spellings of one setting must not be two objects. */
	return (struct action_pair){
		.operation = OPERATION_SET,
		.state = !s && has_capital(name) ? OBJECT_UNKNOWN : OBJECT_KNOWN,
		.object = s ? slice_from_string(s->name) : name,
	};
}

unsigned sql_setting_effects(struct slice name)
{
	const struct setting *s = setting_find(name);

	return meanings[s ? s->kind : SETTING_OTHER].effects;
}

bool sql_setting_changes_reading(const struct action_pair *pair)
{
	static const char *const names[] = {
		"client_encoding", "standard_conforming_strings", "backslash_quote"};

	if (pair->operation != OPERATION_SET)
		return false;
	if (pair->state == OBJECT_UNKNOWN)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (text_equal_ignore_case(pair->object, slice_from_string(names[i])))
			return true;
	}
	return false;
}
