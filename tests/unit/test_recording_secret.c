/* SPDX-License-Identifier: Apache-2.0
 *
 * What is taken out of texts before they are recorded, and what is not.
 */
#include <criterion/criterion.h>
#include <time.h>

#include "base/memory.h"
#include "recording/secret.h"

static const struct row {
	const char *text, *expected; /* NULL: nothing is hidden */
	uint64_t parameters;
} rows[] = {
	{"select 1", NULL, 0},
	{"", NULL, 0},
	{"select * from users where id = 5", NULL, 0},
	/* SQL */
	{"alter role bob password 'hunter2'", "alter role bob password '[hidden]'", 0},
	{"ALTER ROLE bob WITH PASSWORD E'hun\\'ter2' LOGIN",
		"ALTER ROLE bob WITH PASSWORD E'[hidden]' LOGIN", 0},
	{"create user x password 'it''s' login", "create user x password '[hidden]' login", 0},
	{"create user x password $$secret$$ login", "create user x password $$[hidden]$$ login", 0},
	{"create user x password $a$sec$b$ret$a$;", "create user x password $a$[hidden]$a$;", 0},
	{"create user x password /* really */ 'y'",
		"create user x password /* really */ '[hidden]'", 0},
	{"create user x password -- really\n 'y'", "create user x password -- really\n '[hidden]'",
		0},
	{"create user x password 'unclosed", "create user x password '[hidden]", 0},
	{"create user x identified by 'y'", "create user x identified by '[hidden]'", 0},
	{"create user x identified  BY\n'y'", "create user x identified  BY\n'[hidden]'", 0},
	{"create user x identified with mysql_native_password by 'y'",
		"create user x identified with mysql_native_password by '[hidden]'", 0},
	{"create user x identified by password '*AB'",
		"create user x identified by password '[hidden]'", 0},
	{"set password for x = 'y'", NULL, 0},
	{"set password = 'y'", "set password = '[hidden]'", 0},
	{"set password to 'y'", "set password to '[hidden]'", 0},
	{"select crypt from u where password='y' and z='w'",
		"select crypt from u where password='[hidden]' and z='w'", 0},
	{"update u set password_hash = 'y', name = 'bob'",
		"update u set password_hash = '[hidden]', name = 'bob'", 0},
	{"update u set \"password\" = 'y'", "update u set \"password\" = '[hidden]'", 0},
	{"select u.password from u", NULL, 0},
	{"select password, name from u where name = 'bob'", NULL, 0},
	{"insert into u (password) values ('visible')", NULL, 0},
	{"select * from u where password is null and x = 'y'", NULL, 0},
	{"select * from u where password like 'abc%'",
		"select * from u where password like '[hidden]'", 0},
	/* Connection strings, also quoted within SQL */
	{"host=h password=abc dbname=d", "host=h password=[hidden] dbname=d", 0},
	{"host=h password='a b' dbname=d", "host=h password='[hidden]' dbname=d", 0},
	{"select dblink_connect('host=h password=abc')",
		"select dblink_connect('host=h password=[hidden]')", 0},
	{"select dblink('host=h password=''a b'' x=y')",
		"select dblink('host=h password=''[hidden]'' x=y')", 0},
	{"create user mapping for x server y options (user 'u', password 'p')",
		"create user mapping for x server y options (user 'u', password '[hidden]')", 0},
	{"password='' and name='bob'", NULL, 0},
	/* URLs */
	{"postgres://bob:pw@host/db", "postgres://bob:[hidden]@host/db", 0},
	{"git clone https://bob:p:w@x@host/r", "git clone https://bob:[hidden]@host/r", 0},
	{"https://host:8080/a@b", NULL, 0},
	{"https://bob@host/x", NULL, 0},
	/* JSON, shell, HTTP */
	{"{\"password\": \"p\\\"w\", \"x\": \"y\"}", "{\"password\": \"[hidden]\", \"x\": \"y\"}",
		0},
	{"mysql --password=pw -e x", "mysql --password=[hidden] -e x", 0},
	{"POST /login?user=x&passwd=y&z=1", "POST /login?user=x&passwd=[hidden]&z=1", 0},
	{"cd /x && pwd; ls", NULL, 0},
	{"export PWD", NULL, 0},
	/* Two in one text */
	{"a password 'x' b password 'y' c", "a password '[hidden]' b password '[hidden]' c", 0},
	/* Parameters */
	{"update u set password = $2 where id = $1", NULL, 2},
	{"update u set password = crypt($1, gen_salt('bf'))", NULL, 1},
	{"update u set password = crypt('x', gen_salt('bf'))",
		"update u set password = crypt('[hidden]', gen_salt('bf'))", 0},
	{"update u set password = lower(upper( 'x' ))",
		"update u set password = lower(upper( '[hidden]' ))", 0},
	{"select $1, password = $64", NULL, SECRET_ALL_PARAMETERS},
	{"update u set password = ? where id = ?", NULL, SECRET_ALL_PARAMETERS},
	{"select $1 from t", NULL, 0},
};

Test(secret, table)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct secret_found found;
		struct buffer out;

		buffer_init(&out, 10000);
		cr_assert_eq(secret_hide(slice_from_string(rows[i].text), &out, &found), 0);
		if (rows[i].expected)
			cr_expect(slice_equal_string(buffer_slice(&out), rows[i].expected),
				"%s: got %.*s", rows[i].text, SLICE_PRINT(buffer_slice(&out)));
		else
			cr_expect(buffer_length(&out) == 0, "%s: got %.*s", rows[i].text,
				SLICE_PRINT(buffer_slice(&out)));
		cr_expect_eq(found.hidden, rows[i].expected != NULL, "%s", rows[i].text);
		cr_expect_eq(found.parameters, rows[i].parameters, "%s", rows[i].text);
		buffer_done(&out);
	}
}

/* Every beginning of every text, so that no end of text is read past (under the sanitizers), and
 * hiding what is hidden changes nothing. */
Test(secret, every_prefix)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct slice text = slice_from_string(rows[i].text);

		for (size_t n = 0; n <= text.length; n++) {
			uint8_t *copy = (uint8_t *)memory_copy_text(text.data, n);
			struct secret_found found;
			struct buffer out;

			copy = realloc(copy, n ? n : 1);
			buffer_init(&out, 10000);
			cr_assert_eq(secret_hide(slice_of(copy, n), &out, &found), 0);
			buffer_done(&out);
			free(copy);
		}
	}
}

/* Texts that invite work of the square of their length: seconds would be minutes. */
Test(secret, takes_linear_time)
{
	static const char *const repeated[] = {"identified/*", "identified--", "password /*",
		"password $", "pwd ''x", "://a:b", "password=\\", "identified by ", "passwd$a", "i",
		"' ", "password $a$b", "password=a(", "a("};

	for (size_t i = 0; i < ARRAY_SIZE(repeated); i++) {
		size_t length = strlen(repeated[i]), size = 4 << 20;
		char *text = malloc(size);
		struct secret_found found;
		struct buffer out;
		clock_t start = clock();

		for (size_t n = 0; n < size; n++)
			text[n] = repeated[i][n % length];
		memcpy(text, "password=", 9);
		buffer_init(&out, 8 * size);
		cr_assert_eq(secret_hide(slice_of(text, size), &out, &found), 0);
		cr_expect_lt((double)(clock() - start) / CLOCKS_PER_SEC, 2.0, "%s", repeated[i]);
		buffer_done(&out);
		free(text);
	}
}
