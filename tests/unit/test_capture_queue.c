/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "capture/queue.h"

#define MORE_THAN_FIT 20000

/* In a network namespace of its own; what the worker of a queue can do to it. */
static struct queue opened(void)
{
	struct error e = {""};
	struct queue q;

	cr_assert_eq(unshare(CLONE_NEWNET), 0, "%s", strerror(errno));
	cr_assert_eq(queue_open(&q, "x", &e), 0, "%s", e.text);
	return q;
}

/* Whether somebody reads the verdicts: more than the socket holds. */
static bool is_read(const struct queue *q)
{
	static const struct queue_verdict verdict = {.answer = QUEUE_DROP};

	for (unsigned i = 0; i < MORE_THAN_FIT; i++) {
		struct pollfd room = {.fd = q->verdicts, .events = POLLOUT};

		if (poll(&room, 1, 10000) != 1 ||
			send(q->verdicts, &verdict, sizeof(verdict), MSG_NOSIGNAL) < 0)
			return false;
	}
	return true;
}

Test(queue, an_empty_message_is_no_end)
{
	struct queue q = opened();

	cr_assert_eq(send(q.verdicts, "", 0, 0), 0);
	cr_assert(is_read(&q));
	queue_close(&q);
}

Test(queue, that_is_shut_down_ends)
{
	struct queue q = opened();

	shutdown(q.verdicts, SHUT_RDWR);
	queue_close(&q);
	cr_assert_eq(queue_descriptor(&q), -1);
}

Test(queue, that_is_renewed_has_another_number)
{
	struct queue q = opened();
	uint16_t before = q.number;
	struct error e = {""};

	cr_assert_eq(queue_renew(&q, "x", &e), 0, "%s", e.text);
	cr_assert_neq(q.number, before);
	cr_assert(is_read(&q));
	queue_close(&q);
}
