/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/memory.h"
#include "base/trust_store.h"
#include "worker/resume.h"
#include "worker/tls_bio.h"

#define ALPN_MOST 32

/* The leg of an SSL, for OpenSSL's callbacks. */
static int leg_index = -1;

static int get_leg_index(void)
{
	if (leg_index < 0)
		leg_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return leg_index;
}

static const char *openssl_text(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	return text ? text : "the peer closed the connection";
}

/* What went wrong with the peer's certificate, else with the handshake. */
static void describe_failure(const struct tls *t, char *room, size_t size)
{
	long verified = SSL_get_verify_result(t->ssl);

	if (t->refused)
		snprintf(room, size, "%s", t->refused);
	else if (t->key && t->key->answered && t->key->length == 0)
		snprintf(room, size,
			"the resource's client certificate can't be used (the log of wayleaved "
			"says "
			"why)");
	else if (!SSL_is_server(t->ssl) && verified != X509_V_OK)
		snprintf(room, size, "the server's certificate is not trusted: %s",
			X509_verify_cert_error_string(verified));
	else
		snprintf(room, size, "TLS handshake failed: %s", openssl_text());
}

static void fail(struct leg *leg)
{
	struct tls *t = leg->tls;
	char text[256];

	if (t->failed)
		return;
	t->failed = true;
	if (t->established) {
		leg_end(leg, -EPROTO);
		return;
	}
	describe_failure(t, text, sizeof(text));
	t->events->done(leg, -EPROTO, text);
}

/* --- handshake --- */

static int on_client_hello(SSL *ssl, int *alert, void *context)
{
	struct leg *leg = SSL_get_ex_data(ssl, get_leg_index());
	const unsigned char *extension;
	char name[256] = "";
	SSL_CTX *certificate;
	size_t length;

	(void)context;
	if (leg->tls->refused) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_CLIENT_HELLO_ERROR;
	}
	/* RFC 6066, 3: list length 2, type 1 (host_name 0), name length 2, name. */
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &length) &&
		length > 5 && length - 5 < sizeof(name) && extension[2] == 0 &&
		((size_t)extension[3] << 8 | extension[4]) == length - 5) {
		memcpy(name, extension + 5, length - 5);
		if (strlen(name) != length - 5) {
			*alert = SSL_AD_ILLEGAL_PARAMETER;
			return SSL_CLIENT_HELLO_ERROR;
		}
	}
	certificate = leg->tls->events->certificate(leg, name[0] ? name : NULL);
	if (!certificate)
		return SSL_CLIENT_HELLO_RETRY;
	SSL_set_SSL_CTX(ssl, certificate);
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length,
	const unsigned char *in, unsigned in_length, void *context)
{
	const struct leg *leg = SSL_get_ex_data(ssl, get_leg_index());
	unsigned char wanted[ALPN_MOST + 1];
	size_t length;

	(void)context;
	if (!leg->tls->alpn)
		return SSL_TLSEXT_ERR_NOACK;
	length = strlen(leg->tls->alpn);
	wanted[0] = (unsigned char)length;
	memcpy(wanted + 1, leg->tls->alpn, length);
	if (SSL_select_next_proto((unsigned char **)out, out_length, wanted, (unsigned)length + 1,
		    in, in_length) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	/* What was found lies in `wanted`. */
	*out = (const unsigned char *)leg->tls->alpn;
	return SSL_TLSEXT_ERR_OK;
}

static int tls_new(
	struct leg *leg, const struct tls_events *events, SSL_CTX *context, struct tls **ret)
{
	struct tls *t = memory_new(sizeof(*t));

	t->events = events;
	t->ssl = SSL_new(context);
	t->bio = tls_bio_new(leg);
	if (!t->ssl || !t->bio) {
		BIO_free(t->bio);
		SSL_free(t->ssl);
		free(t);
		return -ENOMEM;
	}
	SSL_set_bio(t->ssl, t->bio, t->bio);
	SSL_set_ex_data(t->ssl, get_leg_index(), leg);
	*ret = t;
	return 0;
}

/* The context that every agent's handshake begins with; the certificate comes in the callback, with
 * a context of its own. */
static SSL_CTX *accepting_context(void)
{
	static __thread SSL_CTX *context;

	if (context)
		return context;
	context = SSL_CTX_new(TLS_server_method());
	if (!context)
		return NULL;
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_client_hello_cb(context, on_client_hello, NULL);
	return context;
}

static void start(struct leg *leg, struct tls *t)
{
	leg->tls = t;
	tls_resume(leg);
}

int tls_accept(struct leg *leg, const struct tls_events *events, const char *alpn)
{
	SSL_CTX *context = accepting_context();
	struct tls *t;
	int r = context ? tls_new(leg, events, context, &t) : -ENOMEM;

	if (r < 0)
		return r;
	t->alpn = alpn;
	SSL_set_accept_state(t->ssl);
	start(leg, t);
	return 0;
}

static bool is_address(const char *name)
{
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);

	ASN1_OCTET_STRING_free(address);
	return address != NULL;
}

