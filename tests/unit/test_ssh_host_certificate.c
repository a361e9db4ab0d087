/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates of hosts as ssh-keygen(1) writes them: whom they make known, and every way in which
 * one is not to be believed.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/ssh_wire.h"
#include "ssh/host_certificate.h"
#include "ssh/signature.h"

#define NOON 1772366400u /* 2026-03-01, 12:00 UTC */

static char folder[] = "/tmp/host-certificate-XXXXXX";
static struct buffer blob;

/* In the folder. */
static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *format, ...)
{
	char command[1024];
	int n = snprintf(command, sizeof(command), "cd %s && export TZ=UTC && ", folder);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command + n, sizeof(command) - (size_t)n, format, arguments);
	va_end(arguments);
	cr_assert_eq(system(command), 0, "%s", command);
}

static void setup(void)
{
	cr_assert(mkdtemp(folder));
	buffer_init(&blob, 65536);
}

static void teardown(void)
{
	buffer_done(&blob);
	shell("rm -r %s", folder);
}

TestSuite(ssh_host_certificate, .init = setup, .fini = teardown);

/* Those of RSA take their time. */
static void make_key(const char *name)
{
	static const struct {
		const char *name, *options;
	} keys[] = {
		{"ed25519", "-t ed25519"},
		{"other", "-t ed25519"},
		{"ecdsa", "-t ecdsa"},
		{"ecdsa521", "-t ecdsa -b 521"},
		{"rsa", "-t rsa -b 2048"},
		{"short", "-t rsa -b 1024"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].name, name) == 0)
			shell("[ -e %s ] || ssh-keygen -q -N '' %s -f %s", name, keys[i].options,
				name);
	}
}

/* "TYPE BASE64" of a file NAME.pub, without a comment. */
static void read_line(const char *name, char *ret, size_t size)
{
	char path[100];
	struct buffer text;
	struct error e;
	char *space;

	make_key(name);
	snprintf(path, sizeof(path), "%s/%s.pub", folder, name);
	buffer_init(&text, 65536);
	cr_assert_eq(file_read(path, &text, &e), 0, "%s", e.text);
	snprintf(ret, size, "%.*s", SLICE_PRINT(buffer_slice(&text)));
	buffer_done(&text);
	space = strchr(ret, ' ');
	cr_assert_not_null(space);
	space[1 + strcspn(space + 1, " \n")] = '\0';
}

/* Of that key by that authority, with options of ssh-keygen, into `blob`. */
static void certify(const char *key, const char *authority, const char *options)
{
	char name[100], line[16384];
	const char *text;
	uint8_t *space;
	int n;

	make_key(key);
	make_key(authority);
	shell("ssh-keygen -q -s %s -I id %s %s.pub", authority, options, key);
	snprintf(name, sizeof(name), "%s-cert", key);
	read_line(name, line, sizeof(line));
	text = strchr(line, ' ') + 1;
	buffer_clear(&blob);
	cr_assert_eq(buffer_reserve(&blob, strlen(text), &space), 0);
	n = EVP_DecodeBlock(space, (const uint8_t *)text, (int)strlen(text));
	cr_assert_gt(n, 0);
	for (const char *c = text + strlen(text); c[-1] == '='; c--)
		n--;
	buffer_commit(&blob, (size_t)n);
}

/* A file of known_hosts, in which {NAME} stands for that key. */
static void fill(const char *from, char *ret, size_t size)
{
	size_t n = 0;

	for (; *from; from++) {
		char name[32], line[8192];

		if (*from != '{') {
			cr_assert_lt(n + 1, size);
			ret[n++] = *from;
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(from + 1, "}"), from + 1);
		read_line(name, line, sizeof(line));
		cr_assert_lt(n + strlen(line), size);
		memcpy(ret + n, line, strlen(line));
		n += strlen(line);
		from += strlen(name) + 1;
	}
	ret[n] = '\0';
}

static const char *check(const char *known, const char *name, const char *address, uint64_t now)
{
	const struct known_host_names names = {
		{slice_from_string(name), slice_from_string(address)}};
	struct host_certificate c;
	char file[32768];

	fill(known, file, sizeof(file));
	cr_assert_eq(host_certificate_read(buffer_slice(&blob), &c), 0);
	return host_certificate_check(&c, slice_from_string(file), &names, now);
}

static void expect(const char *why, const char *expected, const char *what)
{
	cr_expect_str_eq(why ? why : "good", expected, "%s: %s", what, why ? why : "good");
}

