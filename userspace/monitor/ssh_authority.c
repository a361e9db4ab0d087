/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/ssh_authority.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/ssh_wire.h"
#include "monitor/sshkey.h"
#include "monitor/sshkey_file.h"

#define USER_CERTIFICATE 1u
#define NONCE_SIZE 32u

struct ssh_authority {
	EVP_PKEY *key;
	struct buffer line;
};

/* --- the key --- */

static int make_key(const char *path, struct buffer *ret, struct error *e)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	int r = key ? sshkey_file_append(key, ret) : -EIO;

	EVP_PKEY_free(key);
	return r < 0 ? error_set_errno(e, r, "making %s", path)
		     : file_write(path, buffer_slice(ret), 0600, e);
}

static int load_key(struct ssh_authority *a, const char *path, struct error *e)
{
	struct error why = {""};
	struct buffer text;
	int r;

	buffer_init(&text, SSHKEY_TEXT_MOST);
	r = access(path, F_OK) == 0 ? file_read(path, &text, e) : make_key(path, &text, e);
	if (r == 0) {
		r = sshkey_read(buffer_slice(&text), &a->key, &why);
		if (r == 0 && EVP_PKEY_get_base_id(a->key) != EVP_PKEY_ED25519)
			r = error_set(&why, -EINVAL, "not an Ed25519 key");
		if (r < 0)
			error_set(e, r, "%s: %s", path, why.text);
	}
	buffer_wipe(&text);
	return r;
}

/* For administrators to copy; what the file says is not read again. */
static int show_key(struct ssh_authority *a, const char *path, struct error *e)
{
	int r = sshkey_append_line(a->key, &a->line);

	if (r == 0)
		r = buffer_append_string(&a->line, " wayleave\n");
	return r < 0 ? error_set_errno(e, r, "%s", path)
		     : file_write(path, buffer_slice(&a->line), 0644, e);
}

int ssh_authority_open(const char *state_dir, struct ssh_authority **ret, struct error *e)
{
	struct ssh_authority *a = memory_new(sizeof(*a));
	char *folder = memory_format("%s/ca", state_dir);
	char *key = memory_format("%s/ssh_ca.key", folder);
	char *line = memory_format("%s/ssh_ca.pub", folder);
	int r = file_make_folders(folder, 0755, e);

	buffer_init(&a->line, SSHKEY_TEXT_MOST);
	if (r == 0)
		r = load_key(a, key, e);
	if (r == 0)
		r = show_key(a, line, e);
	free(line);
	free(key);
	free(folder);
	if (r == 0)
		*ret = a;
	else
		ssh_authority_free(a);
	return r;
}

void ssh_authority_free(struct ssh_authority *a)
{
	if (!a)
		return;
	EVP_PKEY_free(a->key);
	buffer_done(&a->line);
	free(a);
}

struct slice ssh_authority_line(const struct ssh_authority *a)
{
	return buffer_slice(&a->line);
}

/* --- certificates --- */

static int append_nonce(struct buffer *ret)
{
	int r = buffer_append_u32(ret, NONCE_SIZE);

	return r < 0 ? r : random_append(ret, NONCE_SIZE);
}

/* The key's blob without its type: the fields that a certificate has of it. */
static int append_key(const EVP_PKEY *key, struct buffer *ret)
{
	struct buffer blob;
	struct slice rest, type;
	int r;

	buffer_init(&blob, SSHKEY_BLOB_MOST);
	r = sshkey_append_public(key, &blob);
	rest = buffer_slice(&blob);
	if (r == 0 && !ssh_wire_take_string(&rest, &type))
		r = -EINVAL;
	if (r == 0)
		r = buffer_append_slice(ret, rest);
	buffer_done(&blob);
	return r;
}

/* A string that holds one string: a list of one principal, or the data of an option. */
static int append_nested(struct slice s, struct buffer *ret)
{
	int r = buffer_append_u32(ret, (uint32_t)(4 + s.length));

	return r < 0 ? r : ssh_wire_append_string(ret, s);
}

/* In the order of their names, as whoever reads it demands; those without a value are not there. */
static int append_options(const struct ssh_certificate *c, struct buffer *ret)
{
	const struct {
		const char *name;
		struct slice value;
	} options[] = {{"force-command", c->command}, {"source-address", c->addresses}};
	size_t length = 0;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (options[i].value.length)
			length += 4 + strlen(options[i].name) + 4 + 4 + options[i].value.length;
	}
	r = buffer_append_u32(ret, (uint32_t)length);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(options); i++) {
		if (!options[i].value.length)
			continue;
		r = ssh_wire_append_string(ret, slice_from_string(options[i].name));
		if (r == 0)
			r = append_nested(options[i].value, ret);
	}
	return r;
}

static int append_permissions(struct buffer *ret)
{
	static const char *const names[] = {"permit-port-forwarding", "permit-pty"};
	uint32_t length = 0;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		length += 8 + (uint32_t)strlen(names[i]);
	r = buffer_append_u32(ret, length);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		r = ssh_wire_append_string(ret, slice_from_string(names[i]));
		if (r == 0)
			r = buffer_append_u32(ret, 0);
	}
	return r;
}

static int append_blob(const EVP_PKEY *key, struct buffer *ret)
{
	struct buffer blob;
	int r;

	buffer_init(&blob, SSHKEY_BLOB_MOST);
	r = sshkey_append_public(key, &blob);
	if (r == 0)
		r = ssh_wire_append_string(ret, buffer_slice(&blob));
	buffer_done(&blob);
	return r;
}

/* All that is signed. */
static int append_facts(const struct ssh_authority *a, const EVP_PKEY *key,
	const struct ssh_certificate *c, struct buffer *ret)
{
	int r = ssh_wire_append_string(ret, slice_from_string(SSH_CERTIFICATE_TYPE));

	if (r == 0)
		r = append_nonce(ret);
	if (r == 0)
		r = append_key(key, ret);
	if (r == 0)
		r = random_append(ret, sizeof(uint64_t)); /* serial */
	if (r == 0)
		r = buffer_append_u32(ret, USER_CERTIFICATE);
	if (r == 0)
		r = ssh_wire_append_string(ret, c->id);
	if (r == 0)
		r = append_nested(c->user, ret);
	if (r == 0)
		r = buffer_append_u64(ret, c->now - SSH_CERTIFICATE_BEFORE);
	if (r == 0)
		r = buffer_append_u64(ret, c->now + SSH_CERTIFICATE_AFTER);
	if (r == 0)
		r = append_options(c, ret);
	if (r == 0)
		r = append_permissions(ret);
	if (r == 0)
		r = buffer_append_u32(ret, 0); /* reserved */
	return r < 0 ? r : append_blob(a->key, ret);
}

int ssh_authority_certify(struct ssh_authority *a, const EVP_PKEY *key,
	const struct ssh_certificate *c, struct buffer *ret)
{
	struct buffer facts, signature;
	int r;

	/* An empty list of principals would be all of them. */
	if (!c->user.length || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519)
		return -EINVAL;
	buffer_init(&facts, SSH_CERTIFICATE_MOST);
	buffer_init(&signature, SSHKEY_BLOB_MOST);
	r = append_facts(a, key, c, &facts);
	if (r == 0)
		r = sshkey_append_signature(a->key, buffer_slice(&facts), 0, &signature);
	if (r == 0)
		r = buffer_append_slice(ret, buffer_slice(&facts));
	if (r == 0)
		r = ssh_wire_append_string(ret, buffer_slice(&signature));
	buffer_done(&facts);
	buffer_done(&signature);
	return r;
}
