/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/first_exchange.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/ssh_wire.h"

#define IDENTIFICATION "SSH-2.0-wayleave"
#define PACKET_HEAD 5u /* u32 length of the rest, u8 of the padding */
#define PADDING_LEAST 4u
#define BLOCK 8u
#define COOKIE_SIZE 16u
#define OFFER_LISTS 10u

/* RFC 4253, 12 */
enum {
	MESSAGE_DISCONNECT = 1,
	MESSAGE_IGNORE = 2,
	MESSAGE_DEBUG = 4,
	MESSAGE_KEXINIT = 20,
	MESSAGE_KEX_BEGIN = 30, /* of all methods that are offered */
	MESSAGE_KEX_REPLY = 31,
};
#define DISCONNECT_BY_APPLICATION 11u

/* --- what is offered --- */

static int append_curve25519(unsigned size, struct buffer *ret);
static int append_point(unsigned size, struct buffer *ret);
static int append_number(unsigned size, struct buffer *ret);

/* Those of libssh's that begin so, in its order: a host that shares none of them is out of reach
 * anyhow. */
static const struct method {
	const char *name;
	int (*append)(unsigned size, struct buffer *ret); /* our half of the exchange */
	unsigned size; /* bits */
} methods[] = {
	{"curve25519-sha256", append_curve25519, 256},
	{"curve25519-sha256@libssh.org", append_curve25519, 256},
	{"ecdh-sha2-nistp256", append_point, 256},
	{"ecdh-sha2-nistp384", append_point, 384},
	{"ecdh-sha2-nistp521", append_point, 521},
	{"diffie-hellman-group18-sha512", append_number, 8192},
	{"diffie-hellman-group16-sha512", append_number, 4096},
	{"diffie-hellman-group14-sha256", append_number, 2048},
};

/* The types of their certificates are in host_certificate.c. */
static const char *const algorithms[] = {
	"ssh-ed25519-cert-v01@openssh.com",
	"ecdsa-sha2-nistp256-cert-v01@openssh.com",
	"ecdsa-sha2-nistp384-cert-v01@openssh.com",
	"ecdsa-sha2-nistp521-cert-v01@openssh.com",
	"rsa-sha2-512-cert-v01@openssh.com",
	"rsa-sha2-256-cert-v01@openssh.com",
};

/* Nothing is ever encrypted with these. */
#define CIPHERS                                                                                    \
	"chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,"             \
	"aes256-ctr,aes192-ctr,aes128-ctr"
#define MACS                                                                                       \
	"hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"

/* Any 32 bytes are a key of this curve (RFC 7748, 5). */
static int append_curve25519(unsigned size, struct buffer *ret)
{
	int r = buffer_append_u32(ret, size / 8);

	return r < 0 ? r : random_append(ret, size / 8);
}

static int append_point(unsigned size, struct buffer *ret)
{
	char group[8] = "P-256";
	EVP_PKEY *key;
	uint8_t *point = NULL;
	size_t length;
	int r = -EIO;

	memcpy(group + 2, size == 256 ? "256" : size == 384 ? "384" : "521", 3);
	key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", group);
	length = key ? EVP_PKEY_get1_encoded_public_key(key, &point) : 0;
	if (length)
		r = ssh_wire_append_string(ret, slice_of(point, length));
	OPENSSL_free(point);
	EVP_PKEY_free(key);
	return r;
}

/* Positive, and below the primes of RFC 3526, which all begin with ones. That it is the power of
 * anything nobody can tell, nor need it be. */
static int append_number(unsigned size, struct buffer *ret)
{
	size_t first;
	int r = buffer_append_u32(ret, size / 8);

	first = buffer_length(ret);
	if (r == 0)
		r = random_append(ret, size / 8);
	if (r == 0)
		ret->data[ret->start + first] = (ret->data[ret->start + first] & 0x3f) | 0x40;
	return r;
}

/* --- packets --- */

static int append_packet(struct slice payload, struct buffer *ret)
{
	size_t padding = BLOCK - (PACKET_HEAD + payload.length) % BLOCK;
	int r;

	if (padding < PADDING_LEAST)
		padding += BLOCK;
	r = buffer_append_u32(ret, (uint32_t)(1 + payload.length + padding));
	if (r == 0)
		r = buffer_append_byte(ret, (uint8_t)padding);
	if (r == 0)
		r = buffer_append_slice(ret, payload);
	for (; r == 0 && padding; padding--)
		r = buffer_append_byte(ret, 0);
	return r;
}

