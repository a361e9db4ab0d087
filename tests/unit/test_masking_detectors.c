/* SPDX-License-Identifier: Apache-2.0
 *
 * What each detector finds, and what it must not: docs/detectors.md in examples.
 */
#include "masking_test.h"

/* Each text is tried with that detector alone. No marks: nothing may be found. */
static void check(enum detector detector, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *text = test_unmarked(texts[i]);
		char *found = test_marked(1u << detector, slice_from_string(text));

		cr_expect_str_eq(found, texts[i], "%s: wanted %s, found %s",
			detector_name(detector), texts[i], found);
		free(text);
		free(found);
	}
}

#define CHECK(detector, ...)                                                                       \
	do {                                                                                       \
		static const char *const texts[] = {__VA_ARGS__};                                  \
		check(DETECTOR_##detector, texts, ARRAY_SIZE(texts));                              \
	} while (0)

Test(masking_detectors, credit_card_found)
{
	CHECK(CREDIT_CARD, "{{4111111111111111}}", "card {{4111111111111111}}.",
		"{{4111-1111-1111-1111}}", "{{4111 1111 1111 1111}}", "{{5555555555554444}}",
		"{{2223003122003222}}", "{{378282246310005}}", "{{3782 822463 10005}}",
		"{{3782-822463-10005}}", "{{30569309025904}}", "{{3056 930902 5904}}",
		"{{6011111111111117}}", "{{3530111333300000}}", "{{4222222222222}}",
		"{{4222 222 222 222}}", "{{6304123456782}}", "{{4111111111111111128}}",
		"{{4111 1111 1111 1111 128}}", "{{6771123456789012347}}", "{{9792121234567896}}",
		"{{2200121234567897}}");
	CHECK(CREDIT_CARD, "a {{4111111111111111}}, b {{5555555555554444}}",
		"-{{4111111111111111}}", "{{4111111111111111}}.00", "card_{{4111111111111111}}_x",
		"n°{{4111111111111111}}", "PAN{{4111111111111111}}", "#{{4111111111111111}}#",
		"{\"n\":{{4111111111111111}}}", "\\n{{4111111111111111}}\\t",
		"\\u003d{{4111111111111111}}", "q=%3D{{4111111111111111}}%26",
		"{{4.111111111111111e+15}}", "-{{4.111111111111111E+15}}",
		"${{4,111,111,111,111,111}}.00", "2024 {{4111 1111 1111 1111}}",
		"{{4111 1111 1111 1111}} 123");
}

Test(masking_detectors, credit_card_not)
{
	CHECK(CREDIT_CARD, "4111111111111112", "411111111111111", "41111111111111111",
		"1111123456789019", "7000123456789010", "0000123456789015", "3412123456789011",
		"40121234567895", "401212345678901235", "41111111111111111111111111",
		"4111-1111 1111-1111", "4111--1111-1111-1111", "41111111-11111111",
		"0.4111111111111111", "12.4111111111111111", "a4111111111111111",
		"4111111111111111f", "deadbeef4111111111111111", "1712345678901",
		"1712345678901234", "2024-01-01 12:34:56.123456", "4,111,111,111,111,11",
		"4.111111111111111e+14", "4.111111111111111e-15", "14.11111111111111e+15",
		"12345678901234567890", "", "aaaaaaaa-4111-1111-1111-1111abcdef01",
		"aaaaaaaa-4111-1111-1111-111123456789");
}

Test(masking_detectors, us_ssn_found)
{
	CHECK(US_SSN, "{{123-45-6789}}", "{{123 45 6789}}", "ssn {{123-45-6789}}.",
		"SSN{{123-45-6789}}", "({{899-99-9999}})", "{{001-01-0001}}", "n{{123-45-6789}}n",
		/* Individual Taxpayer Identification Numbers */
		"{{987-65-4321}}", "{{900-70-0001}}", "{{912-94-1234}}", "ssn={{123456789}}",
		"\"ssn\": \"{{123456789}}\"", "Social Security no. {{123456789}}",
		"{\"SSN\":{{123456789}}}", "{{123-45-6789}},{{123-45-6780}}");
}

Test(masking_detectors, us_ssn_not)
{
	CHECK(US_SSN, "000-12-3456", "666-12-3456", "900-12-3456", "987-93-4321", "123-00-4567",
		"123-45-0000", "123456789", "123-456789", "123-45 6789", "123.45.6789",
		"1123-45-6789", "123-45-67890", "1-123-45-6789", "123-45-6789-1", "2023-01-02",
		"ssn=12345678", "ssn=1234567890", "ssn=000123456", "12-34-5678", "ssn: none");
}

Test(masking_detectors, iban)
{
	CHECK(IBAN, "{{DE89370400440532013000}}", "{{GB82 WEST 1234 5698 7654 32}}",
		"{{de89 3704 0044 0532 0130 00}}", "IBAN: {{NO9386011117947}},",
		"{{FR1420041010050500013M02606}}", "{{MT84MALT011000012345MTLCAST001S}}",
		"pay {{DE89 3704 0044 0532 0130 00}} EUR", "\\n{{DE89370400440532013000}}");
	CHECK(IBAN, "DE89370400440532013001", "DE8937040044053201300", "DE893704004405320130000",
		"US281234567890123456", "XDE89370400440532013000", "ZZ89370400440532013000",
		"DE88370400440532013000", "DE90370400440532013000", "de",
		"AB12cdef0123456789abcdef");
}

Test(masking_detectors, email)
{
	CHECK(EMAIL, "{{user@example.com}}", "<{{a.b+c@sub.example.co.uk}}>", "mailto:{{a@b.de}}",
		"{{o'neil@example.org}}", "{{jörg@müller.de}}", "{{user@xn--mller-kva.de}}",
		"{{user%40example.com}}", "'{{user@example.com}}'", "{{_x-y%z@example.com}}.",
		"{{a@b.co}},{{c@d.org}}", "\"{{USER@EXAMPLE.COM}}\"", "..{{a@b.com}}..",
		"{{user@пример.рф}}", "name={{user@example.com}}&x");
	CHECK(EMAIL, "user@localhost", "@example.com", "user@", "a @ b.com", "user@.com",
		"user@example.c", "user@1.2", "100%@5", "@@", "user@example.12", "");
}

Test(masking_detectors, phone_found)
{
	CHECK(PHONE, "{{+1 212 555 0123}}", "{{+12125550123}}", "{{+1 (212) 555-0123}}",
		"{{+1-212-555-0123}}", "{{+44 20 7946 0958}}", "{{+442079460958}}",
		"{{+49 (0)30 1234567}}", "{{+49 30/1234567}}", "{{+7 495 123-45-67}}",
		"{{+380 44 123 4567}}", "{{+33.1.23.45.67.89}}", "call {{+1 212 555 0123}} now",
		"{{(212) 555-0123}}", "{{(212)555-0123}}", "{{(030) 1234567}}", "{{212-555-0123}}",
		"{{212.555.0123}}", "{{212 555 0123}}", "{{1-800-555-0199}}", "{{030 12345678}}",
		"{{0171/1234567}}", "{{020 7946 0958}}", "{{06 12 34 56 78}}", "{{07700 900123}}",
		"{{03-1234-5678}}", "{{0049 30 1234567}}", "{{00 49 30 1234567}}",
		"phone: {{2125550123}}", "\"mobile\": \"{{01711234567}}\"", "tel:{{2125550123}}",
		"fax={{12125550123}}");
}

Test(masking_detectors, phone_not)
{
	CHECK(PHONE, "2125550123", "112-555-0123", "212-5550123", "212-555-01234", "1212-555-0123",
		"212-555-0123-4", "5-212-555-0123", "212.555-0123", "+1 12 555 0123",
		"+1 212 555 012", "+0 123 456 789", "+999", "1+2125550123",
		"2024-01-02 03:04:05+00", "2024-01-02T03:04:05.123456+01:00", "01.02.2023 12:34",
		"01-02-2023 12:34", "000000012345", "0012345678901", "01234567890",
		"0.12 3456 7890", "192.168.1.100", "123.4567", "1704067200", "(12) 3456", "(0) 123",
		"phone", "phone: 12", "telescope 2125550123", "1,234,567,890",
		"3704 0044 0532 0130", "aaaaaaaa-bbbb-0039-0009-4714abcdef01");
}

Test(masking_detectors, jwt)
{
	CHECK(JWT,
		"{{eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0."
		"dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U}}",
		"{{eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.}}",
		"{{eyAidHlwIjoiSldUIiwgImFsZyI6IkhTMjU2In0.e30.c2ln}}",
		"{{ewogICJhbGciOiAiUlMyNTYiCn0.e30.c2ln}}",
		"Cookie: t={{eyJhbGciOiJub25lIn0.e30.c2ln}}; x", "{{eyJhbGciOiJub25lIn0.a.b.c.d}}",
		"x-{{eyJhbGciOiJub25lIn0.e30.c2ln}}");
	CHECK(JWT, "eyJhbGciOiJub25lIn0", "eyJhbGciOiJub25lIn0.e30", "eyJ.e30.c2ln",
		"eyJ0eXAiOiJKV1QiLCJraWQiOiIxIn0.e30.c2ln", "eyJhbGciOiJub25lIn0..c2ln",
		"aeyJhbGciOiJub25lIn0.e30.c2ln", "eyJhbGciOiJub25lIn0 .e30.c2ln");
}

Test(masking_detectors, private_key)
{
	CHECK(PRIVATE_KEY, "a {{-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----}} b",
		"{{-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----}}\\n",
		"{{-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl}}",
		"{{-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----}}",
		"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
		"{{-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----}}",
		"{{-----BEGIN PRIVATE KEY-----a-----END CERTIFICATE-----b"
		"-----END PRIVATE KEY-----}}c",
		"{{PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\nAAAA}}",
		"{{AGE-SECRET-KEY-1QQPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQG9QQ3R}}");
	CHECK(PRIVATE_KEY, "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----", "-----BEGIN ",
		"-----BEGIN-----", "BEGIN PRIVATE KEY", "----BEGIN PRIVATE KEY----");
}

Test(masking_detectors, cloud_key)
{
	CHECK(CLOUD_KEY, "{{AKIAIOSFODNN7EXAMPLE}}", "id={{ASIAIOSFODNN7EXAMPLE}};",
		"aws_secret_access_key = {{wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}}",
		"\"SecretAccessKey\": \"{{wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}}\"",
		"{{AIzaSyA1234567890abcdefghijklmnopqrstuv}}", "{{GOCSPX-abcdefghijklmnop12345}}",
		"\"private_key\": \"{{-----BEGIN PRIVATE KEY-----\\nMIIE\\n}}\"",
		"AccountKey={{Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq==}};",
		"https://x?sv=1&sig={{abcdefghij%2Bklmnopqrst%3D}}",
		"{{ghp_0123456789abcdefghijABCDEFGHIJ012345}}",
		"{{github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz}}",
		"{{glpat-abcdefghij0123456789}}", "{{npm_abcdefghijklmnopqrstuvwxyz0123456789}}",
		"{{xoxb-123456789012-abcdefABCDEF}}", "{{xapp-1-A012345678-abcdefgh}}",
		"https://hooks.slack.com/services/{{T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX}}",
		"{{sk_live_4eC39HqLyjWDarjtT1zdp7dc}}", "{{rk_test_4eC39HqLyjWDarjtT1zdp7dc}}",
		"{{sk-proj-abcdefghij0123456789}}", "{{sk-ant-api03-abcdefghij-0123456789}}",
		"{{SG.abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyz01234567890}}",
		"{{hvs.CAESIJ0123456789abcdefghijkl}}", "{{dckr_pat_abcdefghij0123456789}}",
		"{{123456789:AAabcdefghijABCDEFGHIJ0123456789012}}",
		"key={{shpat_0123456789abcdef0123456789abcdef}}",
		"OPENAI-{{sk-abcdefghij0123456789}}");
	CHECK(CLOUD_KEY, "AKIAIOSFODNN7EXAMPL", "AKIAIOSFODNN7EXAMPLEX", "XAKIAIOSFODNN7EXAMPLE",
		"ghp_short", "risk-management-and-compliance-officer", "task-12345678901234567890",
		"sk-some-long-name-of-a-thing", "key-value", "SG.", "hf_", "xoxb-", "sk_live_",
		"npm_config_registry", "AccountKey=", "whatever");
}

Test(masking_detectors, secret_found)
{
	CHECK(SECRET, "password={{hunter2}}", "PASSWORD={{hunter2}}", "password: {{hunter2}}",
		"db_password = {{a,b}}", "\"password\": \"{{a b}}\"", "\"password\":\"{{a\\\"b}}\"",
		"\\\"password\\\":\\\"{{x}}\\\"", "'passwd' => '{{x}}'", "pwd:={{x}}",
		"password%3D{{x}}", "passphrase=`{{x}}`", "user=a password='{{it''s}}' host=b",
		"ALTER ROLE a PASSWORD '{{x}}'", "identified by '{{x}}'", "--db-password {{x}} -y",
		"<password>{{x&amp;y}}</password>", "password={{$ecret}}", "password=b'{{x}}'",
		"password_hash={{x}}", "password2={{x}}", "smtpPass={{x}}", "db_pass='{{x}}'",
		"password=\"{{open}}", "PGPASSWORD={{x}};y", "password={{x}}&a=b");
	CHECK(SECRET, "api_key={{abcd}}", "apiKey: '{{abcd1234}}'", "X-Api-Key: {{abcd1234}}",
		"token={{abcdefgh}}", "access_token={{abcd}}&x", "secret: {{xyzzy1}}",
		"client_secret={{abcd}}", "credentials=\"{{abcd}}\"", "secretKey={{abcd}}",
		"Authorization: Basic {{dXNlcjpwYXNz}}",
		"\"Authorization\": \"Bearer {{abcdefgh}}\"",
		"'Authorization': 'Bearer {{abcdefgh}}'", "Authorization: Bearer {{abcdefgh}}, x",
		"bearer {{abcdefghijklmnop}}", "postgres://u:{{p}}@h/d", "redis://:{{p%40q}}@h",
		"https://{{abcdefghijklmnopqrst}}@github.com/x", "amqp://u:{{a:b}}@h",
		"{{$2b$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyz012345}}",
		"{{$6$salt$abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789"
		"abcdefghijklmn}}",
		"{{SCRAM-SHA-256$4096:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
		"BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB=}}");
}

Test(masking_detectors, secret_not)
{
	CHECK(SECRET, "password", "password=", "password: ", "password=\"\"", "password: null",
		"\"password\": true", "password=***", "password: \"[masked]\"",
		"password=${DB_PASSWORD}", "password={}", "password authentication failed for user",
		"passwords: 12", "PWD=/home/x", "pass: 10", "bypass=1", "compass: x",
		"passport: X1", "max_token=4096", "tokens=abcdefgh", "token: identifier",
		"token_type=bearer", "unexpected token }", "token=abc", "secretary: John",
		"List<Token>items", "http://host/path@x", "ssh://git@host/x", "http://a/b:c@d",
		"://", "$1$", "$6$rounds", "$2b$12$short", "bearer of news", "Authorization: none",
		"it is a secret 'x");
}

Test(masking_detectors, ip_address)
{
	CHECK(IP_ADDRESS, "{{10.0.0.1}}", "{{255.255.255.255}}:80", "host={{192.168.1.10}}/24",
		"({{127.0.0.1}}).", "{{::1}}", "{{fe80::1}}%eth0", "[{{2001:db8::1}}]:443",
		"{{2001:0db8:0000:0000:0000:ff00:0042:8329}}", "{{::ffff:10.0.0.1}}", "{{1::}}",
		"{{2001:db8::1}}.", "{{1:2:3:4:5:6:7:8}}", "\"{{10.0.0.1}}\"");
	CHECK(IP_ADDRESS, "1.2.3", "1.2.3.4.5", "0.1.2.3.4", "256.1.1.1", "1.2.3.1000", "v1.2.3.4",
		"1.2.3.4a", "::", "std::string", "a::b", "12:34:56", "00:11:22:33:44:55",
		"1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::1", "01.02.2023",
		"1..2.3.4");
}

/* What encode() and bytea show of any of them. */
Test(masking_detectors, encoded)
{
	CHECK(US_SSN, "{{MTIzLTQ1LTY3ODk=}}", "\\{{x3132332d34352d36373839}}",
		"{{3132332D34352D36373839}}", "{{0x3132332d34352d36373839}}",
		"a {{MTIzLTQ1LTY3ODk=}} b", "{\"a\":\"{{MTIzLTQ1LTY3ODk=}}\"}",
		/* twice */
		"{{TVRJekxUUTFMVFkzT0RrPQ==}}");
	CHECK(EMAIL, "{{bWFpbCB1c2VyQGV4YW1wbGUuY29t}}",
		"{{VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZyBhbmQgdGhlbiB3cml0\n"
		"ZXMgdG8gdXNlckBleGFtcGxlLmNvbSBhYm91dCBpdA==}}",
		"{{c2hvcnRAZXguaW8=}}",
		"{{VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZyBhbmQgdGhlbiB3cml0\r\n"
		"ZXMgdG8gdXNlckBleGFtcGxlLmNvbSBhYm91dCBpdA==}}");
	CHECK(SECRET, "{{cGFzc3dvcmQ9aHVudGVyMg==}}");
	CHECK(CREDIT_CARD, "{{NDExMTExMTExMTExMTExMQ==}}", "{{34313131313131313131313131313131}}");
	CHECK(EMAIL, "internationalization", "/usr/share/doc/example/README",
		"d41d8cd98f00b204e9800998ecf8427e", "AAAAAAAAAAAAAAAAAAAAAAAA");
}
