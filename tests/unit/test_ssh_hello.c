/* SPDX-License-Identifier: Apache-2.0
 *
 * What one side of an SSH connection says first.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/buffer.h"
#include "base/ssh_wire.h"
#include "protocol/ssh/hello.h"

#define VERSION "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"

static struct buffer said;

static void setup(void)
{
	buffer_init(&said, 65536);
	buffer_append_string(&said, VERSION);
}

static void teardown(void)
{
	buffer_done(&said);
}

TestSuite(ssh_hello, .init = setup, .fini = teardown);

/* A packet of that type with these lists, the last of them often enough for all ten. */
static void add_packet(uint8_t type, const char *const *lists, size_t count)
{
	size_t start = buffer_length(&said);

	buffer_append_u32(&said, 0);
	buffer_append_byte(&said, 4);
	buffer_append_byte(&said, type);
	buffer_append_string(&said, "0123456789abcdef");
	for (size_t i = 0; i < 10; i++) {
		const char *list = lists[i < count ? i : count - 1];

		buffer_append_u32(&said, (uint32_t)strlen(list));
		buffer_append_string(&said, list);
	}
	buffer_append(&said, "\0\0\0\0\0pppp", 9);
	said.data[said.start + start + 2] = (uint8_t)((buffer_length(&said) - start - 4) >> 8);
	said.data[said.start + start + 3] = (uint8_t)(buffer_length(&said) - start - 4);
}

static const char *const lists[] = {"curve25519-sha256,ext-info-c", "ssh-ed25519",
	"chacha20-poly1305@openssh.com,aes128-gcm@openssh.com", "aes128-ctr", ""};

Test(ssh_hello, lists_are_read_when_all_of_them_are_there)
{
	struct slice all;
	struct ssh_hello hello;

	add_packet(20, lists, 5);
	all = buffer_slice(&said);
	for (size_t n = 0; n < all.length; n++) {
		cr_assert_eq(ssh_hello_read(slice_head(all, n), &hello), -EAGAIN, "%zu", n);
		cr_expect_eq(hello.version.length, n < strlen(VERSION) ? 0 : strlen(VERSION) - 2);
		cr_expect_eq(hello.version_size, n < strlen(VERSION) ? 0 : strlen(VERSION));
	}
	/* Whatever comes behind them. */
	buffer_append_string(&said, "more");
	cr_assert_eq(ssh_hello_read(buffer_slice(&said), &hello), 0);
	cr_expect(slice_equal_string(hello.version, "SSH-2.0-OpenSSH_9.2p1 Debian-2"));
	for (size_t i = 0; i < SSH_HELLO_LIST_COUNT; i++)
		cr_expect(slice_equal_string(hello.lists[i], lists[i]));
}

Test(ssh_hello, what_is_something_else_is_none)
{
	static const struct {
		const char *bytes;
		size_t length;
	} bad[] = {
		{"GET / HTTP/1.1\r\n", 16},
		{"\r\nSSH-2.0-x\r\n", 13},
		{"SSH\n", 4},
		{"SSH-2.0-x\r\n\0\0\0\x11", 15},
		{"SSH-2.0-x\r\n\0\0\x40\1", 15},
		{"SSH-2.0-x\r\n\377\377\377\377", 15},
		{"SSH-2.0-x\r\n\0\0\0\x12\4\25"
		 "0123456789abcdef",
			33},
		/* No list, half of one, and one that is longer than the packet. */
		{"SSH-2.0-x\r\n\0\0\0\x12\4\24"
		 "0123456789abcdef",
			33},
		{"SSH-2.0-x\r\n\0\0\0\x15\4\24"
		 "0123456789abcdef\0\0\0",
			36},
		{"SSH-2.0-x\r\n\0\0\0\x17\4\24"
		 "0123456789abcdef\0\0\0\2a",
			38},
		{"SSH-2.0-x\r\n\0\0\0\x17\4\24"
		 "0123456789abcdef\377\377\377\377a",
			38},
	};
	struct ssh_hello hello;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(ssh_hello_read(slice_of(bad[i].bytes, bad[i].length), &hello),
			-EBADMSG, "%zu", i);
}

Test(ssh_hello, a_version_has_an_end)
{
	struct ssh_hello hello;
	char line[SSH_HELLO_VERSION_MOST + 1];

	memset(line, 'x', sizeof(line));
	memcpy(line, "SSH-", 4);
	cr_expect_eq(ssh_hello_read(slice_of(line, SSH_HELLO_VERSION_MOST - 1), &hello), -EAGAIN);
	cr_expect_eq(ssh_hello_read(slice_of(line, sizeof(line)), &hello), -EBADMSG);
	line[SSH_HELLO_VERSION_MOST - 1] = '\n';
	cr_expect_eq(ssh_hello_read(slice_of(line, SSH_HELLO_VERSION_MOST), &hello), -EAGAIN);
	cr_expect_eq(hello.version.length, SSH_HELLO_VERSION_MOST - 1);
}

Test(ssh_hello, names_are_whole)
{
	struct slice list = slice_from_string("aes128-gcm@openssh.com,aes256-ctr,,x");

	cr_expect(ssh_wire_has_name(list, "aes128-gcm@openssh.com"));
	cr_expect(ssh_wire_has_name(list, "aes256-ctr"));
	cr_expect(ssh_wire_has_name(list, "x"));
	cr_expect_not(ssh_wire_has_name(list, "aes128-gcm@openssh.co"));
	cr_expect_not(ssh_wire_has_name(list, "aes256-ctr,"));
	cr_expect_not(ssh_wire_has_name(list, "gcm@openssh.com"));
	cr_expect_not(ssh_wire_has_name(slice_from_string(""), "x"));
}
