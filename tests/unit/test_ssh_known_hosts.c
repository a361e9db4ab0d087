/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "ssh/known_hosts.h"

#define KEY "AAAAC3NzaC1lZDI1NTE5AAAAIGPV"
#define OTHER "AAAAC3NzaC1lZDI1NTE5AAAAIOTH"

static enum known_host check(const char *file, const char *name, const char *address)
{
	const struct known_host_names names = {
		{slice_from_string(name), slice_from_string(address)}};

	return known_hosts_check(slice_from_string(file), &names, slice_from_string("ssh-ed25519"),
		slice_from_string(KEY));
}

Test(ssh_known_hosts, lines_are_about_names)
{
	static const struct {
		const char *file, *name, *address;
		enum known_host expected;
	} rows[] = {
		{"db ssh-ed25519 " KEY "\n", "db", "10.0.0.1", KNOWN_HOST_SAME},
		{"db ssh-ed25519 " KEY, "db", "10.0.0.1", KNOWN_HOST_SAME},
		{"DB ssh-ed25519 " KEY " comment\r\n", "db", "10.0.0.1", KNOWN_HOST_SAME},
		{"db,10.0.0.1 ssh-ed25519 " KEY "\n", "", "10.0.0.1", KNOWN_HOST_SAME},
		{"10.0.0.* ssh-ed25519 " KEY "\n", "", "10.0.0.1", KNOWN_HOST_SAME},
		{"10.0.?.1 ssh-ed25519 " KEY "\n", "", "10.0.0.1", KNOWN_HOST_SAME},
		{"*,!10.0.0.1 ssh-ed25519 " KEY "\n", "", "10.0.0.1", KNOWN_HOST_UNKNOWN},
		{"db ssh-ed25519 " KEY "\n", "[db]:2222", "[10.0.0.1]:2222", KNOWN_HOST_UNKNOWN},
		{"[db]:2222 ssh-ed25519 " KEY "\n", "[db]:2222", "", KNOWN_HOST_SAME},
		{"db ssh-ed25519 " OTHER "\n", "db", "", KNOWN_HOST_CHANGED},
		{"db ssh-ed25519 " OTHER "\ndb ssh-ed25519 " KEY "\n", "db", "", KNOWN_HOST_SAME},
		{"db ssh-rsa " KEY "\n", "db", "", KNOWN_HOST_CHANGED},
		{"other ssh-ed25519 " KEY "\n", "db", "10.0.0.1", KNOWN_HOST_UNKNOWN},
		{"# db ssh-ed25519 " KEY "\n\n \n", "db", "", KNOWN_HOST_UNKNOWN},
		{"db ssh-ed25519\n", "db", "", KNOWN_HOST_UNKNOWN},
		{"@cert-authority * ssh-ed25519 " KEY "\n", "db", "", KNOWN_HOST_AUTHORITY},
		{"@cert-authority x ssh-ed25519 " KEY "\n", "db", "", KNOWN_HOST_UNKNOWN},
		{"@cert-authority * ssh-ed25519 " KEY "\ndb ssh-ed25519 " OTHER "\n", "db", "",
			KNOWN_HOST_CHANGED},
		{"db ssh-ed25519 " KEY "\n@cert-authority * ssh-ed25519 " OTHER "\n", "db", "",
			KNOWN_HOST_SAME},
		{"@revoked * ssh-ed25519 " KEY "\ndb ssh-ed25519 " KEY "\n", "db", "",
			KNOWN_HOST_REVOKED},
		{"db ssh-ed25519 " KEY "\n@revoked * ssh-ed25519 " KEY "\n", "db", "",
			KNOWN_HOST_REVOKED},
		{"", "db", "", KNOWN_HOST_UNKNOWN},
		/* as ssh-keygen -H writes "db" */
		{"|1|AAECAwQFBgcICQoLDA0ODxAREhM=|WN9jpgTAsWsodwQ9X+cBbXIib80= ssh-ed25519 " KEY
		 "\n",
			"db", "", KNOWN_HOST_SAME},
		{"|1|AAECAwQFBgcICQoLDA0ODxAREhM=|WN9jpgTAsWsodwQ9X+cBbXIib80= ssh-ed25519 " KEY
		 "\n",
			"dc", "", KNOWN_HOST_UNKNOWN},
		{"|1|AAAA|AAAA ssh-ed25519 " KEY "\n", "db", "", KNOWN_HOST_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(check(rows[i].file, rows[i].name, rows[i].address), rows[i].expected,
			"row %zu", i);
}

Test(ssh_known_hosts, algorithms_are_those_of_known_keys)
{
	const struct known_host_names names = {{slice_from_string("db"), SLICE_EMPTY}};
	struct buffer b;

	buffer_init(&b, 1024);
	known_hosts_algorithms(
		slice_from_string("db ssh-rsa AAAA\nother ssh-ed25519 AAAA\n@revoked db "
				  "ecdsa-sha2-nistp256 AAAA\n"),
		&names, &b);
	cr_expect(slice_equal_string(buffer_slice(&b), "rsa-sha2-512,rsa-sha2-256"));
	buffer_clear(&b);
	known_hosts_algorithms(slice_from_string("x ssh-rsa AAAA\n"), &names, &b);
	cr_expect_eq(buffer_length(&b), 0);
	buffer_done(&b);
}

Test(ssh_known_hosts, a_certificate_is_wanted_where_there_is_no_key)
{
	static const struct {
		const char *file;
		bool expected;
	} rows[] = {
		{"@cert-authority * ssh-ed25519 " KEY "\n", true},
		{"@cert-authority x ssh-ed25519 " KEY "\n", false},
		{"@cert-authority * ssh-ed25519 " KEY "\nx ssh-ed25519 " OTHER "\n", true},
		{"@cert-authority * ssh-ed25519 " KEY "\n10.0.0.1 ssh-rsa " OTHER "\n", false},
		{"@cert-authority * ssh-ed25519 " KEY "\n@revoked * ssh-ed25519 " OTHER "\n", true},
		{"@revoked * ssh-ed25519 " KEY "\n", false},
		{"db ssh-ed25519 " KEY "\n", false},
		{"", false},
	};
	const struct known_host_names names = {
		{slice_from_string("db"), slice_from_string("10.0.0.1")}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(known_hosts_wants_certificate(slice_from_string(rows[i].file), &names),
			rows[i].expected, "row %zu", i);
}
