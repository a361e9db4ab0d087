/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "policy/policy.h"
#include "worker/who.h"

static int make_list(const char *garbage)
{
	const struct principal_entry entry = {.agent = 7, .state = PRINCIPAL_NONE};
	struct buffer bytes;
	int fd;

	buffer_init(&bytes, 4096);
	cr_assert_eq(principals_encode(&entry, &bytes), 0);
	buffer_append_string(&bytes, garbage);
	fd = file_make_sealed("test", buffer_slice(&bytes));
	cr_assert_geq(fd, 0);
	buffer_done(&bytes);
	return fd;
}

static enum who_answer check(const struct who *w, enum reason *ret)
{
	const struct policy_agent agent = {.id = 7};
	enum who_answer answer;
	struct buffer text;

	buffer_init(&text, 4096);
	answer = who_check(w, &agent, 1, true, ret, &text);
	buffer_done(&text);
	return answer;
}

Test(who, nobody_is_let_through_by_a_list_that_cannot_be_read)
{
	const struct policy_agent agent = {.id = 7};
	const int lists[] = {-1, make_list("x")};
	int good = make_list("");
	enum reason reason;
	struct who w;

	who_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		who_take(&w, lists[i]);
		cr_expect(who_is_suspended(&w, &agent, 1));
		cr_expect_eq(check(&w, &reason), WHO_REFUSED);
		cr_expect_eq(reason, REASON_IDENTITY);
		who_take(&w, good);
		cr_expect_not(who_is_suspended(&w, &agent, 1));
		cr_expect_eq(check(&w, &reason), WHO_GOOD);
	}
}
