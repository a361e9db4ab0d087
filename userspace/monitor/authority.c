/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/authority.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "monitor/authority_names.h"
#include "policy/ca_names.h"

#define CA_DAYS (10 * 365L)
#define DAY 86400L
#define PEM_MOST 65536

struct authority {
	X509 *certificate;
	EVP_PKEY *key;
	EVP_PKEY *leaf_key; /* one for all leaves of this start */
	struct buffer text; /* the certificate in PEM */
	struct host *limits; /* own, with their names */
	size_t limit_count; /* 0: none */
};

static int openssl_error(struct error *e, const char *what)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return error_set(e, -EIO, "%s: %s", what, text ? text : "OpenSSL failed");
}

static int append_bio(struct buffer *ret, BIO *bio)
{
	char *data;
	long length = BIO_get_mem_data(bio, &data);

	return length < 0 ? -EIO : buffer_append(ret, data, (size_t)length);
}

static int append_certificate(struct buffer *ret, X509 *certificate)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int r = bio && PEM_write_bio_X509(bio, certificate) ? append_bio(ret, bio) : -ENOMEM;

	BIO_free(bio);
	return r;
}

static int append_key(struct buffer *ret, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	int r = bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
		? append_bio(ret, bio)
		: -ENOMEM;

	BIO_free(bio);
	return r;
}

static int add_extension(X509 *certificate, X509 *issuer, int kind, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	int r;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
	r = extension && X509_add_ext(certificate, extension, -1) ? 0 : -EINVAL;
	X509_EXTENSION_free(extension);
	return r;
}

/* A certificate for `key` with a random serial number, valid from an hour ago. */
static X509 *new_certificate(EVP_PKEY *key, const char *name, long days)
{
	X509 *certificate = X509_new();
	uint8_t serial[16];
	BIGNUM *number;
	X509_NAME *subject;
	int ok;

	if (!certificate)
		return NULL;
	random_fill(serial, sizeof(serial));
	serial[0] &= 0x7f; /* positive (RFC 5280, 4.1.2.2) */
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	subject = X509_get_subject_name(certificate);
	ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) &&
		X509_set_version(certificate, X509_VERSION_3) &&
		X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
		X509_gmtime_adj(X509_getm_notAfter(certificate), days * DAY) &&
		X509_NAME_add_entry_by_txt(
			subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) &&
		X509_set_pubkey(certificate, key);
	BN_free(number);
	if (ok)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static int make_ca(struct authority *a)
{
	char name[128], host[64] = "localhost";

	gethostname(host, sizeof(host) - 1);
	snprintf(name, sizeof(name), "Wayleave CA on %.50s", host);
	a->key = EVP_EC_gen("P-256");
	a->certificate = a->key ? new_certificate(a->key, name, CA_DAYS) : NULL;
	if (!a->certificate)
		return -EIO;
	if (!X509_set_issuer_name(a->certificate, X509_get_subject_name(a->certificate)) ||
		add_extension(a->certificate, a->certificate, NID_basic_constraints,
			"critical,CA:TRUE,pathlen:0") < 0 ||
		add_extension(a->certificate, a->certificate, NID_key_usage,
			"critical,keyCertSign,cRLSign") < 0 ||
		add_extension(a->certificate, a->certificate, NID_subject_key_identifier, "hash") <
			0 ||
		authority_names_add(a->certificate, a->limits, a->limit_count) < 0 ||
		X509_sign(a->certificate, a->key, EVP_sha256()) == 0)
		return -EIO;
	return 0;
}

static int store_ca(struct authority *a, const char *certificate, const char *key, struct error *e)
{
	struct buffer text;
	int r;

	buffer_init(&text, PEM_MOST);
	r = append_key(&text, a->key);
	/* The key first: a certificate without its key would be an error at the next start. */
	if (r == 0)
		r = file_write(key, buffer_slice(&text), 0600, e);
	buffer_wipe(&text);
	if (r == 0)
		r = append_certificate(&text, a->certificate);
	if (r == 0)
		r = file_write(certificate, buffer_slice(&text), 0644, e);
	buffer_done(&text);
	return r;
}

static int read_certificate(const char *path, X509 **ret, struct error *e)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return error_set_errno(e, -errno, "%s", path);
	*ret = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	return *ret ? 0 : openssl_error(e, path);
}

static int check_limits(X509 *certificate, const char *path, const struct host *limits,
	size_t count, struct error *e)
{
	char text[100];

	if (authority_names_match(certificate, limits, count))
		return 0;
	authority_names_describe(certificate, text, sizeof(text));
	return error_set(e, -EINVAL,
		"the CA that is there, %s, was made for %s: that is part of it. Put \"names\" of "
		"\"ca\" back, or move ca.pem and ca.key away for a new CA (then: wayleave ca "
		"install)",
		path, text);
}

static int load_ca(struct authority *a, const char *certificate, const char *key, struct error *e)
{
	FILE *file;
	int r = read_certificate(certificate, &a->certificate, e);

	if (r == 0)
		r = check_limits(a->certificate, certificate, a->limits, a->limit_count, e);
	if (r < 0)
		return r;
	file = fopen(key, "re");
	if (!file)
		return error_set_errno(e, -errno, "%s", key);
	a->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	if (!a->key)
		return openssl_error(e, key);
	if (X509_check_private_key(a->certificate, a->key) != 1)
		return error_set(e, -EINVAL, "%s does not belong to %s", key, certificate);
	return 0;
}

