/* SPDX-License-Identifier: Apache-2.0
 *
 * The host's CA: what it is, who may read its key, what its certificates say, and what it is
 * limited to, which OpenSSL has to see in the same way.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "monitor/authority.h"
#include "policy/ca_names.h"

#define LIMITS_MOST 8

static char folder[64];

static void make_folder(void)
{
	strcpy(folder, "/tmp/authority-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(monitor_authority, .init = make_folder, .fini = remove_folder, .timeout = 60);

/* What `ca: { names: […] }` becomes. */
struct limits {
	struct config_ca ca;
	struct host hosts[LIMITS_MOST];
	char texts[LIMITS_MOST][64];
};

static void read_limits(struct limits *l, const char *const *names)
{
	struct error e;

	memset(l, 0, sizeof(*l));
	l->ca.limits = l->hosts;
	for (; *names; names++) {
		size_t i = l->ca.limit_count++;

		snprintf(l->texts[i], sizeof(l->texts[i]), "%s", *names);
		cr_assert_eq(ca_name_parse(l->texts[i], &l->hosts[i], &e), 0, "%s", e.text);
	}
}

static struct authority *open_limited(const char *const *names)
{
	struct limits l;
	struct authority *a;
	struct error e;

	read_limits(&l, names);
	cr_assert_eq(authority_open(folder, &l.ca, &a, &e), 0, "%s", e.text);
	memset(&l, 0xff, sizeof(l)); /* a reload frees it */
	return a;
}

static struct authority *open_plain(void)
{
	struct authority *a;
	struct error e;

	cr_assert_eq(authority_open(folder, NULL, &a, &e), 0, "%s", e.text);
	return a;
}

static char *path_of(const char *name)
{
	return memory_format("%s/ca/%s", folder, name);
}

static X509 *take_certificate(BIO *text)
{
	return PEM_read_bio_X509(text, NULL, NULL, NULL);
}

/* A leaf, with its key; NULL: refused, with the error. */
static X509 *mint(struct authority *a, const char *name, EVP_PKEY **ret_key, int *ret_error)
{
	struct buffer pem;
	struct error e;
	X509 *leaf = NULL, *ca;
	BIO *text;
	int r;

	buffer_init(&pem, 1 << 16);
	r = authority_mint(a, slice_from_string(name), &pem, &e);
	if (ret_error)
		*ret_error = r;
	if (r == 0) {
		text = BIO_new_mem_buf(buffer_slice(&pem).data, (int)buffer_length(&pem));
		leaf = take_certificate(text);
		ca = take_certificate(text);
		cr_assert(leaf && ca);
		X509_free(ca);
		if (ret_key)
			*ret_key = PEM_read_bio_PrivateKey(text, NULL, NULL, NULL);
		BIO_free(text);
	}
	buffer_wipe(&pem);
	return leaf;
}

static X509 *certificate_of(const struct authority *a)
{
	struct slice pem = authority_certificate(a);
	BIO *text = BIO_new_mem_buf(pem.data, (int)pem.length);
	X509 *ca = take_certificate(text);

	BIO_free(text);
	cr_assert_not_null(ca);
	return ca;
}

/* What a client that trusts the CA makes of it: X509_V_OK or why not. */
static int verify(const struct authority *a, X509 *leaf, const char *name)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509 *ca = certificate_of(a);
	X509_VERIFY_PARAM *wanted;
	int result;

	cr_assert(X509_STORE_add_cert(store, ca));
	cr_assert(X509_STORE_CTX_init(context, store, leaf, NULL));
	X509_STORE_CTX_set_default(context, "ssl_server");
	wanted = X509_STORE_CTX_get0_param(context);
	if (X509_VERIFY_PARAM_set1_ip_asc(wanted, name) != 1)
		cr_assert(X509_VERIFY_PARAM_set1_host(wanted, name, 0));
	X509_verify_cert(context);
	result = X509_STORE_CTX_get_error(context);
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	X509_free(ca);
	return result;
}

/* --- the key --- */

static bool is_p256(const EVP_PKEY *key)
{
	char name[32] = "";

	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
		EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) == 1 &&
		strcmp(name, "prime256v1") == 0;
}