/* The first one. 0; -EAGAIN: it is not complete; -EBADMSG: it is none. */
static int take_packet(struct slice in, struct slice *ret_payload, size_t *ret_length)
{
	size_t length, padding;

	if (in.length < PACKET_HEAD)
		return -EAGAIN;
	length = bytes_get_u32(in.data);
	padding = in.data[4];
	if (length > FIRST_EXCHANGE_PACKET_MOST || (length + 4) % BLOCK ||
		padding < PADDING_LEAST || length < 1 + 1 + padding)
		return -EBADMSG;
	if (in.length < 4 + length)
		return -EAGAIN;
	*ret_payload = slice_of(in.data + PACKET_HEAD, length - 1 - padding);
	*ret_length = 4 + length;
	return 0;
}

/* --- what we say --- */

static int append_names(struct buffer *to, const char *const *names, size_t stride, size_t count)
{
	struct buffer list;
	int r = 0;

	buffer_init(&list, 1024);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = buffer_append_format(&list, "%s%s", i ? "," : "",
			*(const char *const *)((const char *)names + i * stride));
	if (r == 0)
		r = ssh_wire_append_string(to, buffer_slice(&list));
	buffer_done(&list);
	return r;
}

/* RFC 4253, 7.1 */
static int append_offer(struct buffer *to)
{
	static const char *const others[] = {CIPHERS, CIPHERS, MACS, MACS, "none", "none", "", ""};
	struct buffer offer;
	int r;

	buffer_init(&offer, FIRST_EXCHANGE_OUT_MOST);
	r = buffer_append_byte(&offer, MESSAGE_KEXINIT);
	if (r == 0)
		r = random_append(&offer, COOKIE_SIZE);
	if (r == 0)
		r = append_names(&offer, &methods[0].name, sizeof(methods[0]), ARRAY_SIZE(methods));
	if (r == 0)
		r = append_names(&offer, algorithms, sizeof(algorithms[0]), ARRAY_SIZE(algorithms));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(others); i++)
		r = ssh_wire_append_string(&offer, slice_from_string(others[i]));
	if (r == 0)
		r = buffer_append_byte(&offer, 0); /* no guess follows */
	if (r == 0)
		r = buffer_append_u32(&offer, 0);
	if (r == 0)
		r = append_packet(buffer_slice(&offer), to);
	buffer_done(&offer);
	return r;
}

static int append_half(const struct method *method, struct buffer *to)
{
	struct buffer half;
	int r;

	buffer_init(&half, FIRST_EXCHANGE_OUT_MOST);
	r = buffer_append_byte(&half, MESSAGE_KEX_BEGIN);
	if (r == 0)
		r = method->append(method->size, &half);
	if (r == 0)
		r = append_packet(buffer_slice(&half), to);
	buffer_done(&half);
	return r;
}

/* So that the host's log says what that was. */
static int append_goodbye(struct buffer *to)
{
	struct buffer message;
	int r;

	buffer_init(&message, 256);
	r = buffer_append_byte(&message, MESSAGE_DISCONNECT);
	if (r == 0)
		r = buffer_append_u32(&message, DISCONNECT_BY_APPLICATION);
	if (r == 0)
		r = ssh_wire_append_string(
			&message, slice_from_string("the host's certificate was asked for"));
	if (r == 0)
		r = ssh_wire_append_string(&message, SLICE_EMPTY);
	if (r == 0)
		r = append_packet(buffer_slice(&message), to);
	buffer_done(&message);
	return r;
}

/* --- what the host says --- */

static int fail(struct first_exchange *x, int error, const char *why)
{
	x->why = why;
	return error;
}

static int break_off(struct first_exchange *x)
{
	return fail(x, -EBADMSG, "it breaks SSH's protocol");
}

/* RFC 4253, 4.2: other lines may come before it, and "1.99" is "2.0" too. */
static int take_greeting(struct first_exchange *x, struct slice in, size_t *ret_taken)
{
	const uint8_t *end = in.length ? memchr(in.data, '\n', in.length) : NULL;
	size_t length = end ? (size_t)(end - in.data) + 1 : in.length;

	if (length > FIRST_EXCHANGE_GREETING_MOST - x->greeting)
		return break_off(x);
	if (!end)
		return -EAGAIN;
	x->greeting += length;
	*ret_taken = length;
	if (!slice_starts_with(in, slice_from_string("SSH-")))
		return 0;
	if (!slice_starts_with(in, slice_from_string("SSH-2.0-")) &&
		!slice_starts_with(in, slice_from_string("SSH-1.99-")))
		return break_off(x);
	x->state = FIRST_EXCHANGE_OFFER;
	return 0;
}

