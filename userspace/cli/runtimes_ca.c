/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/trust_store.h"
#include "cli/runtimes.h"

#define STORE_MOST (16u << 20)

static const char begin[] = "-----BEGIN CERTIFICATE-----\n";
static const char end[] = "\n-----END CERTIFICATE-----";

/* What stands between the two lines; empty: nothing does. */
static struct slice body_of(struct slice pem)
{
	const uint8_t *from =
		pem.length ? memmem(pem.data, pem.length, begin, strlen(begin)) : NULL;
	const uint8_t *to;

	if (!from)
		return SLICE_EMPTY;
	pem = slice_from(pem, (size_t)(from - pem.data) + strlen(begin));
	to = memmem(pem.data, pem.length, end, strlen(end));
	return to ? slice_head(pem, (size_t)(to - pem.data)) : SLICE_EMPTY;
}

int runtimes_ca_init(struct runtimes_ca *ca, struct slice pem)
{
	struct slice body = body_of(pem);
	BIO *text = BIO_new_mem_buf(pem.data, (int)pem.length);
	X509 *certificate = text ? PEM_read_bio_X509(text, NULL, NULL, NULL) : NULL;
	unsigned char *der = NULL;
	int length = certificate ? i2d_X509(certificate, &der) : -1;
	const char *store = trust_store_find();

	X509_free(certificate);
	BIO_free(text);
	if (length <= 0 || body.length == 0) {
		OPENSSL_free(der);
		return -EINVAL;
	}
	*ca = (struct runtimes_ca){.der = slice_of(der, (size_t)length),
		.base64 = slice_of(memory_copy_text(body.data, body.length), body.length)};
	ca->installed = store && runtimes_file_holds(store, ca);
	return 0;
}

void runtimes_ca_done(struct runtimes_ca *ca)
{
	OPENSSL_free((void *)ca->der.data);
	free((void *)ca->base64.data);
	*ca = (struct runtimes_ca){0};
}

bool runtimes_file_holds(const char *path, const struct runtimes_ca *ca)
{
	/* Nothing that is waited for. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct buffer content;
	struct stat s;
	bool holds = false;

	if (fd < 0)
		return false;
	buffer_init(&content, STORE_MOST);
	if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && file_read_descriptor(fd, &content) == 0) {
		struct slice all = buffer_slice(&content);

		holds = all.length &&
			(memmem(all.data, all.length, ca->der.data, ca->der.length) ||
				memmem(all.data, all.length, ca->base64.data, ca->base64.length));
	}
	buffer_done(&content);
	close(fd);
	return holds;
}
