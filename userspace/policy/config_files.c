/* SPDX-License-Identifier: Apache-2.0
 *
 * The files and folders that a configuration names: made absolute, and looked at.
 */
#include "policy/config_check.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/locked.h"
#include "base/memory.h"
#include "base/private_key.h"
#include "base/secret_file.h"
#include "base/text.h"

#define CREDENTIAL "credential:"

enum file_kind {
	FILE_PUBLIC, /* must be readable now */
	FILE_SECRET, /* the same, and not by others */
	FILE_PASSWORD, /* the same, and others are no mere warning; with something in it */
	FILE_TOKEN, /* as a password; text of one line */
	FILE_KEY, /* as a password; an RSA or EC key in PEM */
	FILE_LATER, /* made by somebody else later, or a socket */
};

struct file_key {
	const char *name;
	enum file_kind kind;
	size_t offset; /* of a struct config_text */
};

static const struct file_key tls_files[] = {
	{"ca_file", FILE_PUBLIC, offsetof(struct config_tls, ca_file)},
};
static const struct file_key credentials_files[] = {
	{"password_file", FILE_PASSWORD, offsetof(struct config_credentials, password_file)},
	{"client_cert_file", FILE_PUBLIC, offsetof(struct config_credentials, client_cert_file)},
	{"client_key_file", FILE_KEY, offsetof(struct config_credentials, client_key_file)},
	{"bearer_file", FILE_TOKEN, offsetof(struct config_credentials, bearer_file)},
	{"basic_file", FILE_TOKEN, offsetof(struct config_credentials, basic_file)},
	{"key_file", FILE_SECRET, offsetof(struct config_credentials, key_file)},
};
static const struct file_key header_files[] = {
	{"value_file", FILE_TOKEN, offsetof(struct config_header, value_file)},
};
static const struct file_key resource_files[] = {
	{"host_keys", FILE_PUBLIC, offsetof(struct config_resource, host_keys)},
};
static const struct file_key upstream_files[] = {
	{"unix", FILE_LATER, offsetof(struct config_upstream, unix_path)},
};
static const struct file_key issuer_files[] = {
	{"ca_file", FILE_PUBLIC, offsetof(struct config_issuer, ca_file)},
};
static const struct file_key login_files[] = {
	{"client_secret_file", FILE_SECRET, offsetof(struct config_login, client_secret_file)},
};
static const struct file_key identity_files[] = {
	{"token_file", FILE_LATER, offsetof(struct config_identity, token_file)},
	{"client_secret_file", FILE_SECRET, offsetof(struct config_identity, client_secret_file)},
	{"private_key_file", FILE_SECRET, offsetof(struct config_identity, private_key_file)},
};
static const struct file_key slack_files[] = {
	{"webhook_url_file", FILE_SECRET, offsetof(struct config_slack, webhook_url_file)},
	{"bot_token_file", FILE_SECRET, offsetof(struct config_slack, bot_token_file)},
	{"signing_secret_file", FILE_SECRET, offsetof(struct config_slack, signing_secret_file)},
};
static const struct file_key slack_tls_files[] = {
	{"cert_file", FILE_PUBLIC, offsetof(struct config_slack_tls, cert_file)},
	{"key_file", FILE_SECRET, offsetof(struct config_slack_tls, key_file)},
};

struct files {
	struct config *config;
	struct loader *loader;
	bool open; /* look at the files themselves */
};

/* "credential:NAME": what systemd gave to the service under that name (LoadCredential=). */
static void find_credential(const struct files *f, const char *key, struct config_text *path)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	const char *name = path->text + strlen(CREDENTIAL);
	char *joined;

	if (!name[0] || strchr(name, '/')) {
		loader_error(f->loader, path->place,
			"\"%s\": expected " CREDENTIAL "NAME, of a credential of the service", key);
		return;
	}
	if (!folder && f->open)
		loader_error(f->loader, path->place,
			"\"%s\": %s: this process was given no credentials; expected one of "
			"LoadCredential= in the service's unit",
			key, path->text);
	if (!folder)
		return;
	joined = memory_format("%s/%s", folder, name);
	path->text = node_copy_text(f->loader->arena, joined);
	free(joined);
}

static void make_absolute(const struct files *f, struct config_text *path)
{
	const char *slash = strrchr(f->config->file, '/');
	char *joined;

	if (path->text[0] == '/' || !slash)
		return;
	joined = memory_format(
		"%.*s/%s", (int)(slash - f->config->file), f->config->file, path->text);
	path->text = node_copy_text(f->loader->arena, joined);
	free(joined);
}