Test(ssh_host_certificate, every_kind_of_key_and_authority)
{
	static const char *const kinds[] = {"ed25519", "ecdsa", "ecdsa521", "rsa"};
	static const char *const ways[] = {"rsa-sha2-256", "rsa-sha2-512"};
	char known[100], line[8192], options[100];
	struct host_certificate c;
	struct buffer key;

	buffer_init(&key, 8192);
	for (size_t i = 0; i < ARRAY_SIZE(kinds) * ARRAY_SIZE(kinds); i++) {
		const char *subject = kinds[i / ARRAY_SIZE(kinds)];
		const char *authority = kinds[i % ARRAY_SIZE(kinds)];

		certify(subject, authority, "-h -n db");
		snprintf(known, sizeof(known), "@cert-authority * {%s}\n", authority);
		expect(check(known, "db", "10.0.0.1", NOON), "good", known);
		read_line(subject, line, sizeof(line));
		buffer_clear(&key);
		cr_assert_eq(host_certificate_read(buffer_slice(&blob), &c), 0);
		cr_assert_eq(host_certificate_append_key(&c, &key), 0);
		cr_expect(slice_equal_string(buffer_slice(&key), line), "%s", subject);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		snprintf(options, sizeof(options), "-h -n db -t %s", ways[i]);
		certify("ed25519", "rsa", options);
		expect(check("@cert-authority * {rsa}\n", "db", "", NOON), "good", ways[i]);
	}
	buffer_done(&key);
}

Test(ssh_host_certificate, who_signs_has_to_be_known_for_that_host)
{
	static const char stranger[] = "is not signed by an authority that host_keys has";
	static const char revoked[] = "is signed by an authority that is revoked in host_keys";
	static const char other[] = "does not name it";
	static const struct {
		const char *known, *name, *address, *expected;
	} rows[] = {
		{"@cert-authority * {ecdsa}\n", "db", "10.0.0.1", "good"},
		{"@cert-authority DB {ecdsa} comment\n", "Db", "10.0.0.1", "good"},
		{"@cert-authority db,x {ecdsa}\n", "db", "", "good"},
		{"@cert-authority * {ecdsa}\n", "[db]:2222", "[10.0.0.1]:2222", "good"},
		{"@cert-authority [db]:2222 {ecdsa}\n", "[db]:2222", "", "good"},
		{"@cert-authority [db]:2222 {ecdsa}\n", "db", "", stranger},
		{"@cert-authority db {ecdsa}\n", "[db]:2222", "", stranger},
		{"@cert-authority * {other}\n@cert-authority d? {ecdsa}\n", "db", "", "good"},
		{"@cert-authority *,!db {ecdsa}\n", "db", "10.0.0.1", other},
		{"@cert-authority *,!db,!10.* {ecdsa}\n", "db", "10.0.0.1", stranger},
		/* as ssh-keygen -H writes "db" */
		{"@cert-authority |1|AAECAwQFBgcICQoLDA0ODxAREhM=|WN9jpgTAsWsodwQ9X+cBbXIib80= "
		 "{ecdsa}\n",
			"db", "", "good"},
		{"@cert-authority * {other}\n", "db", "", stranger},
		{"* {ecdsa}\n", "db", "", stranger},
		{"", "db", "", stranger},
		{"@cert-authority * {ecdsa}\n@revoked * {ecdsa}\n", "db", "", revoked},
		{"@revoked db {ecdsa}\n@cert-authority * {ecdsa}\n", "db", "", revoked},
		{"@revoked 10.0.0.1 {ecdsa}\n@cert-authority * {ecdsa}\n", "db", "10.0.0.1",
			revoked},
		{"@revoked x {ecdsa}\n@cert-authority * {ecdsa}\n", "db", "", "good"},
		/* It speaks for the address alone, and the certificate names a name. */
		{"@cert-authority 10.0.0.1 {ecdsa}\n", "db", "10.0.0.1", other},
		{"@cert-authority * {ecdsa}\n", "dc", "10.0.0.1", other},
		{"@cert-authority * {ecdsa}\n", "", "10.0.0.1", other},
		{"@cert-authority * {ecdsa}\n", "d", "", other},
		{"@cert-authority * {ecdsa}\n", "[]:22", "", other},
	};

	certify("ed25519", "ecdsa", "-h -n first,db");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect(check(rows[i].known, rows[i].name, rows[i].address, NOON), rows[i].expected,
			rows[i].known);
}

Test(ssh_host_certificate, what_it_says_has_to_hold)
{
	static const char untrusted[] = "is signed in a way that is not trusted";
	static const struct {
		const char *authority, *options, *expected;
	} rows[] = {
		{"ed25519", "-h -n db -V 20260301115900:20260301120100", "good"},
		{"ed25519", "-h -n db -V 20260301120000:20260301120001", "good"},
		{"ed25519", "-h -n db -V 20260301120001:20260301130000", "is not valid yet"},
		{"ed25519", "-h -n db -V 20260301110000:20260301120000", "has expired"},
		{"ed25519", "-n db", "is not one of a host"},
		{"ed25519", "-h", "does not name it"},
		{"ed25519", "-h -n '*'", "does not name it"},
		{"ed25519", "-h -n db.internal,DB", "does not name it"},
		{"ed25519", "-h -n 10.0.0.1", "good"},
		{"ed25519", "-h -n db -O critical:verify-required",
			"has critical options, of which none is known"},
		{"rsa", "-h -n db -t ssh-rsa", untrusted},
		{"short", "-h -n db", untrusted},
	};
	char known[100];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		certify("ecdsa", rows[i].authority, rows[i].options);
		snprintf(known, sizeof(known), "@cert-authority * {%s}\n", rows[i].authority);
		expect(check(known, "db", "10.0.0.1", NOON), rows[i].expected, rows[i].options);
	}
}

