/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_postgres_wire: any bytes from either side of a session that has logged in, under rules with
 * masks, under rules that ask for no facts, where all is only observed, and where much runs as
 * another role. What leaves for the
 * server must be well-formed and released; the same must come out however the bytes are cut; and
 * memory stays bounded.
 */
#include "base/limits.h"
#include "base/memory.h"
#include "protocol/sql/catalog.h"
#include "tests/fuzz/postgres_input.h"

#define ENDS                                                                                       \
	"  agents: [{ name: demo, cgroup: fuzz.slice/demo }]\n"                                    \
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"         \
	"  reviewers: { dba: { local_users: [root] } }\n"

#define MASKING                                                                                    \
	"rules:\n"                                                                                 \
	"  - name: read\n"                                                                         \
	"    operations: [read, cursor, copy_out, function]\n"                                     \
	"    allow:\n"                                                                             \
	"      record: rows\n"                                                                     \
	"      mask:\n"                                                                            \
	"        - { columns: [\"public.customers.ssn\"], with: redact }\n"                        \
	"        - { columns: [\"public.customers.card\"], with: partial }\n"                      \
	"        - { detect: [email, credit_card], with: hash }\n"                                 \
	"  - name: write orders\n"                                                                 \
	"    operations: [insert, update, copy_in, function_call, set]\n"                          \
	"    objects: [\"public.orders\"]\n"                                                       \
	"    allow: {}\n"                                                                          \
	"  - name: deletes need a person\n"                                                        \
	"    operations: [delete, merge]\n"                                                        \
	"    review: { by: dba, mask: [{ columns: [\"public.customers.ssn\"], with: redact }] }\n" \
	"  - name: no schema changes\n"                                                            \
	"    operations: [ddl]\n"                                                                  \
	"    deny: { message: no }\n"

