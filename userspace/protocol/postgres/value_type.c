/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "protocol/postgres/value_kind.h"

/* By OID; what is not named is VALUE_KIND_FOREIGN. */
static const struct value_type_info types[] = {
#define TYPE(oid, name, type_kind, bound) [oid] = {VALUE_KIND_##type_kind, bound},
#define ARRAY(oid, element_oid) [oid] = {VALUE_KIND_ARRAY, element_oid},
#include "protocol/postgres/value_types.inc"
#undef TYPE
#undef ARRAY
};

struct value_type_info value_type_find(const struct value_type *type)
{
	if (type->oid == 0)
		return (struct value_type_info){VALUE_KIND_GUESS, 0};
	if (type->oid < ARRAY_SIZE(types))
		return types[type->oid];
	return (struct value_type_info){type->text_like ? VALUE_KIND_TEXT : VALUE_KIND_FOREIGN, 0};
}
