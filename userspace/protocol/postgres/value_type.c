/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "protocol/postgres/value_kind.h"

static const struct value_type_info types[] = {
#define TYPE(type_oid, name, type_kind, bound) {type_oid, VALUE_KIND_##type_kind, bound},
#define ARRAY(array_oid, element_oid)
#include "protocol/postgres/value_types.inc"
#undef TYPE
#undef ARRAY
};

static const struct value_type_info arrays[] = {
#define TYPE(type_oid, name, type_kind, bound)
#define ARRAY(array_oid, element_oid) {array_oid, VALUE_KIND_ARRAY, element_oid},
#include "protocol/postgres/value_types.inc"
#undef TYPE
#undef ARRAY
};

static int compare_oid(const void *key, const void *row)
{
	uint32_t oid = *(const uint32_t *)key, other = ((const struct value_type_info *)row)->oid;

	return oid < other ? -1 : oid > other;
}

struct value_type_info value_type_find(const struct value_type *type)
{
	const struct value_type_info *info;

	if (type->oid == 0)
		return (struct value_type_info){0, VALUE_KIND_GUESS, 0};
	info = bsearch(&type->oid, types, ARRAY_SIZE(types), sizeof(*types), compare_oid);
	if (!info)
		info = bsearch(
			&type->oid, arrays, ARRAY_SIZE(arrays), sizeof(*arrays), compare_oid);
	if (info)
		return *info;
	return (struct value_type_info){
		type->oid, type->text_like ? VALUE_KIND_TEXT : VALUE_KIND_OPAQUE, 0};
}
