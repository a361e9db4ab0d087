/* SPDX-License-Identifier: Apache-2.0
 *
 * What a host may answer to who asks for its certificate, whole and in two pieces, which comes to
 * the same; and any certificate, signed by a key that is known as an authority for all names. The
 * input: u8, where it is cut; the bytes.
 */
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/ssh_wire.h"
#include "ssh/first_exchange.h"
#include "ssh/host_certificate.h"

static void check(bool good)
{
	if (!good)
		abort();
}

static int offer(struct first_exchange *x, struct slice in, size_t *taken)
{
	size_t some = 0;
	int r = first_exchange_take(x, slice_from(in, *taken), &some);

	*taken += some;
	check(*taken <= in.length && (r < 0) == (x->why != NULL));
	check(buffer_length(&x->out) <= FIRST_EXCHANGE_OUT_MOST);
	check(buffer_length(&x->certificate) <= FIRST_EXCHANGE_PACKET_MOST);
	check(!buffer_length(&x->certificate) || x->state == FIRST_EXCHANGE_DONE);
	return r;
}

/* A certificate that is signed by who is known, whoever that is: nothing else is computed with. */
static void judge(struct slice blob)
{
	const struct known_host_names names = {{slice_from_string("db")}};
	struct host_certificate c;
	struct slice rest, type;
	struct buffer file;
	uint8_t *space;

	if (host_certificate_read(blob, &c) < 0)
		return;
	buffer_init(&file, 1u << 20);
	rest = c.authority;
	if (ssh_wire_take_string(&rest, &type)) {
		buffer_append_format(&file, "@cert-authority * %.*s ", SLICE_PRINT(type));
		check(buffer_reserve(&file, 2 * c.authority.length + 8, &space) == 0);
		buffer_commit(&file,
			(size_t)EVP_EncodeBlock(space, c.authority.data, (int)c.authority.length));
		buffer_append_string(&file, "\n");
	}
	if (!host_certificate_check(&c, buffer_slice(&file), &names, 1772366400)) {
		check(c.kind == 2 && c.principals.length && c.critical.length == 0);
		check(c.valid_after <= 1772366400 && c.valid_before > 1772366400);
	}
	check(host_certificate_check(&c, SLICE_EMPTY, &names, 1772366400) != NULL);
	buffer_clear(&file);
	(void)host_certificate_append_key(&c, &file);
	buffer_done(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data + 1, size ? size - 1 : 0);
	size_t cut = size ? data[0] * in.length / 256 : 0, whole = 0, parts = 0;
	struct first_exchange a, b;
	int r, s;

	check(first_exchange_init(&a) == 0 && first_exchange_init(&b) == 0);
	r = offer(&a, in, &whole);
	s = offer(&b, slice_head(in, cut), &parts);
	if (s == 0 && b.state != FIRST_EXCHANGE_DONE)
		s = offer(&b, in, &parts);
	check(r == s && a.state == b.state && whole == parts);
	judge(buffer_slice(&a.certificate));
	judge(in);
	first_exchange_done(&a);
	first_exchange_done(&b);
	return 0;
}
