/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/certified.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "ssh/first_exchange.h"
#include "ssh/host_certificate.h"

/* Until something can be done with the socket. */
static int wait_for(int fd, short events, uint64_t deadline, struct error *e)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now = clock_monotonic();

	if (now >= deadline)
		return error_set(e, -ETIMEDOUT, "it does not answer");
	poll(&p, 1, (int)((deadline - now) / NANOSECONDS_PER_MILLISECOND) + 1);
	return 0;
}

static int send_all(int fd, struct buffer *out, uint64_t deadline, struct error *e)
{
	int r = 0;

	while (r == 0 && buffer_length(out)) {
		struct slice rest = buffer_slice(out);
		ssize_t n = send(fd, rest.data, rest.length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			buffer_consume(out, (size_t)n);
		else if (errno == EAGAIN || errno == EINTR)
			r = wait_for(fd, POLLOUT, deadline, e);
		else
			r = error_set(e, -errno, "%s", strerror(errno));
	}
	return r;
}

static int receive_some(int fd, struct buffer *in, uint64_t deadline, struct error *e)
{
	uint8_t bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0)
		return error_set(e, -ECONNRESET, "it ended the connection");
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return error_set(e, -errno, "%s", strerror(errno));
	if (n < 0)
		return wait_for(fd, POLLIN, deadline, e);
	return buffer_append(in, bytes, (size_t)n);
}

static int exchange(
	int fd, struct first_exchange *x, uint64_t deadline, struct buffer *in, struct error *e)
{
	size_t taken;
	int r;

	do {
		r = send_all(fd, &x->out, deadline, e);
		if (r == 0)
			r = receive_some(fd, in, deadline, e);
		if (r < 0)
			return r;
		r = first_exchange_take(x, buffer_slice(in), &taken);
		if (r < 0)
			return error_set(e, r, "%s", x->why);
		buffer_consume(in, taken);
	} while (x->state != FIRST_EXCHANGE_DONE);
	/* Its goodbye, which nobody waits for. */
	(void)send(fd, buffer_slice(&x->out).data, buffer_length(&x->out),
		MSG_DONTWAIT | MSG_NOSIGNAL);
	return 0;
}

static int check(struct slice blob, struct slice known_hosts, const struct known_host_names *names,
	struct buffer *ret, struct error *e)
{
	struct host_certificate certificate;
	const char *why;
	int r = host_certificate_read(blob, &certificate);

	if (r < 0)
		return error_set(e, -EKEYREJECTED, "is malformed");
	why = host_certificate_check(
		&certificate, known_hosts, names, clock_wall() / NANOSECONDS_PER_SECOND);
	if (why)
		return error_set(e, -EKEYREJECTED, "%s", why);
	r = buffer_append_string(ret, "* ");
	if (r == 0)
		r = host_certificate_append_key(&certificate, ret);
	return r < 0 ? error_set(e, -EKEYREJECTED, "is too large") : 0;
}

int certified_ask(int fd, uint64_t deadline, struct slice known_hosts,
	const struct known_host_names *names, struct buffer *ret, struct error *e)
{
	struct first_exchange x;
	struct buffer in;
	int r = first_exchange_init(&x);

	buffer_init(&in, 2 * FIRST_EXCHANGE_PACKET_MOST);
	r = r < 0 ? error_set_errno(e, r, "it could not be asked")
		  : exchange(fd, &x, deadline, &in, e);
	if (r == 0)
		r = check(buffer_slice(&x.certificate), known_hosts, names, ret, e);
	buffer_done(&in);
	first_exchange_done(&x);
	return r;
}
