/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_masking: any bytes as text, as JSON, and as values and parameters of every built-in type.
 * Beyond memory errors it checks that
 * - a part of a run is judged as if it stood alone, and a run said to be clean has no findings,
 * - findings are in order, within the text, and cut no UTF-8 character,
 * - valid UTF-8 stays so, and what has been masked whole holds nothing of what it hid.
 */
#include <stdlib.h>

#include "base/text.h"
#include "protocol/postgres/value.h"
#include "protocol/postgres/value_show.h"
#include "tests/fuzz/masking_tools.h"

#define ALL ((1u << DETECTOR_COUNT) - 1)

static struct masker masker_with(enum mask_strategy strategy)
{
	struct mask_rules rules = {0};
	struct masker m;

	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] = strategy;
	masker_init(&m, engine, hasher, &rules);
	return m;
}

/* A place between characters, or the text is not UTF-8 anyway. */
static bool is_boundary(struct slice text, size_t at)
{
	return at == text.length || (text.data[at] & 0xc0) != 0x80;
}

static void check_findings(struct slice text, const struct detector_findings *found)
{
	bool utf8 = text_is_utf8(text);
	size_t done = 0;

	for (size_t i = 0; i < found->count; i++) {
		const struct detector_finding *f = &found->items[i];

		CHECK(f->start >= done && f->start < f->end && f->end <= text.length);
		CHECK(f->detectors && !(f->detectors & ~ALL));
		CHECK(!utf8 || (is_boundary(text, f->start) && is_boundary(text, f->end)));
		done = f->end;
	}
}

/* The text as a cell of a run, with what a DataRow has around it. */
static void check_part(struct slice text)
{
	struct detector_findings found;
	struct detector_finding *alone;
	struct detector_index index;
	struct buffer run;
	size_t count;

	CHECK(detector_scan(engine, ALL, text, &found) == 0);
	check_findings(text, &found);
	count = found.count;
	alone = calloc(count + 1, sizeof(*alone));
	CHECK(alone);
	if (count)
		memcpy(alone, found.items, count * sizeof(*alone));
	buffer_init(&run, 1 << 22);
	detector_index_init(&index);
	CHECK(buffer_append_u32(&run, (uint32_t)text.length) == 0);
	CHECK(buffer_append_slice(&run, text) == 0);
	CHECK(buffer_append(&run, "D\0\0\0", 4) == 0);
	CHECK(detector_index_build(engine, ALL, buffer_slice(&run), &index) == 0);
	CHECK(count == 0 || detector_index_next(&index, 4) < 4 + text.length);
	CHECK(detector_scan_part(engine, &index, 4, 4 + text.length, &found) == 0);
	CHECK(found.count == count);
	for (size_t i = 0; i < count; i++)
		CHECK(found.items[i].start == alone[i].start &&
			found.items[i].end == alone[i].end &&
			found.items[i].detectors == alone[i].detectors);
	detector_index_done(&index);
	buffer_done(&run);
	free(alone);
}

static void check_value(struct slice value, const struct masker *m, struct value_column column)
{
	struct mask_source source = mask_source_of(value);
	struct buffer out;
	int r;

	buffer_init(&out, 1 << 24);
	r = value_mask(m, &column, &source, &out);
	CHECK(r <= MASK_TO_NULL);
	CHECK(r == MASK_REPLACED || buffer_length(&out) == 0);
	if (r == MASK_REPLACED && column.format == VALUE_FORMAT_TEXT && text_is_utf8(value))
		CHECK(text_is_utf8(buffer_slice(&out)));
	/* A masked column gives nothing away but with MASK_PARTIAL. */
	if (column.strategy == MASK_REDACT && r == MASK_REPLACED && value.length > 24)
		CHECK(!memmem(out.data, buffer_length(&out), value.data, value.length));
	CHECK(column.strategy == MASK_NONE || r != MASK_UNCHANGED);
	buffer_done(&out);
}

/* As people see it who decide about a statement: as text, no bytes that are none. */
static void check_shown(struct slice value, const struct masker *m, uint32_t type)
{
	const struct protocol_value shown = {
		.data = value, .binary = true, .type = type, .length = value.length};
	struct buffer out;
	int how;

	buffer_init(&out, 1 << 24);
	how = pg_value_show(m, &shown, &out);
	CHECK(how >= PROTOCOL_SHOWN_AS_IT_IS && how <= PROTOCOL_SHOWN_NOT);
	if (how == PROTOCOL_SHOWN_AS_TEXT)
		CHECK((buffer_length(&out) || value.length == 0) &&
			text_is_utf8(buffer_slice(&out)));
	else
		CHECK(how == PROTOCOL_SHOWN_REPLACED || buffer_length(&out) == 0);
	buffer_done(&out);
}

static const uint32_t types[] = {
	0,
	70000,
#define TYPE(oid, name, kind, bound) oid,
#define ARRAY(oid, element) oid,
#include "protocol/postgres/value_types.inc"
#undef TYPE
#undef ARRAY
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct value_field fields[] = {{{20, -1, false}, MASK_NONE},
		{{25, -1, false}, MASK_PARTIAL}, {{3802, -1, false}, MASK_HASH}};
	struct slice text = slice_of(data, size);
	struct value_column column = {.type.modifier = -1};
	struct masker m;

	if (size < 4 || size > 1 << 16)
		return 0;
	masking_tools_set_up();
	/* The first bytes choose; the rest is the value. */
	m = masker_with((enum mask_strategy)(MASK_PARTIAL + data[0] % 4));
	column.type.oid = types[data[1] % (sizeof(types) / sizeof(*types))];
	column.format = data[2] & 1;
	column.strategy =
		data[2] & 2 ? (enum mask_strategy)(MASK_PARTIAL + (data[2] >> 2) % 4) : MASK_NONE;
	column.type.text_like = data[2] & 32;
	column.type.modifier = data[2] & 64 ? data[3] : -1;
	if (data[2] & 128) {
		column.fields = fields;
		column.field_count = sizeof(fields) / sizeof(*fields);
	}
	text = slice_from(text, 4);
	check_part(text);
	check_value(text, &m, column);
	check_shown(text, &m, column.type.oid);
	column = (struct value_column){.type = {114, -1, false}};
	check_value(text, &m, column);
	return 0;
}
