/* SPDX-License-Identifier: Apache-2.0
 *
 * pinning: what workers say that agents' name servers answered (policy/pinned.h). An agent chooses
 * whom it asks: only what the host's own resolvers say is believed, and only of names that
 * resources have. A worker is believed in that the answer was there: one that was taken over could
 * as well connect wherever it likes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "capture/resolvers.h"
#include "monitor/monitor.h"
#include "policy/pinned.h"

#define PIN_FILE "pinned"

/* Without the file everything works but a start: that is no reason not to. */
static void open_file(struct monitor *m)
{
	char *path = memory_format("%s/" PIN_FILE, m->config->state_dir.text);
	struct error e;

	if (pin_file_open(&m->pin_file, path, m->pinned, clock_monotonic(), &e) < 0)
		log_warning("what agents are answered by name servers is not kept: %s", e.text);
	free(path);
}

int pinning_open(struct monitor *m, struct error *e)
{
	size_t size = sizeof(struct pinned_table);

	m->pinned_fd = memfd_create("wayleave-pinned", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->pinned_fd < 0 || ftruncate(m->pinned_fd, (off_t)size) < 0)
		return error_set_errno(e, -errno, "memfd_create");
	m->pinned = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->pinned_fd, 0);
	if (m->pinned == MAP_FAILED) {
		m->pinned = NULL;
		return error_set_errno(e, -errno, "mmap");
	}
	/* The mapping that is there stays writable; no other one becomes so (kernel 5.1). */
	if (fcntl(m->pinned_fd, F_ADD_SEALS,
		    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		return error_set_errno(e, -errno, "F_SEAL_FUTURE_WRITE");
	open_file(m);
	return 0;
}

void pinning_close(struct monitor *m)
{
	pin_file_close(&m->pin_file);
}

size_t pinning_read_resolvers(struct monitor *m, struct address *ret)
{
	struct resolvers known;
	size_t count = 0;

	m->resolvers_version = resolvers_version();
	resolvers_read(&known);
	for (size_t i = 0; i < known.count && count < PINNED_RESOLVERS_MOST; i++)
		count += address_parse(known.items[i].text, &ret[count]) == 0;
	if (m->pinned)
		pinned_set_resolvers(m->pinned, ret, count);
	return count;
}

bool pinning_is_stale(const struct monitor *m)
{
	return m->resolvers_version != resolvers_version();
}

static bool is_resolver(const uint8_t server[16])
{
	struct resolvers known;

	resolvers_read(&known);
	for (size_t i = 0; i < known.count; i++) {
		struct address address;

		if (address_parse(known.items[i].text, &address) == 0 &&
			memcmp(address.bytes, server, sizeof(address.bytes)) == 0)
			return true;
	}
	return false;
}

/* Another network namespace has a loopback of its own, which may be the agent's. */
static bool is_believed(const struct message_pin *pin)
{
	static const uint8_t v6[16] = {[15] = 1},
			     mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};

	if (pin->network &&
		(memcmp(pin->server, v6, sizeof(v6)) == 0 ||
			memcmp(pin->server, mapped, sizeof(mapped)) == 0))
		return false;
	return is_resolver(pin->server);
}

static bool is_agent(const struct config *c, uint32_t id)
{
	for (size_t i = 0; i < c->agent_count; i++) {
		if (c->agents[i].id == id)
			return true;
	}
	return false;
}

static bool is_named(const struct config *c, struct slice name)
{
	for (size_t i = 0; i < c->resource_count; i++) {
		for (size_t j = 0; j < c->resources[i].host_count; j++) {
			if (host_matches_name(&c->resources[i].hosts[j], name))
				return true;
		}
	}
	return false;
}

static int put(struct monitor *m, uint32_t agent, const char *name, const struct address *address,
	uint64_t until)
{
	uint32_t at;
	int r = pinned_put(m->pinned, agent, name, address, clock_monotonic(), until, &at), kept;

	if (r < 0)
		return r;
	kept = pin_file_put(&m->pin_file, m->pinned, at);
	if (kept < 0 && !m->pin_file.failed)
		log_warning("what agents are answered by name servers can't be kept: %s",
			strerror(-kept));
	m->pin_file.failed = kept < 0;
	return 0;
}

void pinning_take(
	struct monitor *m, const struct message_pin *pin, struct slice addresses, struct slice name)
{
	uint64_t now = clock_monotonic();
	char text[PINNED_NAME_SIZE];
	int r = 0;

	if (name.length == 0 || name.length >= sizeof(text) || !is_agent(m->config, pin->agent) ||
		!is_named(m->config, name) || !is_believed(pin))
		return;
	snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(name));
	for (size_t at = 0; r == 0 && at < addresses.length;
		at += sizeof(struct message_pin_address)) {
		struct message_pin_address one;
		struct address address;
		uint64_t seconds;

		memcpy(&one, addresses.data + at, sizeof(one));
		memcpy(address.bytes, one.bytes, sizeof(address.bytes));
		seconds =
			one.lifetime < LIMIT_PINNED_LIFETIME ? one.lifetime : LIMIT_PINNED_LIFETIME;
		r = put(m, pin->agent, text, &address,
			now + (seconds + LIMIT_PINNED_KEPT) * NANOSECONDS_PER_SECOND);
	}
	if (r < 0)
		log_warning("%s: too many addresses were looked up to remember this one", text);
}