/* "h2,http/1.1" as RFC 7301, 3.1 has it: each with its length before it. */
static int offer_protocols(SSL *ssl, const char *alpn)
{
	unsigned char list[ALPN_MOST + 1];
	unsigned length = 0;

	while (*alpn) {
		size_t n = strcspn(alpn, ",");

		list[length] = (unsigned char)n;
		memcpy(list + length + 1, alpn, n);
		length += 1 + (unsigned)n;
		alpn += n + (alpn[n] == ',');
	}
	return SSL_set_alpn_protos(ssl, list, length) ? -ENOMEM : 0;
}

static int set_expectations(SSL *ssl, enum tls_check check, const char *name, const char *alpn)
{
	X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
	bool address = is_address(name);

	SSL_set_verify(ssl, check == TLS_CHECK_NOTHING ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (check == TLS_CHECK_NAME) {
		X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		if (address ? !X509_VERIFY_PARAM_set1_ip_asc(parameters, name)
			    : !X509_VERIFY_PARAM_set1_host(parameters, name, 0))
			return -EINVAL;
	}
	if (!address && !SSL_set_tlsext_host_name(ssl, name))
		return -EINVAL;
	return alpn ? offer_protocols(ssl, alpn) : 0;
}

static int ask_for_signature(struct tls_key_wait *wait, const struct proof_signature *wanted)
{
	struct leg *leg = wait->context;

	return leg->tls->events->sign(leg, wanted);
}

/* The handshake is to stand still at its signature. */
static void prepare_key(struct leg *leg, struct tls *t)
{
	if (!SSL_get_privatekey(t->ssl))
		return;
	t->key = memory_new(sizeof(*t->key));
	t->key->ask = ask_for_signature;
	t->key->context = leg;
	SSL_set_mode(t->ssl, SSL_MODE_ASYNC);
}

static int go_on_shaking(struct tls *t)
{
	int r;

	tls_key_enter(t->key);
	r = SSL_do_handshake(t->ssl);
	tls_key_enter(NULL);
	return r;
}

/* One that stands still has a stack of its own, which only its end gives back. */
static void forget_key(struct tls *t)
{
	if (t->key && t->key->asked && !t->key->answered) {
		t->key->answered = true;
		go_on_shaking(t);
	}
	SSL_clear_mode(t->ssl, SSL_MODE_ASYNC);
	free(t->key);
	t->key = NULL;
}

int tls_connect(struct leg *leg, const struct tls_events *events, SSL_CTX *context,
	enum tls_check check, const char *name, const char *alpn, bool resumes)
{
	struct tls *t;
	int r = tls_new(leg, events, context, &t);

	if (r < 0)
		return r;
	SSL_set_connect_state(t->ssl);
	prepare_key(leg, t);
	r = set_expectations(t->ssl, check, name, alpn);
	if (r < 0) {
		tls_free(t);
		return r;
	}
	if (resumes)
		resume_prepare(t->ssl, name);
	start(leg, t);
	return 0;
}

/* What OpenSSL says of a failure must be of the call that failed. Clearing costs as much as
 * encrypting a short record, and nearly always there is nothing. */
static void forget_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

/* 1: established; 0: goes on; negative: failed. */
static int shake_hands(struct leg *leg)
{
	struct tls *t = leg->tls;
	int r, why;

	if (t->established)
		return 1;
	forget_errors();
	r = go_on_shaking(t);
	if (r == 1) {
		t->established = true;
		forget_key(t);
		t->events->done(leg, 0, NULL);
		return 1;
	}
	why = SSL_get_error(t->ssl, r);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ||
		why == SSL_ERROR_WANT_CLIENT_HELLO_CB || why == SSL_ERROR_WANT_ASYNC)
		return 0;
	fail(leg);
	return -EPROTO;
}