int authority_check(const struct config *c, struct diagnostics *d)
{
	char *path = memory_format("%s/ca/ca.pem", c->state_dir.text);
	struct place place = c->ca ? c->ca->place : (struct place){c->file, 0};
	X509 *certificate = NULL;
	struct error e;
	int r = read_certificate(path, &certificate, &e);

	if (r == 0)
		r = check_limits(certificate, path, c->ca ? c->ca->limits : NULL,
			c->ca ? c->ca->limit_count : 0, &e);
	else if (r != -EIO)
		r = 0;
	if (r < 0)
		diagnostics_add(d, DIAGNOSTIC_ERROR, place.file, place.line, "%s", e.text);
	X509_free(certificate);
	free(path);
	return r < 0 ? -EINVAL : 0;
}

static int load_or_make(struct authority *a, const char *state_dir, struct error *e)
{
	char *folder = memory_format("%s/ca", state_dir);
	char *certificate = memory_format("%s/ca.pem", folder);
	char *key = memory_format("%s/ca.key", folder);
	int r = file_make_folders(folder, 0755, e);

	if (r == 0 && access(certificate, F_OK) == 0) {
		r = load_ca(a, certificate, key, e);
	} else if (r == 0) {
		r = make_ca(a);
		r = r < 0 ? openssl_error(e, "making the host's CA")
			  : store_ca(a, certificate, key, e);
	}
	free(folder);
	free(certificate);
	free(key);
	return r;
}

/* A reload frees what the configuration had. */
static void copy_limits(struct authority *a, const struct config_ca *c)
{
	a->limits = memory_new_array(c->limit_count + 1, sizeof(*a->limits));
	for (; a->limit_count < c->limit_count; a->limit_count++) {
		struct host *h = &a->limits[a->limit_count];

		*h = c->limits[a->limit_count];
		if (h->kind == HOST_NAME)
			h->name.data =
				(const uint8_t *)memory_copy_text(h->name.data, h->name.length);
	}
}

int authority_open(
	const char *state_dir, const struct config_ca *c, struct authority **ret, struct error *e)
{
	struct authority *a = memory_new(sizeof(*a));
	int r;

	buffer_init(&a->text, PEM_MOST);
	if (c)
		copy_limits(a, c);
	r = load_or_make(a, state_dir, e);
	if (r == 0) {
		a->leaf_key = EVP_EC_gen("P-256");
		r = a->leaf_key ? append_certificate(&a->text, a->certificate) : -ENOMEM;
	}
	if (r < 0) {
		authority_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

void authority_free(struct authority *a)
{
	if (!a)
		return;
	X509_free(a->certificate);
	EVP_PKEY_free(a->key);
	EVP_PKEY_free(a->leaf_key);
	buffer_done(&a->text);
	for (size_t i = 0; i < a->limit_count; i++) {
		if (a->limits[i].kind == HOST_NAME)
			free((void *)a->limits[i].name.data);
	}
	free(a->limits);
	free(a);
}

struct slice authority_certificate(const struct authority *a)
{
	return buffer_slice(&a->text);
}

void authority_fingerprint(const struct authority *a, uint8_t ret[32])
{
	unsigned length = 32;

	if (!X509_digest(a->certificate, EVP_sha256(), ret, &length))
		memset(ret, 0, 32);
}

/* The name comes from an agent by way of a worker: letters, digits, and "-._:" alone, so that it
 * can't smuggle anything into the extension's syntax. */
static int alternative_name(struct slice name, char *room, size_t size)
{
	ASN1_OCTET_STRING *address;
	char text[254];

	if (name.length == 0 || name.length >= sizeof(text))
		return -EINVAL;
	for (size_t i = 0; i < name.length; i++) {
		uint8_t c = name.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '-' || c == '.' || c == '_' || c == ':'))
			return -EINVAL;
		text[i] = (char)c;
	}
	text[name.length] = '\0';
	address = a2i_IPADDRESS(text);
	if (!address && strchr(text, ':'))
		return -EINVAL;
	snprintf(room, size, "%s:%s", address ? "IP" : "DNS", text);
	ASN1_OCTET_STRING_free(address);
	return 0;
}

int authority_mint(struct authority *a, struct slice name, struct buffer *ret, struct error *e)
{
	char alternative[300];
	X509 *leaf;
	int r;

	if (alternative_name(name, alternative, sizeof(alternative)) < 0)
		return error_set(e, -EINVAL, "not a host name or address");
	if (!ca_names_cover(a->limits, a->limit_count, name))
		return error_set(e, -EPERM,
			"the host's CA is not for %.*s: see \"names\" of \"ca\" in the "
			"configuration",
			SLICE_PRINT(name));
	/* The subject's name is limited to 64 bytes; clients look at the alternative name. */
	leaf = new_certificate(a->leaf_key, "wayleave", 1);
	r = leaf && X509_set_issuer_name(leaf, X509_get_subject_name(a->certificate)) &&
			add_extension(leaf, a->certificate, NID_basic_constraints,
				"critical,CA:FALSE") == 0 &&
			add_extension(leaf, a->certificate, NID_key_usage,
				"critical,digitalSignature") == 0 &&
			add_extension(leaf, a->certificate, NID_ext_key_usage, "serverAuth") == 0 &&
			add_extension(leaf, a->certificate, NID_subject_alt_name, alternative) ==
				0 &&
			add_extension(leaf, a->certificate, NID_authority_key_identifier,
				"keyid:always") == 0 &&
			X509_sign(leaf, a->key, EVP_sha256())
		? 0
		: openssl_error(e, "minting a certificate");
	if (r == 0)
		r = append_certificate(ret, leaf);
	if (r == 0)
		r = buffer_append_slice(ret, authority_certificate(a));
	if (r == 0)
		r = append_key(ret, a->leaf_key);
	X509_free(leaf);
	return r;
}
