/* SPDX-License-Identifier: Apache-2.0
 *
 * value_number: numbers and addresses in binary format, by the text that stands for them. Formats
 * are those of PostgreSQL's *_send() functions.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "masking/characters.h"
#include "protocol/postgres/value_kind.h"

/* No shorter number is a card's. */
#define SMALLEST_CARD UINT64_C(1000000000000)

static int judge_integer(const struct value_job *job, uint64_t magnitude)
{
	char digits[24];
	int n;

	if (magnitude < SMALLEST_CARD)
		return MASK_UNCHANGED;
	n = snprintf(digits, sizeof(digits), "%" PRIu64, magnitude);
	return value_judge_text(job, slice_of(digits, (size_t)n));
}

static bool read_int8(const struct value_job *job, uint64_t *ret_magnitude)
{
	uint64_t value;

	if (job->value->text.length != 8)
		return false;
	value = bytes_get_u64(job->value->text.data);
	*ret_magnitude = value >> 63 ? -value : value;
	return true;
}

int value_find_int8_binary(const struct value_job *job)
{
	uint64_t magnitude;

	return read_int8(job, &magnitude) ? judge_integer(job, magnitude) : -EBADMSG;
}

int value_find_float8_binary(const struct value_job *job)
{
	uint64_t bits;
	double value;

	if (job->value->text.length != 8)
		return -EBADMSG;
	bits = bytes_get_u64(job->value->text.data);
	memcpy(&value, &bits, sizeof(value));
	value = fabs(value);
	if (!(value < 1e19) || value != trunc(value))
		return MASK_UNCHANGED;
	return judge_integer(job, (uint64_t)value);
}

/* Hundredths, or whole units where the server's locale has no smaller ones. */
int value_find_money_binary(const struct value_job *job)
{
	uint64_t magnitude;
	int r;

	if (!read_int8(job, &magnitude))
		return -EBADMSG;
	r = judge_integer(job, magnitude);
	return r == MASK_UNCHANGED ? judge_integer(job, magnitude / 100) : r;
}

/* "$4,111,111,111,111.00": the digits, whatever the locale puts between them. */
int value_find_money_text(const struct value_job *job)
{
	struct slice text = job->value->text;
	uint8_t digits[24];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < text.length && n < sizeof(digits); i++) {
		if (character_is(text.data[i], CHARACTER_DIGIT))
			digits[n++] = text.data[i];
	}
	r = value_judge_text(job, slice_of(digits, n));
	if (r == MASK_UNCHANGED && n > 2)
		r = value_judge_text(job, slice_of(digits, n - 2));
	return r;
}

#define NUMERIC_BASE 10000
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_SPECIAL 0xc000 /* NaN and the infinities have both top bits */
#define NUMERIC_GROUPS 5 /* of four digits; longer numbers are no card's */

int value_find_numeric_binary(const struct value_job *job)
{
	struct value_reader reader = {job->value->text};
	uint16_t count, weight, sign, scale, group;
	uint64_t whole = 0;

	if (!value_read_u16(&reader, &count) || !value_read_u16(&reader, &weight) ||
		!value_read_u16(&reader, &sign) || !value_read_u16(&reader, &scale) ||
		reader.rest.length != 2 * (size_t)count)
		return -EBADMSG;
	if ((sign & NUMERIC_SPECIAL) == NUMERIC_SPECIAL)
		return MASK_UNCHANGED;
	if (sign != 0 && sign != NUMERIC_NEGATIVE)
		return -EBADMSG;
	if ((int16_t)weight < 0 || weight >= NUMERIC_GROUPS)
		return MASK_UNCHANGED;
	for (unsigned i = 0; i <= weight; i++) {
		group = 0;
		if (i < count && (!value_read_u16(&reader, &group) || group >= NUMERIC_BASE))
			return -EBADMSG;
		if (__builtin_mul_overflow(whole, NUMERIC_BASE, &whole) ||
			__builtin_add_overflow(whole, group, &whole))
			return MASK_UNCHANGED;
	}
	return judge_integer(job, whole);
}

/* Any value is an address. In binary (inet_send()): family 2 or 3, bits, whether it is a cidr, the
 * address' length, the address. */
int value_find_inet(const struct value_job *job)
{
	struct slice value = job->value->text;

	if (job->column->format == VALUE_FORMAT_BINARY &&
		(value.length < 4 || value.data[0] < 2 || value.data[0] > 3 ||
			value.data[3] != (value.data[0] == 2 ? 4 : 16) ||
			value.length != 4u + value.data[3]))
		return -EBADMSG;
	return job->m->detectors >> DETECTOR_IP_ADDRESS & 1 ? MASK_TO_NULL : MASK_UNCHANGED;
}
