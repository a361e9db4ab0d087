/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements that run as another role: what tests of them share. The agent logs in as app_ro.
 */
#include "postgres_played.h"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources:\n"
	"    - name: shop\n"
	"      protocol: postgres\n"
	"      hosts: [\"127.0.0.1:5432\"]\n"
	"      credentials: { user: app_ro, password_file: /secret }\n"
	"rules:\n"
	"  - { name: reads, operations: [select], objects: [public.orders],\n"
	"      allow: { as: \"the \\\"reader\\\"\" } }\n"
	"  - { name: writes, operations: [insert, copy_in, delete, truncate],\n"
	"      objects: [public.orders], allow: { as: app_rw } }\n"
	"  - { name: shows, operations: [show], allow: { as: \"the \\\"reader\\\"\" } }\n"
	"  - { name: cursors, operations: [cursor, set_role], allow: {} }\n";

#define INSERT "insert into orders values (1)"
#define SET_WRITER "SET ROLE \"app_rw\""
#define SET_NONE "SET ROLE NONE"
#define CHECK_PATH                                                                                 \
	"SELECT 1 OPERATOR(pg_catalog./) (pg_catalog.current_schemas(true)::pg_catalog.text[] "    \
	"OPERATOR(pg_catalog.=) ARRAY[E'pg_catalog',E'public']::pg_catalog.text[])"                \
	"::pg_catalog.int4"
#define SET_REPLIES "3312C33"
#define CHECK_REPLIES "3312DC33"
#define TAKEN SET_REPLIES CHECK_REPLIES

static inline void role_set_up(void)
{
	engine_bench_init(&bench, policy);
	bench.user = "app_ro";
	bench.password = "the secret";
	bench.upstream_tls = UPSTREAM_TLS_OFF;
	played_log_in("app_ro (app_ro)");
}

/* --- the two ends --- */

/* One message per letter. An error is of the state `code`. */
static inline void server_says(const char *types, const char *code)
{
	static const char *const one[] = {"1"};
	struct buffer b, error;

	buffer_init(&b, 65536);
	buffer_init(&error, 1024);
	buffer_append(&error, "SERROR\0VERROR\0C", 15);
	pg_put_string(&error, slice_from_string(code));
	buffer_append(&error, "Mthe server says no\0\0", 21);
	for (; *types; types++) {
		switch (*types) {
		case 'D':
			add_row(&b, one, 1);
			break;
		case 'C':
			add(&b, 'C', BYTES("DONE 1\0"));
			break;
		case 'E':
			add(&b, 'E', buffer_slice(&error));
			break;
		case 'I':
		case 'X': /* ReadyForQuery in a failed transaction */
			add(&b, 'Z', slice_of(*types == 'X' ? "E" : types, 1));
			break;
		case 'T':
			/* In a row description: no columns. In front of nothing else: ready. */
			if (types[1] == 'D')
				add(&b, 'T', BYTES("\0\0"));
			else
				add(&b, 'Z', BYTES("T"));
			break;
		case 'G':
			add(&b, 'G', BYTES("\0\0\1\0\0"));
			break;
		case 'N':
			add(&b, 'N', BYTES("SLOG\0VLOG\0C00000\0Mour own text\0\0"));
			break;
		default:
			add(&b, (uint8_t)*types, SLICE_EMPTY);
		}
	}
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	played_check();
	buffer_done(&error);
	buffer_done(&b);
}

/* The types of the messages that left for a side since last asked, and what is in order with SET:
 * "[app_rw]" for the messages that take or put back a role. */
static inline const char *left(enum side to)
{
	static char room[512];
	struct slice s = buffer_slice(&run.sent[to]);
	struct pg_header header;
	size_t n = 0;

	while (pg_header_get(s, &header) && n < sizeof(room) - 1) {
		room[n++] = (char)header.type;
		s = slice_from(s, PG_HEADER_SIZE + header.length);
	}
	room[n] = '\0';
	buffer_clear(&run.sent[to]);
	return room;
}

#define EXPECT_LEFT(to, expected)                                                                  \
	do {                                                                                       \
		const char *left_ = left(to);                                                      \
		cr_expect_str_eq(left_, expected, "line %d: %s", __LINE__, left_);                 \
	} while (0)

static inline void put_string_message(
	uint8_t type, const char *name, const char *text, size_t zeros)
{
	static const uint8_t nothing[8];
	struct buffer b;
	size_t mark;

	buffer_init(&b, 4096);
	pg_begin(&b, type, &mark);
	if (name)
		pg_put_string(&b, slice_from_string(name));
	if (text)
		pg_put_string(&b, slice_from_string(text));
	buffer_append(&b, nothing, zeros);
	pg_end(&b, mark);
	agent(buffer_slice(&b));
	buffer_done(&b);
}

static inline void parse(const char *text)
{
	put_string_message('P', "", text, 2);
}

static inline void bind(const char *portal)
{
	put_string_message('B', portal, "", 6);
}

static inline void describe(const char *portal)
{
	char named[32] = "P";

	strcat(named, portal);
	put_string_message('D', named, NULL, 0);
}

static inline void execute(const char *portal)
{
	put_string_message('E', portal, NULL, 4);
}

static inline void sync_now(void)
{
	put_string_message('S', NULL, NULL, 0);
}

static inline bool told(const char *text)
{
	struct slice s = buffer_slice(&run.sent[SIDE_AGENT]);

	return s.length && memmem(s.data, s.length, text, strlen(text));
}

/* Each group of ours for the server. */
#define SETS "CCPBECC"
#define TAKES SETS SETS

static inline void log_in_again(const char *role)
{
	engine_run_done(&run);
	engine_guard_done(&guard);
	sql_catalog_put(bench.names);
	played_log_in(role);
}
