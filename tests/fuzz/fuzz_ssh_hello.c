/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ssh_hello: what an agent may say before keys are exchanged. What is known of the whole is
 * known of none of its parts, and lists are parts of it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/ssh_wire.h"
#include "protocol/ssh/hello.h"

static void check(bool good)
{
	if (!good)
		abort();
}

static void check_part(struct slice whole, struct slice part)
{
	check(!part.length ||
		(part.data >= whole.data && part.data + part.length <= whole.data + whole.length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct ssh_hello hello, part;
	int r = ssh_hello_read(in, &hello);

	check(r == 0 || r == -EAGAIN || r == -EBADMSG);
	check_part(in, hello.version);
	for (size_t i = 0; i < SSH_HELLO_LIST_COUNT; i++) {
		check_part(in, hello.lists[i]);
		ssh_wire_has_name(hello.lists[i], "aes128-gcm@openssh.com");
	}
	/* More of it changes nothing that was decided. */
	if (size && ssh_hello_read(slice_head(in, size - 1), &part) != -EAGAIN)
		check(ssh_hello_read(slice_head(in, size - 1), &part) == r);
	return 0;
}