/* Each byte of what is signed, and of the signature, counts. */
Test(ssh_host_certificate, nothing_of_it_can_be_changed)
{
	const struct known_host_names names = {{slice_from_string("db")}};
	static const char *const authorities[] = {"ed25519", "ecdsa", "rsa"};
	struct host_certificate c;
	char known[100], file[32768];

	for (size_t a = 0; a < ARRAY_SIZE(authorities); a++) {
		certify("ed25519", authorities[a], "-h -n db");
		snprintf(known, sizeof(known), "@cert-authority * {%s}\n", authorities[a]);
		fill(known, file, sizeof(file));
		for (size_t i = 0; i < buffer_length(&blob); i++) {
			blob.data[blob.start + i] ^= 1;
			cr_expect(host_certificate_read(buffer_slice(&blob), &c) < 0 ||
					host_certificate_check(
						&c, slice_from_string(file), &names, NOON),
				"%s: byte %zu", authorities[a], i);
			blob.data[blob.start + i] ^= 1;
		}
		expect(check(known, "db", "", NOON), "good", "as it was");
	}
}

Test(ssh_host_certificate, what_is_none_is_not_read)
{
	struct host_certificate c;
	struct buffer large;
	char line[8192];

	certify("ed25519", "ed25519", "-h -n db");
	for (size_t i = 0; i < buffer_length(&blob); i++)
		cr_expect_eq(host_certificate_read(slice_head(buffer_slice(&blob), i), &c),
			-EBADMSG, "%zu", i);
	cr_assert_eq(buffer_append_byte(&blob, 0), 0);
	cr_expect_eq(host_certificate_read(buffer_slice(&blob), &c), -EBADMSG, "more behind it");
	read_line("ed25519", line, sizeof(line));
	cr_expect_eq(host_certificate_read(slice_from_string(line), &c), -EBADMSG);
	buffer_init(&large, 65536);
	while (buffer_length(&large) <= 35000)
		cr_assert_eq(buffer_append_byte(&large, 0), 0);
	cr_expect_eq(host_certificate_read(buffer_slice(&large), &c), -EBADMSG);
	buffer_done(&large);
}

static void append_list(struct buffer *to, unsigned count)
{
	struct buffer list;

	buffer_init(&list, 65536);
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(ssh_wire_append_string(&list, slice_from_string("h")), 0);
	cr_assert_eq(ssh_wire_append_string(to, buffer_slice(&list)), 0);
	buffer_done(&list);
}

Test(ssh_host_certificate, it_names_no_more_than_there_may_be)
{
	struct host_certificate c;

	for (unsigned more = 0; more <= 1; more++) {
		buffer_clear(&blob);
		ssh_wire_append_string(
			&blob, slice_from_string("ssh-ed25519-cert-v01@openssh.com"));
		ssh_wire_append_string(&blob, slice_from_string("nonce"));
		ssh_wire_append_string(&blob, slice_from_string("key"));
		buffer_append_u64(&blob, 1);
		buffer_append_u32(&blob, 2);
		ssh_wire_append_string(&blob, slice_from_string("id"));
		append_list(&blob, HOST_CERTIFICATE_PRINCIPALS_MOST + more);
		buffer_append_u64(&blob, 0);
		buffer_append_u64(&blob, UINT64_MAX);
		for (unsigned i = 0; i < 5; i++)
			ssh_wire_append_string(&blob, SLICE_EMPTY);
		cr_expect_eq(host_certificate_read(buffer_slice(&blob), &c), more ? -EBADMSG : 0);
	}
}

Test(ssh_host_certificate, signatures_of_another_kind_than_the_key)
{
	static const uint8_t zeros[32];
	struct buffer key, signature;

	buffer_init(&key, 1024);
	buffer_init(&signature, 1024);
	cr_assert_eq(ssh_wire_append_string(&key, slice_from_string("ssh-ed25519")), 0);
	cr_assert_eq(ssh_wire_append_string(&key, slice_of(zeros, sizeof(zeros))), 0);
	cr_assert_eq(ssh_wire_append_string(&signature, slice_from_string("rsa-sha2-256")), 0);
	cr_assert_eq(ssh_wire_append_string(&signature, slice_from_string("x")), 0);
	cr_expect_eq(signature_verify(buffer_slice(&key), SLICE_EMPTY, buffer_slice(&signature)),
		-ENOTSUP);
	cr_expect_eq(
		signature_verify(SLICE_EMPTY, SLICE_EMPTY, buffer_slice(&signature)), -EBADMSG);
	cr_expect_eq(signature_verify(buffer_slice(&key), SLICE_EMPTY, SLICE_EMPTY), -EBADMSG);
	buffer_done(&key);
	buffer_done(&signature);
}