#define ROLES                                                                                      \
	"  agents: [{ name: demo, cgroup: fuzz.slice/demo }]\n"                                    \
	"  resources:\n"                                                                           \
	"    - { name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"],\n"                   \
	"        credentials: { user: app, password_file: /unused } }\n"                           \
	"rules:\n"                                                                                 \
	"  - { name: read, operations: [read, cursor, set_role], allow: {} }\n"                    \
	"  - name: write\n"                                                                        \
	"    operations: [write, function]\n"                                                      \
	"    allow: { as: writer, mask: [{ columns: [\"public.customers.ssn\"], with: hash }] }\n" \
	"  - name: all the customers\n"                                                            \
	"    operations: [select]\n"                                                               \
	"    objects: [\"public.customers\"]\n"                                                    \
	"    allow: { as: reader, record: rows }\n"

static const char *const policies[] = {
	"config:\n" ENDS MASKING,
	"config:\n" ENDS "rules: [{ name: all, operations: [\"*\"], allow: {} }]\n",
	"config:\n  mode: observe\n" ENDS MASKING,
	"config:\n" ROLES,
};
#define POLICY_ROLES 3

/* The OIDs are those of the transcripts that the corpus was made of. */
static const struct {
	size_t query;
	const char *values[5];
} known_rows[] = {
	{0, {"1259", "pg_catalog", "pg_class", "r", "33"}},
	{0, {"16388", "public", "customers", "r", "5"}},
	{0, {"16393", "public", "orders", "r", "4"}},
	{0, {"16398", "public", "secrets", "r", "2"}},
	{1, {"16388", "1", "id", "23", "-1"}},
	{1, {"16388", "2", "name", "25", "-1"}},
	{1, {"16388", "3", "email", "25", "-1"}},
	{1, {"16388", "4", "ssn", "25", "-1"}},
	{1, {"16388", "5", "card", "25", "-1"}},
	{1, {"16393", "1", "id", "23", "-1"}},
	{1, {"16393", "2", "customer", "23", "-1"}},
	{1, {"16393", "3", "item", "25", "-1"}},
	{1, {"16393", "4", "amount", "1700", "-1"}},
	{1, {"16398", "1", "id", "23", "-1"}},
	{1, {"16398", "2", "value", "25", "-1"}},
};

static struct sql_catalog *known_names(void)
{
	struct sql_catalog *c = sql_catalog_new(LIMIT_CATALOG_BYTES);

	for (size_t i = 0; i < ARRAY_SIZE(known_rows); i++) {
		size_t query = known_rows[i].query;
		struct slice values[5];

		for (size_t j = 0; j < 5; j++)
			values[j] = slice_from_string(known_rows[i].values[j]);
		postgres_input_check(sql_catalog_add_row(c, query, values,
					     sql_catalog_queries[query].columns) == 0,
			"the known names");
	}
	postgres_input_check(sql_catalog_finish(c) == 0, "the known names");
	return c;
}

/* Each of them twice: with previews that are given up and grants that come and go, too. */
#define POLICIES (sizeof(policies) / sizeof(policies[0]))
static struct engine_bench benches[2 * POLICIES];

static void set_up(void)
{
	if (benches[0].scope)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(benches); i++) {
		engine_bench_init(&benches[i], policies[i % POLICIES]);
		benches[i].names = known_names();
		benches[i].restless = i >= POLICIES;
		if (i % POLICIES != POLICY_ROLES)
			continue;
		benches[i].user = "app";
		benches[i].upstream_tls = UPSTREAM_TLS_OFF;
	}
}

#define BYTES(text) slice_of(text, sizeof(text) - 1)

/* The login without a password, and the reply to the lookup of the session's own path. Unless the
 * server told the encoding, that is what the reply tells, and the rest is asked again. */
static void add_login(struct transcript *t, bool looks_up, bool tells_encoding)
{
	transcript_add(
		t, SIDE_AGENT, BYTES("\0\0\0\x20\0\x03\0\0user\0app\0database\0shop\0\0"), false);
	if (tells_encoding)
		transcript_add(t, SIDE_SERVER,
			BYTES("R\0\0\0\x08\0\0\0\0"
			      "S\0\0\0\x19"
			      "client_encoding\0UTF8\0"
			      "K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\x05I"),
			false);
	else
		transcript_add(t, SIDE_SERVER,
			BYTES("R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\x05I"),
			false);
	transcript_complete(t);
	if (!looks_up)
		return;
	transcript_add(t, SIDE_SERVER,
		BYTES("1\0\0\0\x04"
		      "2\0\0\0\x04"
		      "D\0\0\0\x19\0\x02\0\0\0\x01p\0\0\0\x0apg_catalog"
		      "D\0\0\0\x15\0\x02\0\0\0\x01p\0\0\0\x06public"
		      "D\0\0\0\x11\0\x02\0\0\0\x01s\0\0\0\x02on"
		      "D\0\0\0\x13\0\x02\0\0\0\x01"
		      "e\0\0\0\x04UTF8"
		      "D\0\0\0\x18\0\x02\0\0\0\x01"
		      "u\0\0\0\x09"
		      "app (app)"
		      "C\0\0\0\x0dSELECT 5\0"
		      "3\0\0\0\x04"
		      "3\0\0\0\x04Z\0\0\0\x05I"),
		false);
	transcript_complete(t);
}

static void add_steps(struct transcript *t, struct slice in)
{
	enum postgres_input_kind kind;
	struct slice bytes;

	while (postgres_input_next(&in, &kind, &bytes)) {
		bool agent = kind == POSTGRES_INPUT_AGENT || kind == POSTGRES_INPUT_AGENT_END;
		bool end = kind == POSTGRES_INPUT_AGENT_END || kind == POSTGRES_INPUT_SERVER_END;

		transcript_add(t, agent ? SIDE_AGENT : SIDE_SERVER, end ? SLICE_EMPTY : bytes, end);
		transcript_complete(t);
	}
}

struct cut {
	size_t before; /* memory allocated before the session */
	size_t piece; /* 0: whole */
};

static size_t cut(void *context, size_t left)
{
	const struct cut *c = context;

	postgres_input_check_memory(c->before);
	return c->piece && c->piece < left ? c->piece : left;
}

static int run(struct transcript *t, const struct engine_bench *bench, size_t piece, bool bless,
	struct buffer *found)
{
	struct cut context = {__sanitizer_get_current_allocated_bytes(), piece};
	struct engine_guard guard;
	int wrong;

	engine_guard_init(&guard);
	wrong = transcript_run(t, bench, &guard.watch, cut, &context, bless, found);
	postgres_input_check_guard(&guard);
	engine_guard_done(&guard);
	return wrong;
}

static bool says(const struct buffer *lines, const char *text)
{
	struct slice s = buffer_slice(lines);

	return s.length && memmem(s.data, s.length, text, strlen(text));
}

/* The first line, with its end; *s goes on behind it. */
static struct slice take_line(struct slice *s)
{
	const uint8_t *end = s->length ? memchr(s->data, '\n', s->length) : NULL;
	size_t length = end ? (size_t)(end - s->data) + 1 : s->length;
	struct slice line = slice_of(s->data, length);

	*s = slice_from(*s, length);
	return line;
}

/* Whether nothing but some lines of `all` is missing in `some`. */
static bool lacks_lines_only(struct slice some, struct slice all)
{
	while (some.length) {
		struct slice line = take_line(&some);

		do {
			if (!all.length)
				return false;
		} while (!slice_equal(take_line(&all), line));
	}
	return true;
}

/* What an agent sent while it had to wait gets its turn at the reply that ends the wait, before or
 * after what the server sent behind that reply. Where one of the two is a violation, which ends the
 * session, both orders are right: where it is the server's, the agent's message may be one itself
 * or be never reached; where it is the agent's, what the server sent behind may be missing. And
 * where the agent's message left first, what was an answer that nobody asked for is the one to it:
 * nothing but its time tells an early answer from one. */
static bool is_other_order(const struct buffer *whole, const struct buffer *found)
{
	bool ends = says(whole, "! violation");

	if (ends != says(found, "! violation"))
		return says(ends ? whole : found, "! violation server") &&
			says(ends ? found : whole, "\n>S ");
	if (!ends)
		return false;
	return says(whole, "! violation server") || says(found, "! violation server") ||
		lacks_lines_only(buffer_slice(found), buffer_slice(whole));
}

static void check_same(const struct transcript *t, int wrong, const struct buffer *found)
{
	const struct buffer *whole;

	if (wrong < 0)
		return;
	whole = &t->steps[wrong].expected;
	if (is_other_order(whole, found))
		return;
	fprintf(stderr, "step %d\n--- whole\n%.*s\n--- in pieces\n%.*s\n", wrong,
		SLICE_PRINT(buffer_slice(whole)), SLICE_PRINT(buffer_slice(found)));
	postgres_input_check(false, "what comes out depends on how the bytes are cut");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct engine_bench *bench;
	struct transcript t;
	struct buffer found, *logged_in;
	int wrong;

	if (size < 2)
		return 0;
	set_up();
	bench = &benches[data[0] % ARRAY_SIZE(benches)];
	transcript_init(&t);
	add_login(&t, policy_scope_needs(bench->scope) != 0, bench->user != NULL);
	add_steps(&t, slice_of(data + 1, size - 1));
	run(&t, bench, 0, true, NULL);
	logged_in = &t.steps[policy_scope_needs(bench->scope) ? 2 : 1].expected;
	postgres_input_check(buffer_length(logged_in) > 0 && says(&t.steps[1].expected, "! login "),
		"the login is not what it was");
	buffer_init(&found, 256u << 20);
	wrong = run(&t, bench, 1 + data[0] / 8, false, &found);
	check_same(&t, wrong, &found);
	buffer_done(&found);
	transcript_done(&t);
	return 0;
}
