/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/tunnel.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/memory.h"
#include "protocol/protocols.h"
#include "protocol/ssh/bridge.h"
#include "protocol/tls_hello.h"

#define DECIDED_MOST 16384u /* a TLS ClientHello fits */

struct tunnel {
	char *place;
	struct buffer first[2];
};

struct tunnel *tunnel_new(struct slice place)
{
	struct tunnel *t = memory_new(sizeof(*t));

	t->place = memory_copy_text(place.data, place.length);
	for (size_t i = 0; i < ARRAY_SIZE(t->first); i++)
		buffer_init(&t->first[i], DECIDED_MOST + BRIDGE_DATA_MOST);
	return t;
}

void tunnel_free(struct tunnel *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(t->first); i++)
		buffer_done(&t->first[i]);
	free(t->place);
	free(t);
}

/* --- what servers take for what we speak, though no connection of its own is read as it --- */

/* What some server of HTTP skips, or parts the words of a request by (Python's str.split()). */
static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r' && c != '\n') || (c >= 0x1c && c <= 0x1f) ||
		c == 0x85 || c == 0xa0;
}

static struct slice skip(struct slice s, bool lines)
{
	while (s.length && (is_blank(s.data[0]) || (lines && s.data[0] == '\n')))
		s = slice_from(s, 1);
	return s;
}

/* RFC 9110, 5.6.2 */
static bool is_token(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		(c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool begins(struct slice s, const char *word)
{
	size_t length = strlen(word);

	return strncasecmp((const char *)s.data, word, s.length < length ? s.length : length) == 0;
}

/* "GET / HTTP/1.1", whatever the method. */
static enum detection detect_request(struct slice line)
{
	size_t n = 0;

	while (n < line.length && is_token(line.data[n]))
		n++;
	if (n == line.length)
		return DETECTION_MORE;
	if (n == 0 || !is_blank(line.data[n]))
		return DETECTION_NO;
	line = skip(slice_from(line, n), false);
	if (line.length && line.data[0] != '/' && line.data[0] != '*' && !begins(line, "http://") &&
		!begins(line, "https://"))
		return DETECTION_NO;
	for (n = 0; n < line.length; n++) {
		if (line.length - n >= 5 && begins(slice_from(line, n), "HTTP/"))
			return DETECTION_YES;
		if (line.data[n] < ' ' && !is_blank(line.data[n]))
			return DETECTION_NO;
	}
	return DETECTION_MORE;
}

/* Whatever it says is in it. */
static enum detection detect_tls(struct slice in)
{
	if (in.data[0] != TLS_RECORD_HANDSHAKE)
		return DETECTION_NO;
	if (in.length < 2)
		return DETECTION_MORE;
	return in.data[1] == 3 ? DETECTION_YES : DETECTION_NO; /* RFC 8446, 5.1 */
}

/* Of the protocol before PostgreSQL 7.4: servers spoke it up to 13. */
static enum detection detect_old_postgres(struct slice in)
{
	uint32_t length;

	if (in.data[0] != 0)
		return DETECTION_NO;
	if (in.length < 8)
		return DETECTION_MORE;
	length = bytes_get_u32(in.data);
	return length >= 8 && length <= LIMIT_STARTUP_BYTES &&
			(bytes_get_u32(in.data + 4) >> 16 == 1 ||
				bytes_get_u32(in.data + 4) >> 16 == 2)
		? DETECTION_YES
		: DETECTION_NO;
}

static const struct {
	enum detection (*detect)(struct slice in);
	const char *name;
} lenient[] = {{detect_request, "http"}, {detect_tls, "tls"}, {detect_old_postgres, "postgres"}};

static enum detection detect(struct slice agent, struct slice server, const char **ret_name)
{
	const struct protocol *protocol = NULL;
	enum detection best, found;

	/* Its servers wait for their clients. */
	if (server.length == 0)
		agent = skip(agent, true);
	best = protocols_detect(agent, server, &protocol);
	if (best == DETECTION_YES)
		*ret_name = protocol_name(protocol->id);
	for (size_t i = 0;
		best != DETECTION_YES && !server.length && agent.length && i < ARRAY_SIZE(lenient);
		i++) {
		found = lenient[i].detect(agent);
		if (found > best)
			best = found;
		if (found == DETECTION_YES)
			*ret_name = lenient[i].name;
	}
	return best;
}

enum detection tunnel_take(
	struct tunnel *t, enum side from, struct slice bytes, const char **ret_name)
{
	enum detection found;

	*ret_name = "undecided first bytes";
	if (buffer_append_slice(&t->first[from], bytes) < 0)
		return DETECTION_YES;
	found = detect(tunnel_kept(t, SIDE_AGENT), tunnel_kept(t, SIDE_SERVER), ret_name);
	if (found == DETECTION_MORE &&
		(buffer_length(&t->first[SIDE_AGENT]) > DECIDED_MOST ||
			buffer_length(&t->first[SIDE_SERVER]) > DECIDED_MOST))
		return DETECTION_YES;
	return found;
}

const char *tunnel_asked_by_server(const struct tunnel *t)
{
	const char *name = NULL;
	enum detection found =
		detect(tunnel_kept(t, SIDE_SERVER), tunnel_kept(t, SIDE_AGENT), &name);

	return found == DETECTION_YES ? name : NULL;
}

struct slice tunnel_kept(const struct tunnel *t, enum side from)
{
	return buffer_slice(&t->first[from]);
}

struct slice tunnel_place(const struct tunnel *t)
{
	return slice_from_string(t->place);
}
