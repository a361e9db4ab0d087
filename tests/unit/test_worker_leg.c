/* SPDX-License-Identifier: Apache-2.0
 *
 * What a leg shares with its input, and what it copies.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "worker/leg.h"
#include "worker/tls.h"

#define HEAD 300
#define BODY 1024

static struct leg to, from;
static struct tls tls;

static void set_up(void)
{
	leg_init(&to, NULL, NULL, NULL);
	leg_init(&from, NULL, NULL, NULL);
	to.state = LEG_OPEN;
}

static void tear_down(void)
{
	to.tls = NULL;
	leg_done(&to);
}

TestSuite(worker_leg, .init = set_up, .fini = tear_down);

/* A record's content, as TLS has it. */
static struct chunk *receive(size_t length)
{
	struct chunk *chunk = chunk_new(LEG_CHUNK_SIZE);

	memset(chunk->data, 'b', length);
	chunk->used = (uint32_t)length;
	from.input_chunk = chunk;
	return chunk;
}

static void write_head(void)
{
	char head[HEAD];

	memset(head, 'h', sizeof(head));
	cr_assert_eq(leg_write(&to, slice_of(head, sizeof(head))), 0);
}

/* Passes the whole record on, and it is done with. */
static void pass(struct chunk *chunk)
{
	cr_assert_eq(leg_pass(&to, &from, slice_of(chunk->data, chunk->used)), 0);
	from.input_chunk = NULL;
	chunk_put(chunk);
}

static void expect_bytes(const struct segment *segment, size_t head, size_t body)
{
	cr_assert_eq(segment->length, head + body);
	for (size_t i = 0; i < head + body; i++)
		cr_assert_eq(segment->data[i], i < head ? 'h' : 'b');
}

/* Each segment is encrypted by itself. */
Test(worker_leg, a_head_and_its_body_are_one_record_of_tls)
{
	to.tls = &tls;
	write_head();
	pass(receive(BODY));
	cr_assert_eq(to.plain.count, 1);
	expect_bytes(&to.plain.items[to.plain.first], HEAD, BODY);
	/* Also behind a body that is shared. */
	leg_consume_plain(&to, HEAD + BODY);
	pass(receive(BODY));
	pass(receive(BODY));
	cr_assert_eq(to.plain.count, 1);
	expect_bytes(&to.plain.items[to.plain.first], 0, 2 * BODY);
}

Test(worker_leg, what_fits_in_no_record_is_shared)
{
	struct chunk *chunk = receive(LEG_CHUNK_SIZE);

	to.tls = &tls;
	write_head();
	pass(chunk);
	cr_assert_eq(to.plain.count, 2);
	cr_assert_eq(to.plain.items[to.plain.first + 1].data, chunk->data);
}

Test(worker_leg, without_tls_it_is_shared)
{
	struct chunk *chunk = receive(BODY);

	write_head();
	pass(chunk);
	cr_assert_eq(to.out.count, 2);
	cr_assert_eq(to.out.items[to.out.first + 1].data, chunk->data);
}

/* Nobody else's bytes are written over: the chunk is still another's, too. */
Test(worker_leg, behind_a_record_that_others_have_nothing_is_copied)
{
	struct chunk *chunk = receive(2 * BODY);

	to.tls = &tls;
	cr_assert_eq(leg_pass(&to, &from, slice_of(chunk->data, BODY)), 0);
	write_head();
	cr_assert_eq(to.plain.count, 2);
	for (size_t i = 0; i < (size_t)2 * BODY; i++)
		cr_assert_eq(chunk->data[i], 'b');
	from.input_chunk = NULL;
	chunk_put(chunk);
}
