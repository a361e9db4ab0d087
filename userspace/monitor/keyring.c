/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/keyring.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/ssh_wire.h"
#include "monitor/sshkey.h"

#define ALGORITHM_MOST 64u

/* draft-ietf-sshm-ssh-agent, 6.1 */
enum agent_message {
	AGENT_FAILURE = 5,
	AGENT_REQUEST_IDENTITIES = 11,
	AGENT_IDENTITIES_ANSWER = 12,
	AGENT_SIGN_REQUEST = 13,
	AGENT_SIGN_RESPONSE = 14,
};
#define USERAUTH_REQUEST 50 /* RFC 4252, 6 */

void keyring_init(struct keyring *k, const char *user)
{
	*k = (struct keyring){.user = user};
}

void keyring_done(struct keyring *k)
{
	for (size_t i = 0; i < k->count; i++) {
		EVP_PKEY_free(k->items[i].key);
		buffer_done(&k->items[i].blob);
	}
	k->count = 0;
}

/* --- keys --- */

/* By which a key or certificate of this kind signs a login; NULL: none that we know. */
static const char *algorithm_of(struct slice blob, unsigned flags)
{
	static const char *const kinds[] = {
		"ssh-ed25519",
		"ecdsa-sha2-nistp256",
		"ecdsa-sha2-nistp384",
		"ecdsa-sha2-nistp521",
		"ssh-ed25519-cert-v01@openssh.com",
		"ecdsa-sha2-nistp256-cert-v01@openssh.com",
		"ecdsa-sha2-nistp384-cert-v01@openssh.com",
		"ecdsa-sha2-nistp521-cert-v01@openssh.com",
	};
	struct slice kind;

	if (!ssh_wire_take_string(&blob, &kind))
		return NULL;
	if (slice_equal_string(kind, "ssh-rsa"))
		return flags & SSHKEY_RSA_SHA2_512    ? "rsa-sha2-512"
			: flags & SSHKEY_RSA_SHA2_256 ? "rsa-sha2-256"
						      : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (slice_equal_string(kind, kinds[i]))
			return kinds[i];
	}
	return NULL;
}

static struct keyring_item *find(struct keyring *k, struct slice blob)
{
	for (size_t i = 0; i < k->count; i++) {
		if (slice_equal(buffer_slice(&k->items[i].blob), blob))
			return &k->items[i];
	}
	return NULL;
}

int keyring_add(struct keyring *k, EVP_PKEY *key, struct slice certificate)
{
	struct keyring_item *item = &k->items[k->count];
	int r;

	if (k->count == ARRAY_SIZE(k->items)) {
		EVP_PKEY_free(key);
		return -ENOSPC;
	}
	buffer_init(&item->blob, SSHKEY_BLOB_MOST);
	r = certificate.length ? buffer_append_slice(&item->blob, certificate)
			       : sshkey_append_public(key, &item->blob);
	if (r < 0 || find(k, buffer_slice(&item->blob))) {
		EVP_PKEY_free(key);
		buffer_done(&item->blob);
		return r;
	}
	item->key = key;
	k->count++;
	return 0;
}

/* Of the ssh-agent behind; those that are too many are left out, as a host would not let one try
 * them all. */
static void add_public(struct keyring *k, struct slice blob)
{
	struct keyring_item *item = &k->items[k->count];

	if (k->count == ARRAY_SIZE(k->items) || !algorithm_of(blob, SSHKEY_RSA_SHA2_512) ||
		find(k, blob))
		return;
	item->key = NULL;
	buffer_init(&item->blob, SSHKEY_BLOB_MOST);
	if (buffer_append_slice(&item->blob, blob) == 0)
		k->count++;
	else
		buffer_done(&item->blob);
}

static int take_identities(struct keyring *k, struct slice answer)
{
	struct slice blob, comment;
	uint32_t count;

	if (answer.length < 5 || answer.data[0] != AGENT_IDENTITIES_ANSWER)
		return -EBADMSG;
	count = bytes_get_u32(answer.data + 1);
	answer = slice_from(answer, 5);
	for (uint32_t i = 0; i < count; i++) {
		if (!ssh_wire_take_string(&answer, &blob) ||
			!ssh_wire_take_string(&answer, &comment))
			return -EBADMSG;
		add_public(k, blob);
	}
	return answer.length ? -EBADMSG : 0;
}

int keyring_add_from_agent(struct keyring *k)
{
	const uint8_t request = AGENT_REQUEST_IDENTITIES;
	struct buffer answer;
	int r;

	buffer_init(&answer, KEYRING_ANSWER_MOST);
	r = k->ask(k->context, slice_of(&request, 1), &answer);
	if (r == 0)
		r = take_identities(k, buffer_slice(&answer));
	buffer_done(&answer);
	return r;
}

/* --- what is signed --- */

