/* SPDX-License-Identifier: Apache-2.0
 *
 * An agent's own ssh-agent answers what it likes, and the process of a session asks what it likes:
 * nothing but a login as the one user is ever asked of the ssh-agent, and nothing but a signature
 * comes back. The input: pieces behind their lengths (u16): the list, the signature, then requests.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/ssh_wire.h"
#include "monitor/keyring.h"
#include "monitor/own_keys.h"
#include "monitor/sshkey.h"

static struct slice identities, signature;

static void check(bool ok)
{
	if (!ok)
		abort();
}

static struct slice take(struct slice *in)
{
	size_t length = in->length >= 2 ? bytes_get_u16(in->data) : 0;
	struct slice piece = slice_head(slice_from(*in, 2), length);

	*in = slice_from(*in, 2 + piece.length);
	return piece;
}

/* Behind the type, the key and the identifier of the session. */
static void check_login(struct slice request)
{
	struct slice rest = slice_from(request, 1), blob, data, id, user;

	check(ssh_wire_take_string(&rest, &blob) && ssh_wire_take_string(&rest, &data));
	check(ssh_wire_take_string(&data, &id) && data.length && data.data[0] == 50);
	data = slice_from(data, 1);
	check(ssh_wire_take_string(&data, &user) && slice_equal_string(user, "root"));
}

static int ask(void *context, struct slice request, struct buffer *ret)
{
	(void)context;
	check(request.length > 0);
	if (request.data[0] != 11)
		check_login(request);
	return buffer_append_slice(ret, request.data[0] == 11 ? identities : signature);
}

static void answer(struct keyring *k, struct slice request)
{
	struct buffer ret;

	buffer_init(&ret, KEYRING_ANSWER_MOST);
	check(keyring_answer(k, request, &ret) == 0);
	check(buffer_length(&ret) > 0);
	check(ret.data[0] == 12 || ret.data[0] == 14 || buffer_length(&ret) == 1);
	buffer_done(&ret);
}

static void try_key(struct slice text)
{
	struct error e = {""};
	EVP_PKEY *key;

	if (sshkey_read(text, &key, &e) == 0)
		EVP_PKEY_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct owner owner;
	struct slice in = slice_of(data, size);
	struct keyring k;

	(void)owner_parse_status(in, &owner);
	free(owner_find_variable(in, "HOME"));
	try_key(in);
	keyring_init(&k, "root");
	k.ask = ask;
	identities = take(&in);
	signature = take(&in);
	(void)keyring_add_from_agent(&k);
	check(k.count <= LIMIT_SSH_OWN_KEYS);
	while (in.length)
		answer(&k, take(&in));
	check(k.signatures <= k.count);
	keyring_done(&k);
	return 0;
}
