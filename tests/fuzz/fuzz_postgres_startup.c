/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_postgres_startup: any bytes as the first packets, the authentication and the login, from
 * either side, with and without TLS, with the agent's credentials or the host's. Nothing but
 * well-formed messages leaves for the server, what was asked for beyond a plain session only after
 * its release, and of the host's password nothing to where it may not go.
 */
#include "base/bytes.h"
#include "protocol/postgres/startup.h"
#include "tests/fuzz/postgres_input.h"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: fuzz.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"rules:\n"
	"  - name: read\n"
	"    operations: [read, replication]\n"
	"    allow: { mask: [{ detect: [email], with: hash }] }\n";

#define USER "app_ro"
#define PASSWORD "kX9#the-secret-of-the-host"

static bool contains(const struct buffer *b, const char *text)
{
	struct slice all = buffer_slice(b);

	return all.length && memmem(all.data, all.length, text, strlen(text));
}

/* Whether what the server got is no StartupMessage, or one in the host's name. */
static bool starts_as_host(struct slice packets)
{
	static const uint8_t tls_request[] = {0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f};
	struct pg_startup startup;
	struct arena arena;
	bool right = true;

	if (slice_starts_with(packets, slice_of(tls_request, sizeof(tls_request))))
		packets = slice_from(packets, sizeof(tls_request));
	if (packets.length < 8)
		return true;
	packets = slice_from(slice_head(packets, bytes_get_u32(packets.data)), 4);
	arena_init(&arena, 1 << 20);
	if (pg_startup_parse(packets, &arena, &startup) == 0)
		right = slice_equal_string(startup.user, USER);
	arena_done(&arena);
	return right;
}

/* A session that the host logs in. What the server itself says may be anything. */
static void check_injected(const struct engine_run *run, const struct buffer *server_said)
{
	const struct buffer *to_server = &run->sent[SIDE_SERVER];

	postgres_input_check(
		!contains(&run->sent[SIDE_AGENT], PASSWORD) || contains(server_said, PASSWORD),
		"the agent was told the host's password");
	postgres_input_check(run->bench->allow_cleartext ||
			contains(&run->events, "! tls server") || !contains(to_server, PASSWORD),
		"the password left in clear");
	postgres_input_check(
		starts_as_host(buffer_slice(to_server)), "a login in the name of somebody else");
}

/* What of it is the server's goes to `server_said`, too. */
static void feed(struct engine_run *run, struct slice in, struct buffer *server_said)
{
	enum postgres_input_kind kind;
	struct slice bytes;

	while (postgres_input_next(&in, &kind, &bytes)) {
		switch (kind) {
		case POSTGRES_INPUT_AGENT_END:
			engine_run_end(run, SIDE_AGENT);
			break;
		case POSTGRES_INPUT_SERVER_END:
			engine_run_end(run, SIDE_SERVER);
			break;
		case POSTGRES_INPUT_AGENT:
			engine_run_feed(run, SIDE_AGENT, bytes);
			break;
		default:
			if (buffer_append(server_said, bytes.data, bytes.length) < 0)
				return;
			engine_run_feed(run, SIDE_SERVER, bytes);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct engine_bench bench;
	struct engine_guard guard;
	struct engine_run run;
	struct buffer server_said;
	size_t before;

	if (size < 2)
		return 0;
	if (!bench.scope)
		engine_bench_init(&bench, policy);
	bench.upstream_tls = data[0] % 3;
	bench.user = data[0] & 64 ? USER : NULL;
	bench.password = data[0] & 128 ? NULL : PASSWORD;
	bench.allow_cleartext = data[0] & 1;
	bench.identity = bench.user ? "wayleave:demo" : NULL;
	before = __sanitizer_get_current_allocated_bytes();
	engine_guard_init(&guard);
	engine_run_init(&run, &bench, &guard.watch);
	run.fail_tls = data[0] >> 2 & 3; /* neither side's handshake, or one's */
	if (data[0] & 16)
		engine_run_abort(&run, REASON_UPSTREAM_UNREACHABLE);
	else if (!(data[0] & 32))
		engine_run_connected(&run);
	buffer_init(&server_said, size);
	feed(&run, slice_of(data + 1, size - 1), &server_said);
	if (data[0] & 32 && !(data[0] & 16) && !run.closed)
		engine_run_connected(&run);
	postgres_input_check_guard(&guard);
	if (bench.user)
		check_injected(&run, &server_said);
	buffer_done(&server_said);
	postgres_input_check_memory(before);
	engine_run_done(&run);
	engine_guard_done(&guard);
	return 0;
}
