/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/ssh_signer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/ssh_wire.h"
#include "monitor/keyring.h"

struct ssh_signer {
	struct list link;
	struct loop *loop;
	struct loop_source source;
	struct keyring keys;
	char *user;
	struct buffer in;
	uint64_t deadline; /* monotonic */
};

static void end(struct ssh_signer *s)
{
	int fd = s->source.fd;

	loop_remove(s->loop, &s->source);
	close(fd);
	list_remove(&s->link);
	keyring_done(&s->keys);
	buffer_done(&s->in);
	free(s->user);
	free(s);
}

static bool send_string(struct ssh_signer *s, struct slice text)
{
	struct buffer out;
	bool ok;

	buffer_init(&out, KEYRING_REQUEST_MOST + 4);
	ok = ssh_wire_append_string(&out, text) == 0 &&
		send(s->source.fd, buffer_slice(&out).data, buffer_length(&out),
			MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)buffer_length(&out);
	buffer_done(&out);
	return ok;
}

/* False: it is to end. */
static bool answer(struct ssh_signer *s, struct slice request)
{
	struct buffer payload;
	bool ok;

	buffer_init(&payload, KEYRING_REQUEST_MOST);
	ok = keyring_answer(&s->keys, request, &payload) == 0 &&
		send_string(s, buffer_slice(&payload));
	buffer_done(&payload);
	return ok;
}

static bool receive(struct ssh_signer *s)
{
	uint8_t bytes[KEYRING_REQUEST_MOST];
	ssize_t n = recv(s->source.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	bool ok = true;

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0 || buffer_append(&s->in, bytes, (size_t)n) < 0)
		return false;
	while (ok) {
		struct slice in = buffer_slice(&s->in), request;

		if (!ssh_wire_take_string(&in, &request))
			break;
		ok = answer(s, request);
		buffer_consume(&s->in, 4 + request.length);
	}
	return ok;
}

static void on_readable(struct loop_source *source)
{
	struct ssh_signer *s = source->context;

	if (!receive(s))
		end(s);
}

/* Takes all keys, also when it fails. */
static int add_keys(struct keyring *keys, const struct ssh_identity *identities, size_t count)
{
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		if (r == 0)
			r = keyring_add(keys, identities[i].key, identities[i].certificate);
		else
			EVP_PKEY_free(identities[i].key);
	}
	return r;
}

int ssh_signer_start(struct loop *loop, struct list *signers, const char *user,
	const struct ssh_identity *identities, size_t count, int *ret_fd, struct error *e)
{
	struct ssh_signer *s;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		r = -errno;
		for (size_t i = 0; i < count; i++)
			EVP_PKEY_free(identities[i].key);
		return error_set_errno(e, r, "socketpair");
	}
	s = memory_new(sizeof(*s));
	s->loop = loop;
	s->user = memory_copy_string(user);
	keyring_init(&s->keys, s->user);
	buffer_init(&s->in, KEYRING_REQUEST_MOST);
	s->deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
	list_append(signers, &s->link);
	loop_add(loop, &s->source, pair[0], on_readable, s);
	r = add_keys(&s->keys, identities, count);
	/* No problem (ssh/messages.h): the socket is empty, so that there is room. */
	if (r == 0 && !send_string(s, SLICE_EMPTY))
		r = -EIO;
	if (r < 0) {
		close(pair[1]);
		end(s);
		return error_set_errno(e, r, "the key can't be used");
	}
	*ret_fd = pair[1];
	return 0;
}

void ssh_signers_tick(struct list *signers, uint64_t now)
{
	list_for_each_safe (position, signers) {
		struct ssh_signer *s = list_entry(position, struct ssh_signer, link);

		if (now >= s->deadline)
			end(s);
	}
}
