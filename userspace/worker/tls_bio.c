/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/tls_bio.h"

#include "base/memory.h"
#include "worker/leg.h"

/* More than a peer sends while its handshake stands still for a certificate or a signature. */
#define KEPT_MOST (256u << 10)

struct tls_bio {
	struct leg *leg;
	struct buffer kept; /* read first */
	struct slice given;
};

static size_t read_from(struct tls_bio *b, char *ret, size_t size)
{
	struct slice from = buffer_length(&b->kept) ? buffer_slice(&b->kept) : b->given;
	size_t n = from.length < size ? from.length : size;

	if (n == 0)
		return 0;
	memcpy(ret, from.data, n);
	if (buffer_length(&b->kept) == 0) {
		b->given = slice_from(b->given, n);
		return n;
	}
	buffer_consume(&b->kept, n);
	/* An idle session holds nothing. */
	if (buffer_length(&b->kept) == 0)
		buffer_done(&b->kept);
	return n;
}

static int on_read(BIO *bio, char *ret, size_t size, size_t *ret_length)
{
	BIO_clear_retry_flags(bio);
	*ret_length = read_from(BIO_get_data(bio), ret, size);
	if (*ret_length)
		return 1;
	BIO_set_retry_read(bio);
	return 0;
}

static int on_write(BIO *bio, const char *data, size_t length, size_t *ret_length)
{
	const struct tls_bio *b = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	/* A handshake that stood still may end after its leg. */
	if (b->leg && b->leg->state != LEG_CLOSED &&
		leg_write_encrypted(b->leg, slice_of(data, length)) < 0)
		return 0;
	*ret_length = length;
	return 1;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int on_free(BIO *bio)
{
	struct tls_bio *b = BIO_get_data(bio);

	if (b)
		buffer_done(&b->kept);
	free(b);
	return 1;
}

static BIO_METHOD *get_method(void)
{
	static __thread BIO_METHOD *method;

	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "leg");
	if (!method)
		return NULL;
	BIO_meth_set_read_ex(method, on_read);
	BIO_meth_set_write_ex(method, on_write);
	BIO_meth_set_ctrl(method, on_control);
	BIO_meth_set_destroy(method, on_free);
	return method;
}

BIO *tls_bio_new(struct leg *leg)
{
	BIO_METHOD *method = get_method();
	BIO *bio = method ? BIO_new(method) : NULL;
	struct tls_bio *b;

	if (!bio)
		return NULL;
	b = memory_new(sizeof(*b));
	b->leg = leg;
	buffer_init(&b->kept, KEPT_MOST);
	BIO_set_data(bio, b);
	BIO_set_init(bio, 1);
	return bio;
}

void tls_bio_set_leg(BIO *bio, struct leg *leg)
{
	struct tls_bio *b = BIO_get_data(bio);

	b->leg = leg;
}

void tls_bio_give(BIO *bio, struct slice bytes)
{
	struct tls_bio *b = BIO_get_data(bio);

	b->given = bytes;
}

int tls_bio_keep(BIO *bio)
{
	struct tls_bio *b = BIO_get_data(bio);
	struct slice rest = b->given;

	b->given = SLICE_EMPTY;
	return rest.length ? buffer_append_slice(&b->kept, rest) : 0;
}

bool tls_bio_has(BIO *bio)
{
	const struct tls_bio *b = BIO_get_data(bio);

	return buffer_length(&b->kept) > 0 || b->given.length > 0;
}
