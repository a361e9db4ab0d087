/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/ssh_signer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "monitor/ssh_authority.h"
#include "monitor/sshkey.h"

#define REQUEST_MOST 16384u
#define SIGNATURES_MOST 1 /* a login needs one */

/* draft-ietf-sshm-ssh-agent, 6.1 */
enum agent_message {
	AGENT_FAILURE = 5,
	AGENT_REQUEST_IDENTITIES = 11,
	AGENT_IDENTITIES_ANSWER = 12,
	AGENT_SIGN_REQUEST = 13,
	AGENT_SIGN_RESPONSE = 14,
};
#define USERAUTH_REQUEST 50 /* RFC 4252, 6 */

struct ssh_signer {
	struct list link;
	struct loop *loop;
	struct loop_source source;
	struct ssh_identity identity; /* its own */
	struct buffer certificate;
	char *user;
	struct buffer in;
	unsigned signatures;
	uint64_t deadline; /* monotonic */
};

/* --- what is signed --- */

/* What the host is to know the key by. */
static int append_blob(const struct ssh_identity *identity, struct buffer *ret)
{
	struct buffer blob;
	int r;

	if (identity->certificate.length)
		return sshkey_append_string(ret, identity->certificate);
	buffer_init(&blob, SSHKEY_BLOB_MOST);
	r = sshkey_append_public(identity->key, &blob);
	if (r == 0)
		r = sshkey_append_string(ret, buffer_slice(&blob));
	buffer_done(&blob);
	return r;
}

/* RFC 4252, 7: behind the session's identifier. Every part of it is ours. */
static int append_expected(
	const struct ssh_identity *identity, const char *algorithm, struct buffer *ret)
{
	int r = buffer_append_byte(ret, USERAUTH_REQUEST);

	if (r == 0)
		r = sshkey_append_string(ret, slice_from_string(identity->user));
	if (r == 0)
		r = sshkey_append_string(ret, slice_from_string("ssh-connection"));
	if (r == 0)
		r = sshkey_append_string(ret, slice_from_string("publickey"));
	if (r == 0)
		r = buffer_append_byte(ret, 1);
	if (r == 0)
		r = sshkey_append_string(ret, slice_from_string(algorithm));
	return r < 0 ? r : append_blob(identity, ret);
}

static const char *algorithm_of(const struct ssh_identity *identity, unsigned flags)
{
	if (identity->certificate.length)
		return SSH_CERTIFICATE_TYPE;
	if (EVP_PKEY_get_base_id(identity->key) != EVP_PKEY_RSA)
		return sshkey_type(identity->key);
	return flags & SSHKEY_RSA_SHA2_512    ? "rsa-sha2-512"
		: flags & SSHKEY_RSA_SHA2_256 ? "rsa-sha2-256"
					      : NULL;
}

/* The identifier is a hash: of at least 20 bytes, of at most 64. */
static bool is_login(const struct ssh_identity *identity, struct slice data, unsigned flags)
{
	const char *algorithm = algorithm_of(identity, flags);
	struct slice session;
	struct buffer expected;
	bool same;

	if (!algorithm || !sshkey_take_string(&data, &session) || session.length < 20 ||
		session.length > 64)
		return false;
	buffer_init(&expected, REQUEST_MOST);
	same = append_expected(identity, algorithm, &expected) == 0 &&
		slice_equal(data, buffer_slice(&expected));
	buffer_done(&expected);
	return same;
}

/* --- answers --- */

static int answer_identities(const struct ssh_identity *identity, struct buffer *ret)
{
	int r = buffer_append_byte(ret, AGENT_IDENTITIES_ANSWER);

	if (r == 0)
		r = buffer_append_u32(ret, 1);
	if (r == 0)
		r = append_blob(identity, ret);
	if (r == 0)
		r = sshkey_append_string(ret, slice_from_string("wayleave"));
	return r;
}

static int answer_sign(
	const struct ssh_identity *identity, struct slice request, struct buffer *ret)
{
	struct slice blob, data;
	struct buffer signature;
	unsigned flags;
	int r;

	if (!sshkey_take_string(&request, &blob) || !sshkey_take_string(&request, &data) ||
		request.length != 4)
		return -EINVAL;
	flags = bytes_get_u32(request.data);
	if (!is_login(identity, data, flags))
		return -EPERM;
	buffer_init(&signature, SSHKEY_BLOB_MOST);
	r = sshkey_append_signature(identity->key, data, flags, &signature);
	if (r == 0)
		r = buffer_append_byte(ret, AGENT_SIGN_RESPONSE);
	if (r == 0)
		r = sshkey_append_string(ret, buffer_slice(&signature));
	buffer_done(&signature);
	return r;
}

int ssh_signer_answer(const struct ssh_identity *identity, struct slice request, struct buffer *ret)
{
	size_t before = buffer_length(ret);
	int r = -EINVAL;

	if (request.length && request.data[0] == AGENT_REQUEST_IDENTITIES)
		r = answer_identities(identity, ret);
	else if (request.length && request.data[0] == AGENT_SIGN_REQUEST)
		r = answer_sign(identity, slice_from(request, 1), ret);
	if (r == 0)
		return 0;
	buffer_truncate(ret, before);
	return buffer_append_byte(ret, AGENT_FAILURE);
}

/* --- one session's --- */

static void end(struct ssh_signer *s)
{
	int fd = s->source.fd;

	loop_remove(s->loop, &s->source);
	close(fd);
	list_remove(&s->link);
	EVP_PKEY_free(s->identity.key);
	buffer_done(&s->certificate);
	buffer_done(&s->in);
	free(s->user);
	free(s);
}

/* False: it is to end. */
static bool answer(struct ssh_signer *s, struct slice request)
{
	struct buffer payload, out;
	bool ok;

	if (request.length && request.data[0] == AGENT_SIGN_REQUEST &&
		s->signatures++ >= SIGNATURES_MOST)
		return false;
	buffer_init(&payload, REQUEST_MOST);
	buffer_init(&out, REQUEST_MOST + 4);
	ok = ssh_signer_answer(&s->identity, request, &payload) == 0 &&
		sshkey_append_string(&out, buffer_slice(&payload)) == 0 &&
		send(s->source.fd, buffer_slice(&out).data, buffer_length(&out),
			MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)buffer_length(&out);
	buffer_done(&payload);
	buffer_done(&out);
	return ok;
}

static bool receive(struct ssh_signer *s)
{
	uint8_t bytes[REQUEST_MOST];
	ssize_t n = recv(s->source.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	bool ok = true;

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0 || buffer_append(&s->in, bytes, (size_t)n) < 0)
		return false;
	while (ok) {
		struct slice in = buffer_slice(&s->in), request;

		if (!sshkey_take_string(&in, &request))
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

int ssh_signer_start(struct loop *loop, struct list *signers, const struct ssh_identity *identity,
	int *ret_fd, struct error *e)
{
	struct ssh_signer *s;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		EVP_PKEY_free(identity->key);
		return error_set_errno(e, -errno, "socketpair");
	}
	s = memory_new(sizeof(*s));
	s->loop = loop;
	s->user = memory_copy_string(identity->user);
	buffer_init(&s->certificate, SSH_CERTIFICATE_MOST);
	buffer_append_slice(&s->certificate, identity->certificate);
	s->identity = (struct ssh_identity){identity->key, buffer_slice(&s->certificate), s->user};
	buffer_init(&s->in, REQUEST_MOST);
	s->deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
	list_append(signers, &s->link);
	loop_add(loop, &s->source, pair[0], on_readable, s);
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
