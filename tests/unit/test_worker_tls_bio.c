/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "worker/leg.h"
#include "worker/tls_bio.h"

static struct leg leg;
static BIO *bio;

static void set_up(void)
{
	leg_init(&leg, NULL, NULL, NULL);
	leg.state = LEG_OPEN;
	bio = tls_bio_new(&leg);
}

static void tear_down(void)
{
	BIO_free(bio);
	leg.state = LEG_CLOSED;
	leg_done(&leg);
}

TestSuite(tls_bio, .init = set_up, .fini = tear_down);

static void expect_read(size_t size, const char *expected)
{
	char room[64];
	size_t n = 0;

	cr_assert_eq(BIO_read_ex(bio, room, size, &n), 1);
	cr_assert_eq(n, strlen(expected));
	cr_assert_arr_eq(room, expected, n);
}

static void expect_nothing(void)
{
	char room[8];
	size_t n = 1;

	cr_assert_eq(BIO_read_ex(bio, room, sizeof(room), &n), 0);
	cr_assert_eq(n, 0);
	cr_assert(BIO_should_retry(bio));
	cr_assert(BIO_should_read(bio));
	cr_assert_not(tls_bio_has(bio));
}

Test(tls_bio, nothing_is_there_yet_and_may_come)
{
	expect_nothing();
	tls_bio_give(bio, slice_from_string("late"));
	cr_assert(tls_bio_has(bio));
	expect_read(8, "late");
	cr_assert_not(BIO_should_retry(bio));
	expect_nothing();
}

Test(tls_bio, what_is_not_read_outlives_where_it_lay)
{
	char bytes[] = "0123456789";

	tls_bio_give(bio, slice_of(bytes, 10));
	expect_read(3, "012");
	cr_assert_eq(tls_bio_keep(bio), 0);
	memset(bytes, 'x', sizeof(bytes));
	expect_read(2, "34");
	tls_bio_give(bio, slice_from_string("abc"));
	expect_read(8, "56789");
	expect_read(8, "abc");
	expect_nothing();
}

Test(tls_bio, what_is_kept_stays_in_order)
{
	tls_bio_give(bio, slice_from_string("one "));
	cr_assert_eq(tls_bio_keep(bio), 0);
	tls_bio_give(bio, slice_from_string("two"));
	cr_assert_eq(tls_bio_keep(bio), 0);
	expect_read(16, "one two");
}

Test(tls_bio, no_more_is_kept_than_a_handshake_needs)
{
	static char block[64 << 10];

	for (int i = 0; i < 4; i++) {
		tls_bio_give(bio, slice_of(block, sizeof(block)));
		cr_assert_eq(tls_bio_keep(bio), 0);
	}
	tls_bio_give(bio, slice_of(block, 1));
	cr_assert_eq(tls_bio_keep(bio), -E2BIG);
}

Test(tls_bio, what_is_written_waits_in_the_leg)
{
	size_t n;

	cr_assert_eq(BIO_write_ex(bio, "record", 6, &n), 1);
	cr_assert_eq(n, 6);
	cr_assert_eq(BIO_flush(bio), 1);
	cr_assert_eq(leg_queued(&leg), 6);
	cr_assert_arr_eq(leg.out.items[leg.out.first].data, "record", 6);
}

Test(tls_bio, a_closed_leg_gets_nothing_more)
{
	size_t n;

	leg.state = LEG_CLOSED;
	cr_assert_eq(BIO_write_ex(bio, "alert", 5, &n), 1);
	cr_assert_eq(n, 5);
	cr_assert_eq(leg_queued(&leg), 0);
}
