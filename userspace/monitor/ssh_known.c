/* SPDX-License-Identifier: Apache-2.0
 *
 * ssh_known: lines for the host's own known_hosts file, where an administrator wants them there:
 * our keys for the resources by name or address, and the real hosts' keys beside them, by which
 * everybody else goes on to know those hosts. Every line ends in SSH_KNOWN_MARK.
 */
#include <errno.h>

#include "base/file.h"
#include "monitor/control.h"
#include "monitor/monitor.h"

#define SSH_PORT 22

static int append_place(struct slice host, uint16_t port, struct buffer *ret)
{
	const char *comma = buffer_length(ret) ? "," : "";

	return port == SSH_PORT || port == 0
		? buffer_append_format(ret, "%s%.*s", comma, SLICE_PRINT(host))
		: buffer_append_format(ret, "%s[%.*s]:%u", comma, SLICE_PRINT(host), port);
}

/* Of one resource. A prefix or pattern would also mean hosts that are not ours, which nobody would
 * get into any more whose key is not known yet. */
static int append_places(const struct config_resource *r, struct buffer *ret)
{
	char room[64];
	int result = 0;

	for (size_t i = 0; result == 0 && i < r->host_count; i++) {
		const struct host *h = &r->hosts[i];

		if (h->kind == HOST_NAME)
			result = append_place(h->name, h->port, ret);
		else if (h->kind == HOST_ADDRESS)
			result = append_place(slice_from_string(ssh_address_text(
						      h->address.bytes, room, sizeof(room))),
				h->port, ret);
	}
	return result;
}

static int append_line(struct slice hosts, struct slice key, struct buffer *ret)
{
	return buffer_append_format(
		ret, "%.*s %.*s " SSH_KNOWN_MARK "\n", SLICE_PRINT(hosts), SLICE_PRINT(key));
}

static struct slice take_until(struct slice *rest, const char *ends)
{
	size_t n = 0;
	struct slice part;

	while (n < rest->length && (!rest->data[n] || !strchr(ends, rest->data[n])))
		n++;
	part = slice_head(*rest, n);
	*rest = slice_from(*rest, n + 1);
	return part;
}

static struct slice take_word(struct slice *line)
{
	struct slice word = SLICE_EMPTY;

	while (word.length == 0 && line->length)
		word = take_until(line, " \t\r");
	return word;
}

/* Whether one of the patterns names nothing by itself: "*", "*.*", "[*]:2222". */
static bool is_for_all(struct slice hosts)
{
	while (hosts.length) {
		struct slice pattern = take_until(&hosts, ",");
		struct slice host = take_until(&pattern, "]");
		bool plain = true;

		for (size_t i = 0; i < host.length && plain; i++)
			plain = strchr("*?.[!", host.data[i]);
		if (plain)
			return true;
	}
	return false;
}

/* One of `host_keys`, without its comment: what it says of all hosts is said of ours alone. Who
 * knows a host by its authority has to have that beside our keys. */
static int append_real(struct slice line, struct slice places, struct buffer *ret)
{
	struct slice first = take_word(&line);
	bool signs = slice_equal_string(first, "@cert-authority");
	struct slice hosts = signs ? take_word(&line) : first;
	struct slice type = take_word(&line), key = take_word(&line);
	struct slice both =
		slice_of(type.data, key.length ? (size_t)(key.data - type.data) + key.length : 0);
	int r = 0;

	if (hosts.length == 0 || strchr("#@", hosts.data[0]) || both.length == 0)
		return 0;
	if (signs)
		r = buffer_append_string(ret, "@cert-authority ");
	return r < 0 ? r : append_line(is_for_all(hosts) ? places : hosts, both, ret);
}

static int append_file(const char *path, struct slice places, struct buffer *ret)
{
	struct buffer text;
	struct error e;
	struct slice rest;
	int r;

	buffer_init(&text, LIMIT_HOST_KEYS_BYTES);
	r = file_read(path, &text, &e);
	rest = buffer_slice(&text);
	while (r == 0 && rest.length)
		r = append_real(take_until(&rest, "\n"), places, ret);
	buffer_done(&text);
	return r;
}

static int append_resource(
	struct monitor *m, const struct config_resource *from, struct buffer *ret)
{
	struct slice keys = buffer_slice(&m->ssh.lines);
	struct buffer places;
	int r;

	buffer_init(&places, CONTROL_PAYLOAD_MOST);
	r = append_places(from, &places);
	while (r == 0 && buffer_length(&places) && keys.length)
		r = append_line(buffer_slice(&places), take_until(&keys, "\n"), ret);
	if (r == 0 && buffer_length(&places) && from->host_keys.text)
		r = append_file(from->host_keys.text, buffer_slice(&places), ret);
	buffer_done(&places);
	return r;
}

int ssh_known_append(struct monitor *m, struct buffer *ret, struct error *e)
{
	const struct config *c = m->config;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->resource_count; i++) {
		if (c->resources[i].protocol.value == PROTOCOL_SSH)
			r = append_resource(m, &c->resources[i], ret);
	}
	return r < 0 ? error_set_errno(e, r, "the lines of known_hosts") : 0;
}