Test(monitor_authority, is_p256_and_its_key_is_its_owners_alone)
{
	char *key = path_of("ca.key"), *certificate = path_of("ca.pem");
	struct authority *a;
	struct stat s;
	X509 *ca;

	umask(0);
	a = open_plain();
	ca = certificate_of(a);
	cr_expect(is_p256(X509_get0_pubkey(ca)));
	cr_expect_eq(X509_check_ca(ca), 1);
	cr_expect_eq(X509_get_pathlen(ca), 0);
	cr_expect_eq(X509_get_key_usage(ca), X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN);
	cr_expect_lt(X509_get_ext_by_NID(ca, NID_name_constraints, -1), 0);
	cr_assert_eq(stat(key, &s), 0);
	cr_expect_eq(s.st_mode & 07777, 0600);
	cr_expect_eq(s.st_uid, geteuid());
	cr_assert_eq(stat(certificate, &s), 0);
	cr_expect_eq(s.st_mode & 07777, 0644);
	X509_free(ca);
	authority_free(a);
	free(key);
	free(certificate);
}

Test(monitor_authority, stays_the_same)
{
	struct authority *a = open_plain(), *again = open_plain();
	uint8_t one[32], other[32];

	authority_fingerprint(a, one);
	authority_fingerprint(again, other);
	cr_expect_arr_eq(one, other, sizeof(one));
	authority_free(a);
	authority_free(again);
}

Test(monitor_authority, a_key_of_another_is_refused)
{
	char *key = path_of("ca.key"), *certificate = path_of("ca.pem"), *kept = path_of("kept");
	struct authority *a = open_plain();
	struct error e;

	cr_assert_eq(rename(key, kept), 0);
	cr_assert_eq(unlink(certificate), 0);
	authority_free(a);
	authority_free(open_plain());
	cr_assert_eq(rename(kept, key), 0);
	cr_expect_eq(authority_open(folder, NULL, &a, &e), -EINVAL);
	cr_expect(strstr(e.text, "does not belong to"), "%s", e.text);
	free(key);
	free(certificate);
	free(kept);
}

/* --- leaves --- */

Test(monitor_authority, a_leaf_is_for_its_name_and_for_a_day)
{
	static const char *const names[] = {"db.internal", "10.0.0.5", "2001:db8::9", "LOCALHOST"};
	struct authority *a = open_plain();

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		EVP_PKEY *key = NULL;
		X509 *leaf = mint(a, names[i], &key, NULL);
		int days, seconds;

		cr_assert_not_null(leaf);
		cr_expect_eq(verify(a, leaf, names[i]), X509_V_OK, "%s", names[i]);
		cr_expect_neq(verify(a, leaf, "other.test"), X509_V_OK);
		cr_expect_neq(verify(a, leaf, "10.0.0.6"), X509_V_OK);
		cr_expect(is_p256(key));
		cr_expect_eq(X509_check_private_key(leaf, key), 1);
		cr_expect_eq(X509_check_ca(leaf), 0);
		cr_expect_eq(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER);
		cr_assert(ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(leaf)));
		cr_expect(days == 0 || (days == 1 && seconds == 0), "%d", days);
		EVP_PKEY_free(key);
		X509_free(leaf);
	}
	authority_free(a);
}

Test(monitor_authority, the_cas_key_is_in_no_leaf)
{
	char *path = path_of("ca.key");
	struct authority *a = open_plain();
	struct buffer pem, key;
	struct error e;

	buffer_init(&pem, 1 << 16);
	buffer_init(&key, 1 << 16);
	cr_assert_eq(authority_mint(a, slice_from_string("db"), &pem, &e), 0);
	cr_assert_eq(file_read(path, &key, &e), 0);
	cr_assert_gt(buffer_length(&key), 100);
	/* Behind its header; the first line is the algorithm's. */
	cr_expect_null(memmem(
		buffer_slice(&pem).data, buffer_length(&pem), buffer_slice(&key).data + 93, 64));
	buffer_done(&pem);
	buffer_done(&key);
	authority_free(a);
	free(path);
}