/* RFC 4252, 7: behind the session's identifier. Every part of it is ours. */
static int append_expected(
	const char *user, const char *algorithm, struct slice blob, struct buffer *ret)
{
	int r = buffer_append_byte(ret, USERAUTH_REQUEST);

	if (r == 0)
		r = ssh_wire_append_string(ret, slice_from_string(user));
	if (r == 0)
		r = ssh_wire_append_string(ret, slice_from_string("ssh-connection"));
	if (r == 0)
		r = ssh_wire_append_string(ret, slice_from_string("publickey"));
	if (r == 0)
		r = buffer_append_byte(ret, 1);
	if (r == 0)
		r = ssh_wire_append_string(ret, slice_from_string(algorithm));
	return r < 0 ? r : ssh_wire_append_string(ret, blob);
}

/* The identifier is a hash: of at least 20 bytes, of at most 64. */
static bool is_login(const char *user, struct slice blob, struct slice data, unsigned flags)
{
	const char *algorithm = algorithm_of(blob, flags);
	struct slice session;
	struct buffer expected;
	bool same;

	if (!algorithm || !ssh_wire_take_string(&data, &session) || session.length < 20 ||
		session.length > 64)
		return false;
	buffer_init(&expected, KEYRING_REQUEST_MOST);
	same = append_expected(user, algorithm, blob, &expected) == 0 &&
		slice_equal(data, buffer_slice(&expected));
	buffer_done(&expected);
	return same;
}

/* --- answers --- */

static int answer_identities(const struct keyring *k, struct buffer *ret)
{
	int r = buffer_append_byte(ret, AGENT_IDENTITIES_ANSWER);

	if (r == 0)
		r = buffer_append_u32(ret, (uint32_t)k->count);
	for (size_t i = 0; r == 0 && i < k->count; i++) {
		r = ssh_wire_append_string(ret, buffer_slice(&k->items[i].blob));
		if (r == 0)
			r = ssh_wire_append_string(ret, slice_from_string("wayleave"));
	}
	return r;
}

static int sign(EVP_PKEY *key, struct slice data, unsigned flags, struct buffer *ret)
{
	struct buffer signature;
	int r;

	buffer_init(&signature, SSHKEY_BLOB_MOST);
	r = sshkey_append_signature(key, data, flags, &signature);
	if (r == 0)
		r = buffer_append_byte(ret, AGENT_SIGN_RESPONSE);
	if (r == 0)
		r = ssh_wire_append_string(ret, buffer_slice(&signature));
	buffer_done(&signature);
	return r;
}

/* A signature (RFC 4253, 6.6), and nothing else. */
static bool is_signature(struct slice answer)
{
	struct slice signature, algorithm, bytes;

	if (answer.length == 0 || answer.data[0] != AGENT_SIGN_RESPONSE)
		return false;
	answer = slice_from(answer, 1);
	return ssh_wire_take_string(&answer, &signature) && answer.length == 0 &&
		ssh_wire_take_string(&signature, &algorithm) && algorithm.length &&
		algorithm.length <= ALGORITHM_MOST && ssh_wire_take_string(&signature, &bytes) &&
		bytes.length && bytes.length <= SSHKEY_BLOB_MOST && signature.length == 0;
}

static int sign_behind(struct keyring *k, struct slice request, struct buffer *ret)
{
	struct buffer answer;
	int r;

	buffer_init(&answer, KEYRING_ANSWER_MOST);
	r = k->ask ? k->ask(k->context, request, &answer) : -EPERM;
	if (r == 0)
		r = is_signature(buffer_slice(&answer))
			? buffer_append_slice(ret, buffer_slice(&answer))
			: -EBADMSG;
	buffer_done(&answer);
	return r;
}

static int answer_sign(struct keyring *k, struct slice whole, struct buffer *ret)
{
	struct slice rest = slice_from(whole, 1), blob, data;
	struct keyring_item *item;
	unsigned flags;

	if (!ssh_wire_take_string(&rest, &blob) || !ssh_wire_take_string(&rest, &data) ||
		rest.length != 4)
		return -EINVAL;
	flags = bytes_get_u32(rest.data);
	item = find(k, blob);
	if (!item || k->signatures >= k->count || !is_login(k->user, blob, data, flags))
		return -EPERM;
	k->signatures++;
	return item->key ? sign(item->key, data, flags, ret) : sign_behind(k, whole, ret);
}

int keyring_answer(struct keyring *k, struct slice request, struct buffer *ret)
{
	size_t before = buffer_length(ret);
	int r = -EINVAL;

	if (request.length && request.data[0] == AGENT_REQUEST_IDENTITIES)
		r = answer_identities(k, ret);
	else if (request.length && request.data[0] == AGENT_SIGN_REQUEST)
		r = answer_sign(k, request, ret);
	if (r == 0)
		return 0;
	buffer_truncate(ret, before);
	return buffer_append_byte(ret, AGENT_FAILURE);
}
