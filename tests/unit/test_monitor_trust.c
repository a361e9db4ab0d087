/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of CAs that programs pin: what agents get to read of a name that one of them may put to
 * anything.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "monitor/trust_file.h"
#include "monitor/trust.h"

#define CERTIFICATE "-----BEGIN CERTIFICATE-----\nMIIB\nAA==\n-----END CERTIFICATE-----\n"
#define OWN "the host's\n"

static char folder[64], pinned[96], other[96], shown[128];

static void setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/trust-XXXXXX");
	cr_assert(mkdtemp(folder));
	snprintf(pinned, sizeof(pinned), "%s/pinned.pem", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	snprintf(shown, sizeof(shown), "%s/" TRUST_FOLDER "/a-0.pem", folder);
}

static void teardown(void)
{
	char trust[96];

	snprintf(trust, sizeof(trust), "%s/" TRUST_FOLDER, folder);
	unlink(pinned);
	unlink(other);
	unlink(shown);
	rmdir(trust);
	cr_expect_eq(rmdir(folder), 0);
}

TestSuite(monitor_trust, .init = setup, .fini = teardown, .timeout = 20);

static void put(const char *file, const char *text)
{
	struct error e;

	cr_assert_eq(file_write(file, slice_from_string(text), 0600, &e), 0, "%s", e.text);
}

static int pin(void)
{
	struct error e;

	return trust_pin(folder, "a-0.pem", pinned, slice_from_string(OWN), &e);
}

static void expect_shown(const char *text)
{
	struct buffer content;
	struct error e;

	buffer_init(&content, 1u << 20);
	cr_assert_eq(file_read(shown, &content, &e), 0, "%s", e.text);
	cr_expect(slice_equal_string(buffer_slice(&content), text), "%.*s",
		SLICE_PRINT(buffer_slice(&content)));
	buffer_done(&content);
}

Test(monitor_trust, certificates_are_shown_with_the_hosts)
{
	put(pinned, "# ours\n" CERTIFICATE "\n" CERTIFICATE);
	cr_assert_eq(pin(), 0);
	expect_shown(CERTIFICATE CERTIFICATE "\n" OWN);
	put(pinned, CERTIFICATE);
	cr_assert_eq(pin(), 0);
	expect_shown(CERTIFICATE "\n" OWN);
}

Test(monitor_trust, nothing_else_of_a_file_is)
{
	put(pinned,
		"secret\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
		"-----BEGIN CERTIFICATE-----\npassword: x!\n-----END CERTIFICATE-----\n" CERTIFICATE
		"-----BEGIN CERTIFICATE-----\nsecret");
	cr_assert_eq(pin(), 0);
	expect_shown(CERTIFICATE "\n" OWN);
}

Test(monitor_trust, a_file_without_any_stays_what_it_is)
{
	put(pinned, "root:$6$x:1::::::\n");
	cr_expect_eq(pin(), -ENOMSG);
	cr_expect_neq(access(shown, F_OK), 0);
}

Test(monitor_trust, links_of_others_lead_nowhere)
{
	put(other, CERTIFICATE);
	cr_assert_eq(symlink("other", pinned), 0);
	if (geteuid() == 0) {
		cr_expect_eq(pin(), 0, "root's own");
		cr_expect_eq(unlink(shown), 0);
		cr_assert_eq(lchown(pinned, 65534, 65534), 0);
	}
	cr_expect_eq(pin(), -ELOOP);
	cr_expect_neq(access(shown, F_OK), 0);
	if (geteuid() == 0) {
		cr_assert_eq(lchown(pinned, 0, 0), 0);
		cr_assert_eq(chmod(folder, 0777), 0);
		cr_expect_eq(pin(), -ELOOP, "anybody could have put it there");
	}
}

Test(monitor_trust, nothing_is_waited_for)
{
	cr_assert_eq(mkfifo(pinned, 0600), 0);
	cr_expect_eq(pin(), -EPERM);
}

Test(monitor_trust, folders_and_what_is_missing_are_no_files)
{
	cr_expect_eq(pin(), -ENOENT);
	cr_expect_eq(trust_file_open(folder), -EISDIR);
	put(pinned, CERTIFICATE);
	strcat(pinned, "/x");
	cr_expect_eq(pin(), -ENOTDIR);
	pinned[strlen(pinned) - 2] = '\0';
}