Test(monitor_authority, what_is_no_name_gets_none)
{
	static const char *const names[] = {"", "*.example.com", "a,DNS:b", "a b", "DNS:a", "::zz",
		"a/b", "a\nb", "caf\xc3\xa9", "[::1]", "10.0.0.1/8"};
	struct authority *a = open_plain();
	char *name = memory_new(255);
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		cr_expect_null(mint(a, names[i], NULL, &r));
		cr_expect_eq(r, -EINVAL, "%s", names[i]);
	}
	memset(name, 'a', 254);
	cr_expect_null(mint(a, name, NULL, &r));
	cr_expect_eq(r, -EINVAL);
	free(name);
	authority_free(a);
}

/* --- limits --- */

static EVP_PKEY *read_key(void)
{
	char *path = path_of("ca.key");
	FILE *file = fopen(path, "re");
	EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);

	fclose(file);
	free(path);
	cr_assert_not_null(key);
	return key;
}

/* A leaf that somebody makes who has the key. */
static X509 *forge(const struct authority *a, const char *name)
{
	EVP_PKEY *key = read_key();
	X509 *ca = certificate_of(a), *leaf = X509_new();
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
	char *value = memory_format("%s:%s", address ? "IP" : "DNS", name);
	X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, value);

	cr_assert(names && X509_set_version(leaf, X509_VERSION_3) &&
		ASN1_INTEGER_set(X509_get_serialNumber(leaf), 7) &&
		X509_gmtime_adj(X509_getm_notBefore(leaf), -60) &&
		X509_gmtime_adj(X509_getm_notAfter(leaf), 60) && X509_set_pubkey(leaf, key) &&
		X509_set_issuer_name(leaf, X509_get_subject_name(ca)) &&
		X509_add_ext(leaf, names, -1) && X509_sign(leaf, key, EVP_sha256()));
	X509_EXTENSION_free(names);
	ASN1_OCTET_STRING_free(address);
	EVP_PKEY_free(key);
	X509_free(ca);
	free(value);
	return leaf;
}

static const struct limited {
	const char *limits[LIMITS_MOST];
	const char *name;
	bool right;
} limited[] = {
	{{"example.com"}, "example.com", true},
	{{"example.com"}, "a.b.example.com", true},
	{{"example.com"}, "A.EXAMPLE.com", true},
	{{"Example.COM"}, "api.example.com", true},
	{{"example.com"}, "badexample.com", false},
	{{"example.com"}, "com", false},
	{{"example.com"}, "example.com.evil.test", false},
	{{"example.com"}, "10.0.0.1", false},
	{{"example.com"}, "::1", false},
	{{"10.0.0.0/8"}, "10.255.0.1", true},
	{{"10.0.0.0/8"}, "11.0.0.1", false},
	{{"10.0.0.0/8"}, "fd00::1", false},
	{{"10.0.0.0/8"}, "example.com", false},
	{{"10.1.2.3"}, "10.1.2.3", true},
	{{"10.1.2.3"}, "10.1.2.4", false},
	{{"10.64.0.0/10"}, "10.127.0.1", true},
	{{"10.64.0.0/10"}, "10.128.0.1", false},
	{{"fd00::/9"}, "fd7f::1", true},
	{{"fd00::/9"}, "fd80::1", false},
	{{"::/0"}, "2001:db8::1", true},
	{{"::/0"}, "10.0.0.1", false},
	{{"0.0.0.0/0"}, "10.0.0.1", true},
	{{"example.com", "10.0.0.0/8", "internal", "::1"}, "db.internal", true},
	{{"example.com", "10.0.0.0/8", "internal", "::1"}, "::1", true},
	{{"example.com", "10.0.0.0/8", "internal", "::1"}, "10.9.9.9", true},
	{{"example.com", "10.0.0.0/8", "internal", "::1"}, "external", false},
	{{"example.com", "10.0.0.0/8", "internal", "::1"}, "::2", false},
};

/* What it refuses, clients would refuse as well, whoever made it; and nothing else. */
Test(monitor_authority, is_for_what_it_is_limited_to)
{
	for (size_t i = 0; i < ARRAY_SIZE(limited); i++) {
		const struct limited *t = &limited[i];
		struct authority *a = open_limited(t->limits);
		X509 *forged = forge(a, t->name), *leaf;
		int r, verified = verify(a, forged, t->name);

		leaf = mint(a, t->name, NULL, &r);
		cr_expect_eq(r, t->right ? 0 : -EPERM, "%s, %s: %d", t->limits[0], t->name, r);
		cr_expect_eq(verified == X509_V_OK, t->right, "%s, %s: %s", t->limits[0], t->name,
			X509_verify_cert_error_string(verified));
		if (!t->right)
			cr_expect(verified == X509_V_ERR_PERMITTED_VIOLATION ||
				verified == X509_V_ERR_EXCLUDED_VIOLATION);
		if (leaf)
			cr_expect_eq(verify(a, leaf, t->name), X509_V_OK);
		X509_free(leaf);
		X509_free(forged);
		authority_free(a);
		remove_folder();
		cr_assert_eq(mkdir(folder, 0700), 0);
	}
}

