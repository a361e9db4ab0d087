/* SPDX-License-Identifier: Apache-2.0
 *
 * Private keys as ssh-keygen writes them, and what the signer does with one.
 */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/ssh_wire.h"
#include "monitor/keyring.h"
#include "monitor/sshkey.h"
#include "monitor/sshkey_file.h"

static char folder[] = "/tmp/wayleave-key-XXXXXX";

static void setup(void)
{
	cr_assert(mkdtemp(folder));
}

static void teardown(void)
{
	char *command = memory_format("rm -r %s", folder);

	cr_assert_eq(system(command), 0);
	free(command);
}

TestSuite(sshkey, .init = setup, .fini = teardown);

/* Made by ssh-keygen with these options; its public half in `ret_line`, as that wrote it. */
static int read_made(const char *options, EVP_PKEY **ret, struct buffer *ret_line)
{
	char *command =
		memory_format("rm -f %s/k*; ssh-keygen -q -f %s/k %s", folder, folder, options);
	char *path = memory_format("%s/k", folder), *public = memory_format("%s/k.pub", folder);
	struct error e = {""};
	struct buffer text;
	int r;

	buffer_init(&text, SSHKEY_TEXT_MOST);
	buffer_init(ret_line, SSHKEY_TEXT_MOST);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(file_read(path, &text, &e), 0, "%s", e.text);
	cr_assert_eq(file_read(public, ret_line, &e), 0, "%s", e.text);
	r = sshkey_read(buffer_slice(&text), ret, &e);
	buffer_done(&text);
	free(command);
	free(path);
	free(public);
	return r;
}

static const char *const kinds[] = {
	"-t ed25519 -N ''",
	"-t ecdsa -b 256 -N ''",
	"-t ecdsa -b 384 -N ''",
	"-t ecdsa -b 521 -N ''",
	"-t rsa -b 2048 -N ''",
	"-t rsa -b 2048 -m PEM -N ''",
	"-t ecdsa -m PKCS8 -N ''",
};

Test(sshkey, public_halves_are_as_ssh_keygen_writes_them)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct buffer expected, line;
		EVP_PKEY *key;

		cr_assert_eq(read_made(kinds[i], &key, &expected), 0, "%s", kinds[i]);
		buffer_init(&line, SSHKEY_TEXT_MOST);
		cr_assert_eq(sshkey_append_line(key, &line), 0);
		cr_expect(slice_starts_with(buffer_slice(&expected), buffer_slice(&line)), "%s",
			kinds[i]);
		buffer_done(&line);
		buffer_done(&expected);
		EVP_PKEY_free(key);
	}
}

Test(sshkey, one_with_a_passphrase_is_refused)
{
	struct buffer line;
	EVP_PKEY *key;

	cr_expect_lt(read_made("-t ed25519 -N secret", &key, &line), 0);
	buffer_done(&line);
	cr_expect_lt(read_made("-t rsa -b 2048 -m PEM -N secret", &key, &line), 0);
	buffer_done(&line);
}

Test(sshkey, damage_is_refused)
{
	struct error e;
	struct buffer text, line;
	EVP_PKEY *key, *again;
	struct slice all;

	cr_assert_eq(read_made(kinds[0], &key, &line), 0);
	buffer_init(&text, SSHKEY_TEXT_MOST);
	cr_assert_eq(sshkey_file_append(key, &text), 0);
	all = buffer_slice(&text);
	cr_assert_eq(sshkey_read(all, &again, &e), 0);
	cr_expect_eq(EVP_PKEY_eq(key, again), 1);
	EVP_PKEY_free(again);
	for (size_t n = 0; n + 2 < all.length; n++)
		cr_assert_lt(sshkey_read(slice_head(all, n), &again, &e), 0, "%zu", n);
	EVP_PKEY_free(key);
	buffer_done(&text);
	buffer_done(&line);
}

/* --- the signer --- */

/* What a client would have signed. */
static void append_login(EVP_PKEY *key, const char *user, const char *service,
	const char *algorithm, size_t session, struct buffer *ret)
{
	uint8_t id[64] = {1};
	struct buffer blob;

	buffer_init(&blob, SSHKEY_BLOB_MOST);
	sshkey_append_public(key, &blob);
	ssh_wire_append_string(ret, slice_of(id, session));
	buffer_append_byte(ret, 50);
	ssh_wire_append_string(ret, slice_from_string(user));
	ssh_wire_append_string(ret, slice_from_string(service));
	ssh_wire_append_string(ret, slice_from_string("publickey"));
	buffer_append_byte(ret, 1);
	ssh_wire_append_string(ret, slice_from_string(algorithm));
	ssh_wire_append_string(ret, buffer_slice(&blob));
	buffer_done(&blob);
}