/* Asking OpenSSL for what is not there costs about as much as decrypting a short record. */
static bool may_have_plain(const struct tls *t)
{
	return tls_bio_has(t->bio) || SSL_has_pending(t->ssl);
}

/* Gives the session what one record holds. One of SSL_get_error()'s. */
static int read_some(struct leg *leg)
{
	struct tls *t = leg->tls;
	struct chunk *chunk;
	size_t n;
	int r;

	if (!may_have_plain(t))
		return SSL_ERROR_WANT_READ;
	chunk = chunk_new(LEG_CHUNK_SIZE);
	if (!chunk)
		return SSL_ERROR_WANT_READ;
	forget_errors();
	r = SSL_read_ex(t->ssl, chunk->data, chunk->size, &n);
	if (r == 1) {
		chunk->used = (uint32_t)n;
		leg->input_chunk = chunk;
		leg->events->received(leg, slice_of(chunk->data, n));
		leg->input_chunk = NULL;
	}
	chunk_put(chunk);
	return r == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);
}

static void read_plain(struct leg *leg)
{
	struct tls *t = leg->tls;
	int r;

	do {
		if (leg->state != LEG_OPEN || t->failed)
			return;
		r = read_some(leg);
	} while (r == SSL_ERROR_NONE);
	if (r == SSL_ERROR_ZERO_RETURN) {
		leg->cut = false; /* whatever becomes of the connection below it */
		leg_end(leg, 0);
	} else if (r != SSL_ERROR_WANT_READ && r != SSL_ERROR_WANT_WRITE) {
		fail(leg);
	}
}

void tls_signed(struct leg *leg, struct slice signature)
{
	struct tls_key_wait *key = leg->tls ? leg->tls->key : NULL;

	if (!key || !key->asked || key->answered)
		return;
	key->answered = true;
	key->length = signature.length <= sizeof(key->signature) ? signature.length : 0;
	if (key->length)
		memcpy(key->signature, signature.data, key->length);
	tls_resume(leg);
}

void tls_resume(struct leg *leg)
{
	if (shake_hands(leg) == 1)
		read_plain(leg);
}

void tls_refuse(struct leg *leg, const char *text)
{
	leg->tls->refused = text;
	tls_resume(leg);
	leg->tls->refused = NULL;
}

void tls_on_bytes(struct leg *leg, struct slice bytes)
{
	if (leg->tls->failed)
		return;
	tls_bio_give(leg->tls->bio, bytes);
	tls_resume(leg);
	if (tls_bio_keep(leg->tls->bio) < 0)
		fail(leg);
	/* Even where no plaintext came of it, there may be more to send and to receive. */
	if (leg->state != LEG_CLOSED)
		leg->events->received(leg, SLICE_EMPTY);
}

bool tls_flush(struct leg *leg)
{
	struct tls *t = leg->tls;

	if (!t->established || t->failed)
		return false;
	while (leg->plain.count) {
		struct segment *segment = &leg->plain.items[leg->plain.first];
		size_t n;

		/* Some ciphertext is enough at a time; the rest waits as plaintext. */
		if (leg->out.bytes > LEG_QUEUE_HIGH)
			return true;
		forget_errors();
		if (SSL_write_ex(t->ssl, segment->data, segment->length, &n) != 1) {
			fail(leg);
			return false;
		}
		leg_consume_plain(leg, n);
	}
	if (leg->shut && !leg->abrupt && leg->plain.count == 0) {
		SSL_shutdown(t->ssl);
	}
	return false;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	forget_key(t);
	/* OpenSSL would not resume what was not shut down in order; ends are not what that is
	 * about. */
	if (t->established && !t->failed)
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	free(t);
}

bool tls_is_quiet(const struct tls *t)
{
	return t->established && !t->failed && !may_have_plain(t) && SSL_get_shutdown(t->ssl) == 0;
}

void tls_set_leg(struct tls *t, struct leg *leg)
{
	SSL_set_ex_data(t->ssl, get_leg_index(), leg);
	tls_bio_set_leg(t->bio, leg);
}

struct slice tls_alpn(const struct tls *t)
{
	const unsigned char *name;
	unsigned length;