/* Opens it without waiting for the other end of a pipe or running a device. */
static int look_at(const char *path, struct stat *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, ret) < 0)
		r = -errno;
	else if (!S_ISREG(ret->st_mode))
		r = S_ISDIR(ret->st_mode) ? -EISDIR : -EINVAL;
	close(fd);
	return r;
}

/* Nothing but white space in it, which would be no secret at all. */
static bool is_blank(const char *path)
{
	struct buffer content;
	struct slice text;
	size_t i = 0;
	int r;

	buffer_init(&content, LIMIT_CONFIG_FILE_BYTES);
	r = file_read(path, &content, NULL);
	text = buffer_slice(&content);
	while (i < text.length && strchr(" \t\r\n", text.data[i]))
		i++;
	r = r == 0 && i == text.length;
	buffer_wipe(&content);
	return r;
}

static void add_secret(struct config *c, const char *path)
{
	c->secret_files = memory_resize_array(
		c->secret_files, c->secret_file_count + 1, sizeof(*c->secret_files));
	c->secret_files[c->secret_file_count++] = path;
}

static int read_password(enum file_kind kind, const char *path, struct error *e)
{
	uint8_t *secret = locked_new(LIMIT_SECRET_BYTES);
	size_t length;
	int r = secret_file_read(path, secret, LIMIT_SECRET_BYTES, &length, e);

	if (r == 0 && kind == FILE_TOKEN && !text_is_one_line(slice_of(secret, length))) {
		r = error_set(
			e, -EINVAL, "%s: has a line break or another control byte in it", path);
	}
	locked_free(secret, LIMIT_SECRET_BYTES);
	return r;
}

static int read_key(const char *path, struct error *e)
{
	EVP_PKEY *key = NULL;
	int r = private_key_read(path, &key, e);

	EVP_PKEY_free(key);
	return r;
}

static void check_content(const struct files *f, const char *name, enum file_kind kind,
	const struct config_text *path)
{
	struct error e;
	int r = kind == FILE_KEY ? read_key(path->text, &e) : read_password(kind, path->text, &e);

	if (r < 0)
		loader_error(f->loader, path->place, "\"%s\": %s; expected a readable file", name,
			e.text);
}

static void check_file(
	const struct files *f, const char *name, enum file_kind kind, struct config_text *path)
{
	size_t errors = f->loader->diagnostics->errors;
	struct stat s;
	int r;

	if (!path->text)
		return;
	if (kind != FILE_PUBLIC && strncmp(path->text, CREDENTIAL, strlen(CREDENTIAL)) == 0)
		find_credential(f, name, path);
	else
		make_absolute(f, path);
	if (f->loader->diagnostics->errors > errors)
		return;
	if (kind != FILE_PUBLIC && kind != FILE_LATER)
		add_secret(f->config, path->text);
	if (!f->open || kind == FILE_LATER)
		return;
	if (kind == FILE_PASSWORD || kind == FILE_TOKEN || kind == FILE_KEY) {
		check_content(f, name, kind, path);
		return;
	}
	r = look_at(path->text, &s);
	if (r < 0)
		loader_error(f->loader, path->place, "\"%s\": %s: %s; expected a readable file",
			name, path->text, strerror(-r));
	else if (kind == FILE_SECRET && is_blank(path->text))
		loader_error(f->loader, path->place, "\"%s\": %s is empty; expected a secret", name,
			path->text);
	else if (kind == FILE_SECRET && s.st_mode & (S_IROTH | S_IWOTH))
		loader_warning(f->loader, path->place,
			"\"%s\": %s is open to every user (mode %04o); expected 0600", name,
			path->text, s.st_mode & 07777u);
}

static void check_keys(const struct files *f, void *base, const struct file_key *keys, size_t count)
{
	if (!base)
		return;
	for (size_t i = 0; i < count; i++)
		check_file(f, keys[i].name, keys[i].kind, (void *)((char *)base + keys[i].offset));
}

#define CHECK_KEYS(f, base, keys) check_keys(f, base, keys, ARRAY_SIZE(keys))

static size_t count_certificates(struct slice text)
{
	BIO *bio = BIO_new_mem_buf(text.data, (int)text.length);
	size_t count = 0;
	X509 *certificate;

	while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		X509_free(certificate);
		count++;
	}
	ERR_clear_error();
	BIO_free(bio);
	return count;
}

/* The processes that verify by them can't open files, so the certificates travel with the policy.
 */