static int answer(EVP_PKEY *key, struct slice request, struct buffer *ret)
{
	struct keyring keys;
	int r;

	keyring_init(&keys, "root");
	EVP_PKEY_up_ref(key);
	cr_assert_eq(keyring_add(&keys, key, SLICE_EMPTY), 0);
	r = keyring_answer(&keys, request, ret);
	keyring_done(&keys);
	return r;
}

/* The first byte of the answer: 14 where it signed, 5 where it refused. */
static int ask(EVP_PKEY *key, struct slice data, uint32_t flags)
{
	struct buffer request, blob, answered;
	int first;

	buffer_init(&request, 16384);
	buffer_init(&blob, SSHKEY_BLOB_MOST);
	buffer_init(&answered, 16384);
	sshkey_append_public(key, &blob);
	buffer_append_byte(&request, 13);
	ssh_wire_append_string(&request, buffer_slice(&blob));
	ssh_wire_append_string(&request, data);
	buffer_append_u32(&request, flags);
	cr_assert_eq(answer(key, buffer_slice(&request), &answered), 0);
	first = buffer_slice(&answered).data[0];
	buffer_done(&request);
	buffer_done(&blob);
	buffer_done(&answered);
	return first;
}

static int ask_login(EVP_PKEY *key, const char *user, const char *service, const char *algorithm,
	size_t session, uint32_t flags)
{
	struct buffer data;
	int first;

	buffer_init(&data, 16384);
	append_login(key, user, service, algorithm, session, &data);
	first = ask(key, buffer_slice(&data), flags);
	/* Nothing may stand behind it. */
	buffer_append_byte(&data, 0);
	cr_expect_eq(ask(key, buffer_slice(&data), flags), 5);
	buffer_done(&data);
	return first;
}

Test(sshkey, the_signer_signs_logins_as_its_user_alone)
{
	struct buffer line;
	EVP_PKEY *key;

	cr_assert_eq(read_made(kinds[0], &key, &line), 0);
	cr_expect_eq(ask_login(key, "root", "ssh-connection", "ssh-ed25519", 32, 0), 14);
	cr_expect_eq(ask_login(key, "admin", "ssh-connection", "ssh-ed25519", 32, 0), 5);
	cr_expect_eq(ask_login(key, "root", "other", "ssh-ed25519", 32, 0), 5);
	cr_expect_eq(ask_login(key, "root", "ssh-connection", "ssh-rsa", 32, 0), 5);
	cr_expect_eq(ask_login(key, "root", "ssh-connection", "ssh-ed25519", 8, 0), 5);
	cr_expect_eq(ask(key, slice_from_string("anything else"), 0), 5);
	cr_expect_eq(ask(key, SLICE_EMPTY, 0), 5);
	EVP_PKEY_free(key);
	buffer_done(&line);
}

Test(sshkey, rsa_signs_by_sha2_alone)
{
	struct buffer line;
	EVP_PKEY *key;

	cr_assert_eq(read_made(kinds[4], &key, &line), 0);
	cr_expect_eq(ask_login(key, "root", "ssh-connection", "rsa-sha2-512", 64, 4), 14);
	cr_expect_eq(ask_login(key, "root", "ssh-connection", "rsa-sha2-256", 64, 2), 14);
	cr_expect_eq(ask_login(key, "root", "ssh-connection", "rsa-sha2-512", 64, 2), 5);
	cr_expect_eq(ask_login(key, "root", "ssh-connection", "ssh-rsa", 64, 0), 5);
	EVP_PKEY_free(key);
	buffer_done(&line);
}

Test(sshkey, other_requests_are_refused)
{
	static const uint8_t requests[][2] = {{17, 0}, {18, 0}, {19, 0}, {22, 0}, {27, 0}, {13, 0}};
	struct buffer line, answered;
	EVP_PKEY *key;

	cr_assert_eq(read_made(kinds[0], &key, &line), 0);
	buffer_init(&answered, 16384);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		buffer_clear(&answered);
		cr_assert_eq(answer(key, slice_of(requests[i], 2), &answered), 0);
		cr_expect(buffer_length(&answered) == 1 && buffer_slice(&answered).data[0] == 5);
	}
	buffer_done(&answered);
	buffer_done(&line);
	EVP_PKEY_free(key);
}
