/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/host_certificate.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/ssh_wire.h"
#include "base/text.h"
#include "ssh/signature.h"

#define KIND_HOST 2u
#define BLOB_MOST 35000u /* a packet, RFC 4253, 6.1 */

static const struct {
	const char *name, *key;
	unsigned fields; /* strings that the key is made of */
} types[] = {
	{"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", 1},
	{"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256", 2},
	{"ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384", 2},
	{"ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521", 2},
	{"ssh-rsa-cert-v01@openssh.com", "ssh-rsa", 2},
};

/* --- reading --- */

static bool take_u32(struct slice *from, uint32_t *ret)
{
	if (from->length < sizeof(*ret))
		return false;
	*ret = bytes_get_u32(from->data);
	*from = slice_from(*from, sizeof(*ret));
	return true;
}

static bool take_u64(struct slice *from, uint64_t *ret)
{
	if (from->length < sizeof(*ret))
		return false;
	*ret = bytes_get_u64(from->data);
	*from = slice_from(*from, sizeof(*ret));
	return true;
}

/* The key itself has the same fields as in its own blob. */
static bool take_key(struct slice *from, struct slice type, struct host_certificate *ret)
{
	struct slice begin = *from, field;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (!slice_equal_string(type, types[i].name))
			continue;
		for (unsigned n = 0; n < types[i].fields; n++) {
			if (!ssh_wire_take_string(from, &field))
				return false;
		}
		ret->key_type = types[i].key;
		ret->key_fields = slice_head(begin, begin.length - from->length);
		return true;
	}
	return false;
}

/* Nothing but strings, `most` of them. */
static bool is_list(struct slice list, unsigned most)
{
	struct slice item;

	for (unsigned n = 0; list.length; n++) {
		if (n == most || !ssh_wire_take_string(&list, &item))
			return false;
	}
	return true;
}

static bool read_facts(struct slice *rest, struct host_certificate *ret)
{
	struct slice type, nonce, id, extensions, reserved;
	uint64_t serial;

	return ssh_wire_take_string(rest, &type) && ssh_wire_take_string(rest, &nonce) &&
		take_key(rest, type, ret) && take_u64(rest, &serial) &&
		take_u32(rest, &ret->kind) && ssh_wire_take_string(rest, &id) &&
		ssh_wire_take_string(rest, &ret->principals) &&
		is_list(ret->principals, HOST_CERTIFICATE_PRINCIPALS_MOST) &&
		take_u64(rest, &ret->valid_after) && take_u64(rest, &ret->valid_before) &&
		ssh_wire_take_string(rest, &ret->critical) &&
		ssh_wire_take_string(rest, &extensions) && ssh_wire_take_string(rest, &reserved) &&
		ssh_wire_take_string(rest, &ret->authority);
}

int host_certificate_read(struct slice blob, struct host_certificate *ret)
{
	struct host_certificate c = {0};
	struct slice rest = blob;

	if (blob.length > BLOB_MOST || !read_facts(&rest, &c))
		return -EBADMSG;
	c.facts = slice_head(blob, blob.length - rest.length);
	if (!ssh_wire_take_string(&rest, &c.signature) || rest.length)
		return -EBADMSG;
	*ret = c;
	return 0;
}

/* --- keys as known_hosts has them --- */

static int append_base64(struct slice bytes, struct buffer *ret)
{
	uint8_t *space;
	int r = buffer_reserve(ret, 4 * ((bytes.length + 2) / 3) + 1, &space);

	if (r == 0)
		buffer_commit(ret, (size_t)EVP_EncodeBlock(space, bytes.data, (int)bytes.length));
	return r;
}

int host_certificate_append_key(const struct host_certificate *c, struct buffer *ret)
{
	struct buffer blob;
	int r;

	buffer_init(&blob, BLOB_MOST);
	r = ssh_wire_append_string(&blob, slice_from_string(c->key_type));
	if (r == 0)
		r = buffer_append_slice(&blob, c->key_fields);
	if (r == 0)
		r = buffer_append_format(ret, "%s ", c->key_type);
	if (r == 0)
		r = append_base64(buffer_slice(&blob), ret);
	buffer_done(&blob);
	return r;
}

/* --- whether it is believed --- */

/* "db" of "[db]:2222", in small letters: certificates name hosts, not ports. */
static int append_host(struct slice name, struct buffer *ret)
{
	const uint8_t *end;
	int r = 0;

	if (name.length && name.data[0] == '[') {
		name = slice_from(name, 1);
		end = memchr(name.data, ']', name.length);
		name = slice_head(name, end ? (size_t)(end - name.data) : 0);
	}
	for (size_t i = 0; r == 0 && i < name.length; i++)
		r = buffer_append_byte(ret, text_lower(name.data[i]));
	return r;
}

/* OpenSSH takes a certificate without principals for one of every host up to version 10.2. */
static bool is_about(const struct host_certificate *c, struct slice name)
{
	struct slice rest = c->principals, principal;
	struct buffer host;
	bool found = false;

	buffer_init(&host, 512);
	if (append_host(name, &host) == 0 && buffer_length(&host)) {
		while (!found && ssh_wire_take_string(&rest, &principal))
			found = slice_equal(principal, buffer_slice(&host));
	}
	buffer_done(&host);
	return found;
}

/* What the file says of who signed, as an authority for that name. */
static enum known_host find_authority(const struct host_certificate *c, struct slice known_hosts,
	const struct known_host_names *names)
{
	enum known_host found = KNOWN_HOST_UNKNOWN;
	struct slice rest = c->authority, type;
	struct buffer text;

	buffer_init(&text, 2 * BLOB_MOST);
	if (ssh_wire_take_string(&rest, &type) && append_base64(c->authority, &text) == 0)
		found = known_hosts_check_authority(known_hosts, names, type, buffer_slice(&text));
	buffer_done(&text);
	return found;
}

/* An authority for one of the names speaks for that name alone. */
static const char *check_names(const struct host_certificate *c, struct slice known_hosts,
	const struct known_host_names *names)
{
	bool signs = false;

	if (find_authority(c, known_hosts, names) == KNOWN_HOST_REVOKED)
		return "is signed by an authority that is revoked in host_keys";
	for (size_t i = 0; i < ARRAY_SIZE(names->items); i++) {
		const struct known_host_names one = {{names->items[i]}};

		if (find_authority(c, known_hosts, &one) != KNOWN_HOST_SAME)
			continue;
		if (is_about(c, names->items[i]))
			return NULL;
		signs = true;
	}
	return signs ? "does not name it" : "is not signed by an authority that host_keys has";
}

static const char *check_signature(const struct host_certificate *c)
{
	switch (signature_verify(c->authority, c->facts, c->signature)) {
	case 0:
		return NULL;
	case -ENOTSUP:
		return "is signed in a way that is not trusted";
	default:
		return "has a false signature";
	}
}

const char *host_certificate_check(const struct host_certificate *c, struct slice known_hosts,
	const struct known_host_names *names, uint64_t now)
{
	const char *why;

	if (c->kind != KIND_HOST)
		return "is not one of a host";
	/* Only with keys of the file anything is computed. */
	why = check_names(c, known_hosts, names);
	if (!why)
		why = check_signature(c);
	if (why)
		return why;
	if (now < c->valid_after)
		return "is not valid yet";
	if (now >= c->valid_before)
		return "has expired";
	/* Nobody has defined one for hosts. */
	if (c->critical.length)
		return "has critical options, of which none is known";
	return NULL;
}