static void read_certificates(
	const struct files *f, const char *name, const struct config_text *path, struct slice *ret)
{
	struct buffer content;
	struct error e;

	if (!f->open || !path->text)
		return;
	buffer_init(&content, LIMIT_CONFIG_FILE_BYTES);
	if (file_read(path->text, &content, &e) == 0 && buffer_length(&content)) {
		*ret = arena_copy(f->loader->arena, buffer_slice(&content));
		if (count_certificates(*ret) == 0)
			loader_error(f->loader, path->place,
				"\"%s\": %s: expected PEM certificates", name, path->text);
	} else {
		loader_error(f->loader, path->place,
			"\"%s\": %s: expected PEM certificates of at most %u bytes", name,
			path->text, LIMIT_CONFIG_FILE_BYTES);
	}
	buffer_done(&content);
}

static void check_issuer_files(const struct files *f, struct config_issuer *issuer)
{
	size_t errors = f->loader->diagnostics->errors;

	CHECK_KEYS(f, issuer, issuer_files);
	CHECK_KEYS(f, issuer->login, login_files);
	if (f->loader->diagnostics->errors == errors)
		read_certificates(f, "ca_file", &issuer->ca_file, &issuer->ca_text);
}

/* Whoever makes the token may come later; whoever configures wants to know that it is not there. */
static void check_token_file(const struct files *f, const struct config_identity *identity)
{
	struct stat s;
	int r;

	if (!f->open || !identity || !identity->token_file.text)
		return;
	r = look_at(identity->token_file.text, &s);
	if (r < 0)
		loader_warning(f->loader, identity->token_file.place,
			"\"token_file\": %s: %s; until it is there the agent is refused everything",
			identity->token_file.text, strerror(-r));
}

/* The key must be the first certificate's. */
static void check_pair(const struct files *f, const struct config_credentials *given)
{
	BIO *text = BIO_new_mem_buf(given->client_text.data, (int)given->client_text.length);
	X509 *certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
	EVP_PKEY *key = NULL;
	struct error e;

	if (private_key_read(given->client_key_file.text, &key, &e) == 0 &&
		X509_check_private_key(certificate, key) != 1)
		loader_error(f->loader, given->client_key_file.place,
			"\"client_key_file\": %s: expected the key of the first certificate in %s",
			given->client_key_file.text, given->client_cert_file.text);
	ERR_clear_error();
	EVP_PKEY_free(key);
	X509_free(certificate);
	BIO_free(text);
}

static void read_resource_certificates(const struct files *f, struct config_resource *resource)
{
	struct config_credentials *given = resource->credentials;

	if (resource->tls)
		read_certificates(f, "ca_file", &resource->tls->ca_file, &resource->tls->ca_text);
	if (!given)
		return;
	read_certificates(f, "client_cert_file", &given->client_cert_file, &given->client_text);
	if (given->client_text.length && given->client_key_file.text)
		check_pair(f, given);
}

static void check_resource_files(const struct files *f, struct config_resource *resource)
{
	size_t errors = f->loader->diagnostics->errors;

	CHECK_KEYS(f, resource->tls, tls_files);
	CHECK_KEYS(f, resource, resource_files);
	if (f->open && resource->host_keys.text && f->loader->diagnostics->errors == errors)
		config_check_host_keys(f->loader, &resource->host_keys);
	CHECK_KEYS(f, resource->upstream, upstream_files);
	CHECK_KEYS(f, resource->credentials, credentials_files);
	if (resource->credentials) {
		CHECK_KEYS(f, resource->credentials->header, header_files);
		CHECK_KEYS(f, resource->credentials->query, header_files);
	}
	if (f->loader->diagnostics->errors == errors)
		read_resource_certificates(f, resource);
}

static void check_folder(const struct files *f, const char *key, const struct config_text *path)
{
	if (path->text[0] != '/')
		loader_error(f->loader, path->place,
			"\"%s\": expected an absolute path, not \"%s\"", key, path->text);
}

void config_check_files(struct config *c, struct loader *l, unsigned flags)
{
	struct files f = {c, l, !(flags & CONFIG_WITHOUT_FILES)};

	check_folder(&f, "state_dir", &c->state_dir);
	check_folder(&f, "runtime_dir", &c->runtime_dir);
	for (size_t i = 0; i < c->issuer_count; i++)
		check_issuer_files(&f, &c->issuers[i]);
	for (size_t i = 0; i < c->agent_count; i++) {
		struct config_texts *trusted = &c->agents[i].trust_files;

		CHECK_KEYS(&f, c->agents[i].identity, identity_files);
		check_token_file(&f, c->agents[i].identity);
		for (size_t j = 0; j < trusted->count; j++)
			check_file(&f, "trust_files", FILE_PUBLIC, &trusted->items[j]);
	}
	for (size_t i = 0; i < c->resource_count; i++)
		check_resource_files(&f, &c->resources[i]);
	if (c->slack) {
		CHECK_KEYS(&f, c->slack, slack_files);
		CHECK_KEYS(&f, c->slack->tls, slack_tls_files);
	}
}
