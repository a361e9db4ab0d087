/* SPDX-License-Identifier: Apache-2.0
 *
 * The host's CA beside those that a kubeconfig carries or names.
 */
#include <criterion/criterion.h>

#include "base/kubeconfig_text.h"
#include "base/memory.h"

/* "-----BEGIN CERTIFICATE-----\nA\n", and the same with "\nHOST\n" behind it. */
#define ONE "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkEK"
#define BOTH "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkEKCkhPU1QK"
#define HOST "HOST\n"

static struct buffer out;

static void check(const char *text, const char *expected)
{
	int r;

	buffer_init(&out, 1u << 16);
	r = kubeconfig_add_ca(slice_from_string(text), slice_from_string(HOST), &out);
	cr_expect_eq(r, strcmp(text, expected) != 0, "%s: %d", text, r);
	cr_expect(slice_equal_string(buffer_slice(&out), expected), "%s: %.*s", text,
		SLICE_PRINT(buffer_slice(&out)));
	buffer_done(&out);
}

Test(kubeconfig_text, data)
{
	check("- cluster:\n    certificate-authority-data: " ONE "\n    server: x\n",
		"- cluster:\n    certificate-authority-data: " BOTH "\n    server: x\n");
	check("{\"certificate-authority-data\": \"" ONE "\", \"server\": \"x\"}",
		"{\"certificate-authority-data\": \"" BOTH "\", \"server\": \"x\"}");
	check("certificate-authority-data: '" ONE "'", "certificate-authority-data: '" BOTH "'");
	check("certificate-authority-data:\t" ONE "  # ours\r\n",
		"certificate-authority-data:\t" BOTH "  # ours\r\n");
	check("{certificate-authority-data: " ONE ", x: y}",
		"{certificate-authority-data: " BOTH ", x: y}");
	check("certificate-authority-data: " ONE "\ncertificate-authority-data: " ONE,
		"certificate-authority-data: " BOTH "\ncertificate-authority-data: " BOTH);
}

Test(kubeconfig_text, what_is_left_as_it_is)
{
	static const char *const texts[] = {"", "x", "certificate-authority-data",
		"certificate-authority-data:", "certificate-authority-data: \n",
		"certificate-authority-data: 'unended", "certificate-authority-data: AAAA",
		"certificate-authority-data: >-\n  " ONE, "certificate-authority-data: " ONE "=",
		"certificate-authority: " ONE, "client-certificate-data: " ONE};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		check(texts[i], texts[i]);
}

Test(kubeconfig_text, files)
{
	struct slice text = slice_from_string(
		"certificate-authority-data: " ONE "\ncertificate-authority: /etc/a b.crt \n"
		"\"certificate-authority\": \"ca/c.crt\",\n"
		"certificate-authority: ''\n");
	struct slice file;

	cr_assert(kubeconfig_next_ca_file(&text, &file));
	cr_expect(slice_equal_string(file, "/etc/a b.crt"), "%.*s", SLICE_PRINT(file));
	cr_assert(kubeconfig_next_ca_file(&text, &file));
	cr_expect(slice_equal_string(file, "ca/c.crt"));
	cr_assert(kubeconfig_next_ca_file(&text, &file));
	cr_expect_eq(file.length, 0);
	cr_expect_not(kubeconfig_next_ca_file(&text, &file));
}
