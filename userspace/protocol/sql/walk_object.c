/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/walk.h"

#include "base/memory.h"

/* How libpg_query writes the object of DROP, COMMENT, ALTER … of each kind (gram.y). */
enum object_form {
	OBJECT_FORM_RELATION,
	OBJECT_FORM_PART, /* [schema.]relation.part: a column, trigger, rule, policy, constraint */
	OBJECT_FORM_QUALIFIED, /* [schema.]name of something that is no relation */
	OBJECT_FORM_TYPE_PART, /* (TypeName, constraint) */
	OBJECT_FORM_METHOD, /* access method, then [schema.]name */
	OBJECT_FORM_ROUTINE,
	OBJECT_FORM_NAME, /* one name, of no schema */
	OBJECT_FORM_OTHER, /* what has no name: casts, transforms, user mappings */
};

static const struct {
	const char *type;
	enum object_form form;
} object_types[] = {
	{"OBJECT_TABLE", OBJECT_FORM_RELATION},
	{"OBJECT_VIEW", OBJECT_FORM_RELATION},
	{"OBJECT_MATVIEW", OBJECT_FORM_RELATION},
	{"OBJECT_INDEX", OBJECT_FORM_RELATION},
	{"OBJECT_SEQUENCE", OBJECT_FORM_RELATION},
	{"OBJECT_FOREIGN_TABLE", OBJECT_FORM_RELATION},
	{"OBJECT_COLUMN", OBJECT_FORM_PART},
	{"OBJECT_TABCONSTRAINT", OBJECT_FORM_PART},
	{"OBJECT_TRIGGER", OBJECT_FORM_PART},
	{"OBJECT_RULE", OBJECT_FORM_PART},
	{"OBJECT_POLICY", OBJECT_FORM_PART},
	{"OBJECT_TYPE", OBJECT_FORM_QUALIFIED},
	{"OBJECT_DOMAIN", OBJECT_FORM_QUALIFIED},
	{"OBJECT_ATTRIBUTE", OBJECT_FORM_QUALIFIED},
	{"OBJECT_DOMCONSTRAINT", OBJECT_FORM_TYPE_PART},
	{"OBJECT_FUNCTION", OBJECT_FORM_ROUTINE},
	{"OBJECT_PROCEDURE", OBJECT_FORM_ROUTINE},
	{"OBJECT_ROUTINE", OBJECT_FORM_ROUTINE},
	{"OBJECT_AGGREGATE", OBJECT_FORM_ROUTINE},
	{"OBJECT_OPERATOR", OBJECT_FORM_QUALIFIED},
	{"OBJECT_COLLATION", OBJECT_FORM_QUALIFIED},
	{"OBJECT_CONVERSION", OBJECT_FORM_QUALIFIED},
	{"OBJECT_STATISTIC_EXT", OBJECT_FORM_QUALIFIED},
	{"OBJECT_TSCONFIGURATION", OBJECT_FORM_QUALIFIED},
	{"OBJECT_TSDICTIONARY", OBJECT_FORM_QUALIFIED},
	{"OBJECT_TSPARSER", OBJECT_FORM_QUALIFIED},
	{"OBJECT_TSTEMPLATE", OBJECT_FORM_QUALIFIED},
	{"OBJECT_OPCLASS", OBJECT_FORM_METHOD},
	{"OBJECT_OPFAMILY", OBJECT_FORM_METHOD},
	{"OBJECT_ACCESS_METHOD", OBJECT_FORM_NAME},
	{"OBJECT_DATABASE", OBJECT_FORM_NAME},
	{"OBJECT_EVENT_TRIGGER", OBJECT_FORM_NAME},
	{"OBJECT_EXTENSION", OBJECT_FORM_NAME},
	{"OBJECT_FDW", OBJECT_FORM_NAME},
	{"OBJECT_FOREIGN_SERVER", OBJECT_FORM_NAME},
	{"OBJECT_LANGUAGE", OBJECT_FORM_NAME},
	{"OBJECT_PARAMETER_ACL", OBJECT_FORM_NAME},
	{"OBJECT_PUBLICATION", OBJECT_FORM_NAME},
	{"OBJECT_ROLE", OBJECT_FORM_NAME},
	{"OBJECT_SCHEMA", OBJECT_FORM_NAME},
	{"OBJECT_SUBSCRIPTION", OBJECT_FORM_NAME},
	{"OBJECT_TABLESPACE", OBJECT_FORM_NAME},
};

static enum object_form object_form(struct slice type)
{
	for (size_t i = 0; i < ARRAY_SIZE(object_types); i++) {
		if (slice_equal_string(type, object_types[i].type))
			return object_types[i].form;
	}
	return OBJECT_FORM_OTHER;
}

/* All of the list but its last item. */
static struct name_parts owner_of_part(struct walk *w, tree_index list)
{
	struct name_parts parts = {0}, longer = {0};

	tree_for_each(item, w->tree, list)
	{
		parts = longer;
		longer.schema = longer.name;
		longer.name = tree_string(w->tree, item);
	}
	return parts;
}

void walk_object(struct walk *w, enum operation operation, struct slice object_type,
	tree_index object, unsigned flags)
{
	struct name_parts name = walk_name(w, object);

	switch (object_form(object_type)) {
	case OBJECT_FORM_RELATION:
		walk_named(w, MENTION_RELATION, operation, name, flags);
		break;
	case OBJECT_FORM_PART:
		walk_named(w, MENTION_RELATION, operation, owner_of_part(w, object), flags);
		break;
	case OBJECT_FORM_TYPE_PART:
		name = walk_name(w, tree_first(w->tree, object));
		walk_named(w, MENTION_OBJECT, operation, name, flags);
		break;
	case OBJECT_FORM_METHOD:
		if (tree_count(w->tree, object) == 2)
			name.schema = SLICE_EMPTY;
		walk_named(w, MENTION_OBJECT, operation, name, flags);
		break;
	case OBJECT_FORM_QUALIFIED:
		walk_named(w, MENTION_OBJECT, operation, name, flags);
		break;
	case OBJECT_FORM_ROUTINE:
		walk_named(w, MENTION_ROUTINE, operation, name, flags);
		break;
	case OBJECT_FORM_NAME:
		walk_mention(w, MENTION_PLAIN, operation, SLICE_EMPTY, name.name, flags);
		break;
	case OBJECT_FORM_OTHER:
		walk_mention(w, MENTION_UNKNOWN, operation, SLICE_EMPTY, object_type, flags);
		break;
	}
}
