/* SPDX-License-Identifier: Apache-2.0
 *
 * ssh_names: the known_hosts file by which the clients of agents know us (sshd(8)): our keys for
 * the names and addresses of the resources, before what the host's own file says. Any line that
 * fits is enough for OpenSSH, so a key of the real host that a user pinned does no harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "monitor/monitor.h"
#include "monitor/run_plan.h"

#define SSH_PORT 22
#define KNOWN_HOSTS_MOST (16u << 20)

/* "*" stands for every address whose first bytes are fixed; others have no pattern. */
static int append_prefix(const struct host *h, struct buffer *ret)
{
	const uint8_t *b = h->address.bytes + 12;
	unsigned bits = h->prefix - 96;
	int r = 0;

	if (!address_is_mapped(&h->address) || h->prefix < 96 + 8)
		return 0;
	for (unsigned i = 0; r == 0 && i < 1u << (8 - bits % 8) % 8; i++) {
		unsigned known = (bits + 7) / 8, last = known - 1;

		r = buffer_append_format(ret, "%s", buffer_length(ret) ? "," : "");
		for (unsigned j = 0; r == 0 && j < known; j++)
			r = buffer_append_format(
				ret, "%s%u", j ? "." : "", j == last ? b[j] + i : b[j]);
		if (r == 0 && known < 4)
			r = buffer_append_string(ret, ".*");
	}
	return r;
}

/* The names by which an agent may dial it: never "*" alone, which would also mean hosts that are
 * not ours. */
static int append_names(struct monitor *m, const struct host *h, struct buffer *ret)
{
	struct policy_address *known;
	size_t count;
	char text[64];
	int r = 0;

	if (h->kind == HOST_PREFIX)
		return append_prefix(h, ret);
	if (h->kind == HOST_ADDRESS) {
		ssh_address_text(h->address.bytes, text, sizeof(text));
		return buffer_append_string(ret, text);
	}
	r = buffer_append_format(
		ret, "%s%.*s", h->kind == HOST_WILDCARD ? "*" : "", SLICE_PRINT(h->name));
	count = names_take(m->names, &known);
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (!host_matches_name(h, known[i].name))
			continue;
		ssh_address_text(known[i].address.bytes, text, sizeof(text));
		r = buffer_append_format(ret, ",%s", text);
	}
	names_free_addresses(known, count);
	return r;
}

/* With a port that is not SSH's: "[name]:port"; any port: both. */
static int append_places(struct slice names, uint16_t port, struct buffer *ret)
{
	const char *comma = "";
	int r = 0;

	while (r == 0 && names.length) {
		const uint8_t *end = memchr(names.data, ',', names.length);
		struct slice name =
			slice_head(names, end ? (size_t)(end - names.data) : names.length);

		if (port == SSH_PORT || port == 0)
			r = buffer_append_format(ret, "%s%.*s", comma, SLICE_PRINT(name));
		if (port == 0)
			comma = ",";
		if (r == 0 && port == 0)
			r = buffer_append_format(ret, ",[%.*s]:*", SLICE_PRINT(name));
		else if (r == 0 && port != SSH_PORT)
			r = buffer_append_format(
				ret, "%s[%.*s]:%u", comma, SLICE_PRINT(name), port);
		comma = ",";
		names = slice_from(names, name.length + 1);
	}
	return r;
}

static int append_host(struct monitor *m, const struct host *h, struct buffer *ret)
{
	struct slice keys = buffer_slice(&m->ssh.lines);
	struct buffer names, places;
	int r;

	buffer_init(&names, SSH_TEXT_MOST);
	buffer_init(&places, SSH_TEXT_MOST);
	r = append_names(m, h, &names);
	if (r == 0)
		r = append_places(buffer_slice(&names), h->port, &places);
	while (r == 0 && buffer_length(&places) && keys.length) {
		const uint8_t *end = memchr(keys.data, '\n', keys.length);
		struct slice key = slice_head(keys, (size_t)(end - keys.data) + 1);

		r = buffer_append_format(
			ret, "%.*s %.*s", SLICE_PRINT(buffer_slice(&places)), SLICE_PRINT(key));
		keys = slice_from(keys, key.length);
	}
	buffer_done(&names);
	buffer_done(&places);
	return r;
}

static int append_all(struct monitor *m, struct buffer *ret)
{
	const struct config *c = m->config;
	struct error e;
	int r = 0;

	for (size_t i = 0; i < c->resource_count; i++) {
		for (size_t j = 0; r == 0 && c->resources[i].protocol.value == PROTOCOL_SSH &&
			j < c->resources[i].host_count;
			j++)
			r = append_host(m, &c->resources[i].hosts[j], ret);
	}
	/* What the host's own file says stays true for what is not ours. Behind ours: some
	 * libraries take the first key of a kind. */
	if (r == 0 && access(RUN_PLAN_KNOWN_HOSTS, R_OK) == 0)
		r = file_read(RUN_PLAN_KNOWN_HOSTS, ret, &e);
	return r;
}

static bool holds(const char *path, struct slice text)
{
	struct buffer old;
	struct error e;
	bool same;

	buffer_init(&old, KNOWN_HOSTS_MOST);
	same = file_read(path, &old, &e) == 0 && slice_equal(buffer_slice(&old), text);
	buffer_done(&old);
	return same;
}

/* In place: agents that run see this very file. */
static int write_known_hosts(struct monitor *m, struct slice text)
{
	int fd, r;

	if (holds(m->known_hosts, text))
		return 0;
	fd = open(m->known_hosts, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = file_write_all(fd, text);
	if (r == 0 && ftruncate(fd, (off_t)text.length) < 0)
		r = -errno;
	close(fd);
	return r;
}

int ssh_names_write(struct monitor *m, struct error *e)
{
	struct buffer text;
	int r;

	if (!m->known_hosts)
		m->known_hosts = memory_format("%s/ssh_known_hosts", m->config->runtime_dir.text);
	buffer_init(&text, KNOWN_HOSTS_MOST);
	r = append_all(m, &text);
	if (r == 0)
		r = write_known_hosts(m, buffer_slice(&text));
	buffer_done(&text);
	return r < 0 ? error_set_errno(e, r, "%s", m->known_hosts) : 0;
}