Test(monitor_authority, its_limits_are_critical)
{
	struct authority *a = open_limited((const char *const[]){"example.com", NULL});
	X509 *ca = certificate_of(a);
	int at = X509_get_ext_by_NID(ca, NID_name_constraints, -1);

	cr_assert_geq(at, 0);
	cr_expect(X509_EXTENSION_get_critical(X509_get_ext(ca, at)));
	X509_free(ca);
	authority_free(a);
}

/* Also the question of `wayleaved --check`, and of a reload. */
static int check(const struct limits *l, char *ret, size_t size)
{
	struct config c = {.state_dir.text = folder, .file = "wayleave.yaml"};
	struct config_ca ca = l->ca;
	struct diagnostics d;
	int r;

	ca.place = (struct place){"wayleave.yaml", 7};
	c.ca = l->ca.limit_count ? &ca : NULL;
	diagnostics_init(&d);
	r = authority_check(&c, &d);
	snprintf(ret, size, "%u %s", d.count ? d.items[0].line : 0, d.count ? d.items[0].text : "");
	cr_expect_eq(d.errors, r < 0);
	diagnostics_done(&d);
	return r;
}

static void expect_refused(const char *const *names, const char *was)
{
	struct authority *a = NULL;
	char text[700];
	struct limits l;
	struct error e;

	read_limits(&l, names);
	cr_expect_eq(authority_open(folder, l.ca.limit_count ? &l.ca : NULL, &a, &e), -EINVAL);
	cr_expect(
		strstr(e.text, was) && strstr(e.text, "move ca.pem and ca.key away"), "%s", e.text);
	cr_expect_eq(check(&l, text, sizeof(text)), -EINVAL);
	cr_expect(strstr(text, was) && text[0] == (l.ca.limit_count ? '7' : '0'), "%s", text);
}

Test(monitor_authority, other_limits_than_it_has_are_told)
{
	static const char *const has[] = {"example.com", "10.0.0.0/8", "::1", NULL};
	static const char *const order[] = {
		"::1", "EXAMPLE.com", "10.0.0.0/8", "example.com", NULL};
	static const char was[] = "was made for example.com, ::1/128, 10.0.0.0/8:";
	struct limits l;
	char text[700];

	read_limits(&l, has);
	cr_expect_eq(check(&l, text, sizeof(text)), 0, "there is none yet");
	authority_free(open_limited(has));
	authority_free(open_limited(order));
	read_limits(&l, order);
	cr_expect_eq(check(&l, text, sizeof(text)), 0, "%s", text);
	expect_refused((const char *const[]){"example.com", NULL}, was);
	expect_refused((const char *const[]){"example.com", "10.0.0.0/8", "::1", "b", NULL}, was);
	expect_refused((const char *const[]){"example.com", "10.0.0.0/9", "::1", NULL}, was);
	expect_refused((const char *const[]){NULL}, was);
}

Test(monitor_authority, one_that_is_not_limited_is_not_taken_for_one_that_is)
{
	authority_free(open_plain());
	expect_refused((const char *const[]){"example.com", NULL}, "was made for anything:");
}

Test(monitor_authority, a_long_list_of_limits_is_cut_in_the_message)
{
	const char *names[LIMITS_MOST] = {NULL};
	char room[LIMITS_MOST][64];

	for (size_t i = 0; i < LIMITS_MOST - 1; i++) {
		snprintf(room[i], sizeof(room[i]), "a-rather-long-name-of-a-domain-%zu.example.com",
			i);
		names[i] = room[i];
	}
	authority_free(open_limited(names));
	expect_refused(
		(const char *const[]){"b", NULL}, "a-rather-long-name-of-a-domain-0.example.com");
}