	SSL_get0_alpn_selected(t->ssl, &name, &length);
	return slice_of(name, length);
}

size_t tls_end_point(const struct tls *t, uint8_t *ret)
{
	X509 *certificate = SSL_get0_peer_certificate(t->ssl);
	const EVP_MD *digest;
	unsigned length = 0;
	int hash;

	if (!certificate || !X509_get_signature_info(certificate, &hash, NULL, NULL, NULL))
		return 0;
	/* RFC 5929, 4.1: MD5 and SHA-1 are replaced by SHA-256. */
	if (hash == NID_undef)
		return 0;
	if (hash == NID_md5 || hash == NID_sha1)
		hash = NID_sha256;
	digest = EVP_get_digestbynid(hash);
	if (!digest || !X509_digest(certificate, digest, ret, &length))
		return 0;
	return length;
}

/* --- contexts --- */

static X509_STORE *system_store;

static bool is_host_ca(X509 *certificate, const uint8_t host_ca[32])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	return X509_digest(certificate, EVP_sha256(), digest, &length) == 1 && length == 32 &&
		memcmp(digest, host_ca, 32) == 0;
}

/* OpenSSL's own default reads single files when it verifies. */
static bool load_store(const char *path, const uint8_t host_ca[32])
{
	BIO *file = path ? BIO_new_file(path, "re") : NULL;
	X509 *certificate;
	size_t count = 0;

	while (file && (certificate = PEM_read_bio_X509_AUX(file, NULL, NULL, NULL))) {
		if (!is_host_ca(certificate, host_ca) &&
			X509_STORE_add_cert(system_store, certificate) == 1)
			count++;
		X509_free(certificate);
	}
	BIO_free(file);
	ERR_clear_error();
	return count > 0;
}

void tls_load_system_store(const uint8_t host_ca[32])
{
	const char *chosen = getenv(X509_get_default_cert_file_env());

	system_store = X509_STORE_new();
	if (!system_store || (chosen && load_store(chosen, host_ca)))
		return;
	load_store(trust_store_find(), host_ca);
}

static int trust(SSL_CTX *context, struct slice ca_text)
{
	BIO *text = BIO_new_mem_buf(ca_text.data, (int)ca_text.length);
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	X509 *certificate;
	int count = 0;

	while (text && (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
		if (X509_STORE_add_cert(store, certificate) == 1)
			count++;
		X509_free(certificate);
	}
	ERR_clear_error();
	BIO_free(text);
	return count ? 0 : -EINVAL;
}

static SSL_CTX *plain_client_context(struct error *e)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (context)
		SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	else
		error_set(e, -ENOMEM, "out of memory");
	return context;
}

SSL_CTX *tls_client_context(struct slice ca_text, struct slice chain, struct error *e)
{
	SSL_CTX *context = chain.length ? tls_key_context(chain, e) : plain_client_context(e);

	if (!context)
		return NULL;
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	if (ca_text.length == 0) {
		SSL_CTX_set1_cert_store(context, system_store);
	} else if (trust(context, ca_text) < 0) {
		error_set(e, -EINVAL, "ca_file has no certificate");
		SSL_CTX_free(context);
		return NULL;
	}
	return context;
}

/* The first certificate is the leaf's, then its chain; the key stands behind them. */
static int load_pem(SSL_CTX *context, BIO *text)
{
	X509 *certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
	EVP_PKEY *key;
	int r = certificate && SSL_CTX_use_certificate(context, certificate) == 1;

	X509_free(certificate);
	while (r && (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
		r = SSL_CTX_add1_chain_cert(context, certificate) == 1;
		X509_free(certificate);
	}
	ERR_clear_error();
	(void)BIO_reset(text);
	key = PEM_read_bio_PrivateKey(text, NULL, NULL, NULL);
	r = r && key && SSL_CTX_use_PrivateKey(context, key) == 1;
	EVP_PKEY_free(key);
	return r ? 0 : -EINVAL;
}

SSL_CTX *tls_server_context(struct slice pem, struct error *e)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	BIO *text = BIO_new_mem_buf(pem.data, (int)pem.length);

	if (!context || !text || load_pem(context, text) < 0) {
		error_set(e, -EINVAL, "unusable certificate: %s", openssl_text());
		SSL_CTX_free(context);
		context = NULL;
	} else {
		SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
	}
	BIO_free(text);
	return context;
}
