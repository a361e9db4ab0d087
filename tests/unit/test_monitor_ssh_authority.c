/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates of SSH users, as ssh-keygen reads them, and what the signer does with one.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/ssh_wire.h"
#include "monitor/keyring.h"
#include "monitor/ssh_authority.h"

static struct ssh_authority *authority;
static char folder[] = "/tmp/ssh-authority-XXXXXX";

static void open_authority(void)
{
	struct error e;

	cr_assert(mkdtemp(folder));
	cr_assert_eq(ssh_authority_open(folder, &authority, &e), 0, "%s", e.text);
}

static void close_authority(void)
{
	char command[100];

	ssh_authority_free(authority);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(ssh_authority, .init = open_authority, .fini = close_authority);

static EVP_PKEY *certify_command(
	const char *user, const char *command, const char *addresses, struct buffer *ret)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	const struct ssh_certificate c = {
		.id = slice_from_string("wayleave agent=a"),
		.user = slice_from_string(user),
		.command = slice_from_string(command),
		.addresses = slice_from_string(addresses),
		.now = 1700000000,
	};

	buffer_init(ret, SSH_CERTIFICATE_MOST);
	cr_assert_eq(ssh_authority_certify(authority, key, &c, ret), 0);
	return key;
}

static EVP_PKEY *certify(const char *user, const char *addresses, struct buffer *ret)
{
	return certify_command(user, "", addresses, ret);
}

/* What ssh-keygen(1) says of it. */
static void read_certificate(struct slice certificate, char *ret, size_t size)
{
	char encoded[8192], command[200], path[100];
	FILE *file;
	size_t n;

	EVP_EncodeBlock((uint8_t *)encoded, certificate.data, (int)certificate.length);
	snprintf(path, sizeof(path), "%s/cert.pub", folder);
	file = fopen(path, "w");
	fprintf(file, "%s %s\n", SSH_CERTIFICATE_TYPE, encoded);
	fclose(file);
	snprintf(command, sizeof(command), "TZ=UTC ssh-keygen -L -f %s", path);
	file = popen(command, "r");
	n = fread(ret, 1, size - 1, file);
	ret[n] = '\0';
	cr_assert_eq(pclose(file), 0);
}

Test(ssh_authority, a_certificate_is_for_one_user_and_some_minutes)
{
	struct buffer certificate;
	char text[4096];
	EVP_PKEY *key = certify("deploy", "10.0.3.0/24,fd00::1", &certificate);

	read_certificate(buffer_slice(&certificate), text, sizeof(text));
	cr_expect(strstr(text, "Key ID: \"wayleave agent=a\""), "%s", text);
	cr_expect(
		strstr(text, "Principals: \n                deploy\n        Critical"), "%s", text);
	cr_expect(strstr(text, "from 2023-11-14T22:11:20 to 2023-11-14T22:16:20"), "%s", text);
	cr_expect(strstr(text, "source-address 10.0.3.0/24,fd00::1\n        Ext"), "%s", text);
	cr_expect(strstr(text, "permit-port-forwarding\n                permit-pty\n"), "%s", text);
	cr_expect_not(strstr(text, "agent-forwarding"));
	EVP_PKEY_free(key);
	buffer_done(&certificate);
}

Test(ssh_authority, a_certificate_may_force_a_command)
{
	struct buffer certificate;
	char text[4096];
	EVP_PKEY *key = certify_command("deploy", "/bin/only this", "10.0.3.1", &certificate);

	read_certificate(buffer_slice(&certificate), text, sizeof(text));
	cr_expect(strstr(text,
			  "force-command /bin/only this\n                source-address "
			  "10.0.3.1\n        Ext"),
		"%s", text);
	EVP_PKEY_free(key);
	buffer_done(&certificate);
	key = certify_command("deploy", "/bin/only", "", &certificate);
	read_certificate(buffer_slice(&certificate), text, sizeof(text));
	cr_expect(strstr(text, "force-command /bin/only\n        Ext"), "%s", text);
	EVP_PKEY_free(key);
	buffer_done(&certificate);
}

Test(ssh_authority, the_key_stays_the_same)
{
	struct ssh_authority *again;
	struct error e;

	cr_assert_eq(ssh_authority_open(folder, &again, &e), 0, "%s", e.text);
	cr_expect(slice_equal(ssh_authority_line(authority), ssh_authority_line(again)));
	ssh_authority_free(again);
}

Test(ssh_authority, nobody_is_everybody)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	const struct ssh_certificate c = {.id = slice_from_string("x"), .now = 1700000000};
	struct buffer ret;

	buffer_init(&ret, SSH_CERTIFICATE_MOST);
	cr_expect_lt(ssh_authority_certify(authority, key, &c, &ret), 0);
	cr_expect_eq(buffer_length(&ret), 0);
	EVP_PKEY_free(key);
}

/* One that has a certificate shows and signs for that, not for its bare key. */
Test(ssh_authority, the_signer_signs_for_the_certificate)
{
	struct buffer certificate, data, request, answered;
	EVP_PKEY *key = certify("root", "", &certificate);
	const uint8_t ask_identities = 11, id[32] = {1};
	struct keyring keys;
	struct slice rest;

	keyring_init(&keys, "root");
	cr_assert_eq(keyring_add(&keys, key, buffer_slice(&certificate)), 0);

	buffer_init(&data, 16384);
	buffer_init(&request, 16384);
	buffer_init(&answered, 16384);
	cr_assert_eq(keyring_answer(&keys, slice_of(&ask_identities, 1), &answered), 0);
	rest = slice_from(buffer_slice(&answered), 9);
	cr_expect(slice_starts_with(rest, buffer_slice(&certificate)));
	ssh_wire_append_string(&data, slice_of(id, sizeof(id)));
	buffer_append_byte(&data, 50);
	ssh_wire_append_string(&data, slice_from_string("root"));
	ssh_wire_append_string(&data, slice_from_string("ssh-connection"));
	ssh_wire_append_string(&data, slice_from_string("publickey"));
	buffer_append_byte(&data, 1);
	ssh_wire_append_string(&data, slice_from_string(SSH_CERTIFICATE_TYPE));
	ssh_wire_append_string(&data, buffer_slice(&certificate));
	buffer_append_byte(&request, 13);
	ssh_wire_append_string(&request, buffer_slice(&certificate));
	ssh_wire_append_string(&request, buffer_slice(&data));
	buffer_append_u32(&request, 0);
	buffer_clear(&answered);
	cr_assert_eq(keyring_answer(&keys, buffer_slice(&request), &answered), 0);
	cr_expect_eq(buffer_slice(&answered).data[0], 14);
	keyring_done(&keys);
	buffer_done(&certificate);
	buffer_done(&data);
	buffer_done(&request);
	buffer_done(&answered);
}