static int take_offer(struct first_exchange *x, struct slice payload)
{
	struct slice rest = slice_from(payload, 1 + COOKIE_SIZE), lists[OFFER_LISTS];
	const struct method *method = NULL;
	const char *algorithm = NULL;

	if (payload.data[0] != MESSAGE_KEXINIT || payload.length < 1 + COOKIE_SIZE)
		return break_off(x);
	for (size_t i = 0; i < OFFER_LISTS; i++) {
		if (!ssh_wire_take_string(&rest, &lists[i]))
			return break_off(x);
	}
	if (rest.length != 1 + sizeof(uint32_t))
		return break_off(x);
	for (size_t i = ARRAY_SIZE(algorithms); i-- > 0;)
		algorithm = ssh_wire_has_name(lists[1], algorithms[i]) ? algorithms[i] : algorithm;
	for (size_t i = ARRAY_SIZE(methods); i-- > 0;)
		method = ssh_wire_has_name(lists[0], methods[i].name) ? &methods[i] : method;
	if (!algorithm)
		return fail(x, -ENOENT, "it has no certificate");
	if (!method)
		return fail(x, -ENOTSUP, "it exchanges keys in no way that is known here");
	x->algorithm = slice_from_string(algorithm);
	x->state = FIRST_EXCHANGE_REPLY;
	return append_half(method, &x->out);
}

/* The certificate of an RSA key is of the same type for both algorithms (RFC 8332, 3). */
static bool is_of_algorithm(struct slice certificate, struct slice algorithm)
{
	struct slice type;

	if (!ssh_wire_take_string(&certificate, &type))
		return false;
	if (slice_starts_with(algorithm, slice_from_string("rsa-")))
		return slice_equal_string(type, "ssh-rsa-cert-v01@openssh.com");
	return slice_equal(type, algorithm);
}

static int take_reply(struct first_exchange *x, struct slice payload)
{
	struct slice rest = slice_from(payload, 1), certificate, half, signature;
	int r;

	if (payload.data[0] != MESSAGE_KEX_REPLY || !ssh_wire_take_string(&rest, &certificate) ||
		!ssh_wire_take_string(&rest, &half) || !ssh_wire_take_string(&rest, &signature) ||
		rest.length || !is_of_algorithm(certificate, x->algorithm))
		return break_off(x);
	r = buffer_append_slice(&x->certificate, certificate);
	if (r < 0)
		return r;
	x->state = FIRST_EXCHANGE_DONE;
	return append_goodbye(&x->out);
}

static int take_message(struct first_exchange *x, struct slice in, size_t *ret_taken)
{
	struct slice payload;
	int r = take_packet(in, &payload, ret_taken);

	if (r == -EAGAIN)
		return r;
	if (r < 0 || ++x->packets > FIRST_EXCHANGE_PACKETS_MOST)
		return break_off(x);
	if (payload.data[0] == MESSAGE_IGNORE || payload.data[0] == MESSAGE_DEBUG)
		return 0;
	if (payload.data[0] == MESSAGE_DISCONNECT)
		return fail(x, -ECONNRESET, "it ended the connection");
	return x->state == FIRST_EXCHANGE_OFFER ? take_offer(x, payload) : take_reply(x, payload);
}

int first_exchange_take(struct first_exchange *x, struct slice in, size_t *ret_taken)
{
	size_t taken = 0, length;
	int r = 0;

	while (r == 0 && x->state != FIRST_EXCHANGE_DONE) {
		length = 0;
		r = x->state == FIRST_EXCHANGE_GREETING
			? take_greeting(x, slice_from(in, taken), &length)
			: take_message(x, slice_from(in, taken), &length);
		if (r == 0)
			taken += length;
	}
	*ret_taken = taken;
	if (r == -EAGAIN)
		return 0;
	return r < 0 && !x->why ? fail(x, r, "it could not be asked") : r;
}

int first_exchange_init(struct first_exchange *x)
{
	int r;

	*x = (struct first_exchange){.state = FIRST_EXCHANGE_GREETING};
	buffer_init(&x->out, FIRST_EXCHANGE_OUT_MOST);
	buffer_init(&x->certificate, FIRST_EXCHANGE_PACKET_MOST);
	r = buffer_append_string(&x->out, IDENTIFICATION "\r\n");
	return r < 0 ? r : append_offer(&x->out);
}

void first_exchange_done(struct first_exchange *x)
{
	buffer_done(&x->out);
	buffer_done(&x->certificate);
}
