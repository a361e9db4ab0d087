/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ssh/certified.h"
#include "ssh/known_hosts.h"
#include "ssh/relay.h"

/* Whether an agent's key signed is known only by a function that the library calls outdated. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define HANDSHAKE_SECONDS 50L /* below LIMIT_STARTUP_TIME, at which the worker ends it */
#define MESSAGES_MOST 100 /* of an agent that logs in */

/* --- connections --- */

/* The one that comes with that frame, or -1 with the reason told. */
static int wait_for_connection(struct relay *r, enum bridge_type type)
{
	struct bridge_frame frame;
	int fd;

	while (!r->link.closed) {
		struct pollfd p = {.fd = r->link.fd, .events = POLLIN};

		while (link_next(&r->link, &frame)) {
			if (frame.type == type) {
				fd = r->link.received_fd;
				r->link.received_fd = -1;
				return fd;
			}
			if (frame.type == BRIDGE_REFUSED) {
				relay_refuse(r, frame.body);
				return -1;
			}
			if (frame.type == BRIDGE_ALLOWANCE)
				r->link.closed |= !ration_on_frame(r, &frame);
		}
		poll(&p, 1, -1);
		link_receive(&r->link);
	}
	relay_refuse(r, slice_from_string("the session was ended"));
	return -1;
}

/* --- the agent --- */

/* The kernel says who the agent is, so that all it can present is good. A key is proven only by its
 * signature: a client that is told so before sends one. */
static bool answer_login(struct relay *r, ssh_message m)
{
	snprintf(r->agent_user, sizeof(r->agent_user), "%s", ssh_message_auth_user(m));
	if (ssh_message_subtype(m) == SSH_AUTH_METHOD_PUBLICKEY &&
		ssh_message_auth_publickey_state(m) == SSH_PUBLICKEY_STATE_NONE) {
		ssh_message_auth_reply_pk_ok_simple(m);
		return false;
	}
	return ssh_message_auth_reply_success(m, 0) == SSH_OK;
}

static bool answer(struct relay *r, ssh_message m)
{
	bool done = false;

	switch (ssh_message_type(m)) {
	case SSH_REQUEST_SERVICE:
		ssh_message_service_reply_success(m);
		break;
	case SSH_REQUEST_AUTH:
		done = answer_login(r, m);
		break;
	default:
		ssh_message_reply_default(m);
	}
	ssh_message_free(m);
	return done;
}

/* For an agent that asks for it, once it is logged in; as little as is worth the time. */
static int set_compression(ssh_session agent)
{
	int level = 1;

	if (ssh_options_set(agent, SSH_OPTIONS_COMPRESSION, "none,zlib@openssh.com") != SSH_OK)
		return SSH_ERROR;
	return ssh_options_set(agent, SSH_OPTIONS_COMPRESSION_LEVEL, &level);
}

int login_agent(struct relay *r, ssh_bind keys, int fd)
{
	long seconds = HANDSHAKE_SECONDS;

	if (fd < 0)
		fd = wait_for_connection(r, BRIDGE_AGENT);
	r->agent = fd < 0 ? NULL : ssh_new();
	if (!r->agent || set_compression(r->agent) != SSH_OK ||
		ssh_bind_accept_fd(keys, r->agent, fd) != SSH_OK)
		return -1;
	ssh_options_set(r->agent, SSH_OPTIONS_TIMEOUT, &seconds);
	ssh_set_auth_methods(r->agent,
		SSH_AUTH_METHOD_NONE | SSH_AUTH_METHOD_PASSWORD | SSH_AUTH_METHOD_PUBLICKEY |
			SSH_AUTH_METHOD_INTERACTIVE);
	if (ciphers_offer_agent(r->agent, fd) != SSH_OK ||
		ssh_handle_key_exchange(r->agent) != SSH_OK)
		return -1;
	for (unsigned i = 0; i < MESSAGES_MOST; i++) {
		ssh_message m = ssh_message_get(r->agent);

		if (!m)
			return -1;
		if (answer(r, m))
			return 0;
	}
	return -1;
}

/* --- the host --- */

static void fail(struct relay *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The worker is told the reason, the agent the same with every channel. */
static void fail(struct relay *r, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	for (char *c = text; *c; c++)
		*c = *c < ' ' || *c == 0x7f ? '?' : *c;
	relay_refuse(r, slice_from_string(text));
	link_tell(&r->link, BRIDGE_FAILED, 0, SLICE_EMPTY, slice_from_string(text));
	if (r->server) {
		ssh_silent_disconnect(r->server);
		ssh_free(r->server);
		r->server = NULL;
	}
}

static struct known_host_names names_of(const struct opening *o)
{
	return (struct known_host_names){{slice_from_string(o->texts[SSH_TEXT_NAME]),
		slice_from_string(o->texts[SSH_TEXT_ADDRESS])}};
}

/* By which the host is to be known: a certificate has put a key in the place of an authority. */
static struct slice known_of(const struct relay *r, const struct opening *o)
{
	return slice_from_string(r->certified ? r->certified : o->texts[SSH_TEXT_KNOWN_HOSTS]);
}

/* Nothing of this is for the user whose process this is: no files, no configuration. */
static int set_options(struct relay *r, const struct opening *o, int fd)
{
	const struct known_host_names names = names_of(o);
	struct buffer algorithms;
	long seconds = HANDSHAKE_SECONDS;
	bool no = false;
	int rc = 0;

	buffer_init(&algorithms, 4096);
	if (known_hosts_algorithms(known_of(r, o), &names, &algorithms) < 0 ||
		buffer_append_byte(&algorithms, 0) < 0)
		rc = -1;
	rc |= ssh_options_set(r->server, SSH_OPTIONS_PROCESS_CONFIG, &no);
	rc |= ssh_options_set(r->server, SSH_OPTIONS_SSH_DIR, "/nonexistent");
	rc |= ssh_options_set(r->server, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
	rc |= ssh_options_set(r->server, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
	rc |= ssh_options_set(r->server, SSH_OPTIONS_HOST, o->texts[SSH_TEXT_ADDRESS]);
	rc |= ssh_options_set(r->server, SSH_OPTIONS_USER, o->texts[SSH_TEXT_USER]);
	rc |= ssh_options_set(r->server, SSH_OPTIONS_TIMEOUT, &seconds);
	rc |= ssh_options_set(r->server, SSH_OPTIONS_FD, &fd);
	rc |= ciphers_offer_host(r->server);
	/* So that a host with several keys shows one that is known. */
	if (rc == 0 && buffer_length(&algorithms) > 1)
		rc = ssh_options_set(
			r->server, SSH_OPTIONS_HOSTKEYS, buffer_slice(&algorithms).data);
	buffer_done(&algorithms);
	return rc == SSH_OK ? 0 : -1;
}

static enum known_host check_key(struct relay *r, const struct opening *o)
{
	const struct known_host_names names = names_of(o);
	enum known_host found = KNOWN_HOST_UNKNOWN;
	const char *type;
	char *text = NULL;
	ssh_key key;

	if (ssh_get_server_publickey(r->server, &key) != SSH_OK)
		return KNOWN_HOST_UNKNOWN;
	type = ssh_key_type_to_char(ssh_key_type(key));
	if (type && ssh_pki_export_pubkey_base64(key, &text) == SSH_OK)
		found = known_hosts_check(slice_from_string(o->texts[SSH_TEXT_KNOWN_HOSTS]), &names,
			slice_from_string(type), slice_from_string(text));
	if (found == KNOWN_HOST_AUTHORITY && r->certified)
		found = known_hosts_check(
			known_of(r, o), &names, slice_from_string(type), slice_from_string(text));
	ssh_string_free_char(text);
	ssh_key_free(key);
	return found;
}

static bool verify_host(struct relay *r, const struct opening *o)
{
	const char *where = o->texts[SSH_TEXT_ADDRESS];

	switch (check_key(r, o)) {
	case KNOWN_HOST_SAME:
		return true;
	case KNOWN_HOST_CHANGED:
		fail(r, "the host key of %s is not the one that %s has", where,
			r->certified ? "its certificate" : "host_keys");
		return false;
	case KNOWN_HOST_REVOKED:
		fail(r, "the host key of %s is revoked in host_keys", where);
		return false;
	default:
		fail(r, "host_keys has no key of %s", where);
		return false;
	}
}

static bool try_login(struct relay *r, const struct opening *o)
{
	char problem[SSH_SIGNER_PROBLEM_MOST + 1] = "";
	unsigned tried = 0;

	if (ways_try(r, o, problem, &tried) == SSH_AUTH_SUCCESS)
		return true;
	if (!tried)
		fail(r, "%s", problem);
	else
		fail(r, "%s does not let %s in with the credentials of this resource",
			o->texts[SSH_TEXT_ADDRESS], o->texts[SSH_TEXT_USER]);
	return false;
}

/* A host that is known by an authority alone is asked for its certificate, over this connection;
 * returns another one, for the session. -1: there is none, with the reason told. */
static int certify(struct relay *r, const struct opening *o, int fd)
{
	const char *where = o->texts[SSH_TEXT_ADDRESS];
	const struct known_host_names names = names_of(o);
	struct error e = {""};
	struct buffer line;
	int rc;

	buffer_init(&line, SSH_TEXT_MOST);
	rc = certified_ask(fd, clock_monotonic() + CERTIFIED_SECONDS * NANOSECONDS_PER_SECOND,
		slice_from_string(o->texts[SSH_TEXT_KNOWN_HOSTS]), &names, &line, &e);
	close(fd);
	if (rc == 0)
		r->certified = memory_copy_text(buffer_slice(&line).data, buffer_length(&line));
	else if (rc == -ENOENT)
		fail(r, "host_keys has an authority for %s and no key, and %s", where, e.text);
	else if (rc == -EKEYREJECTED)
		fail(r, "the certificate of %s %s", where, e.text);
	else
		fail(r, "%s can't be asked for its certificate: %s", where, e.text);
	buffer_done(&line);
	if (rc < 0)
		return -1;
	link_tell(&r->link, BRIDGE_CONNECT, 0, SLICE_EMPTY, SLICE_EMPTY);
	link_flush(&r->link);
	return wait_for_connection(r, BRIDGE_CONNECTED);
}

static bool wants_certificate(const struct opening *o)
{
	const struct known_host_names names = names_of(o);

	return known_hosts_wants_certificate(
		slice_from_string(o->texts[SSH_TEXT_KNOWN_HOSTS]), &names);
}

/* The connection that is to be the session's; -1: there is none, with the reason told. */
static int take_connection(struct relay *r, const struct opening *o)
{
	int fd = wait_for_connection(r, BRIDGE_CONNECTED);
	const char *problem = o->texts[SSH_TEXT_PROBLEM];

	if (fd < 0 || (!problem[0] && !wants_certificate(o)))
		return fd;
	/* What another session carries it carries once. */
	if (!problem[0] && o->fds[SSH_DESCRIPTOR_AGENT] >= 0)
		return certify(r, o, fd);
	close(fd);
	if (problem[0])
		fail(r, "%s", problem);
	else
		fail(r,
			"host_keys has an authority for %s and no key, and hosts that are reached "
			"through another one can't be asked for certificates",
			o->texts[SSH_TEXT_ADDRESS]);
	return -1;
}

int login_server(struct relay *r, const struct opening *o)
{
	const char *where = o->texts[SSH_TEXT_ADDRESS];
	int fd = take_connection(r, o);

	if (fd < 0)
		return 0;
	r->server = ssh_new();
	if (!r->server || set_options(r, o, fd) < 0) {
		fail(r, "the session could not be set up");
		return 0;
	}
	if (ssh_connect(r->server) != SSH_OK) {
		fail(r, "%s: %s", where, ssh_get_error(r->server));
		return 0;
	}
	if (!verify_host(r, o) || !try_login(r, o))
		return 0;
	link_tell(
		&r->link, BRIDGE_LOGIN, 0, SLICE_EMPTY, slice_from_string(o->texts[SSH_TEXT_USER]));
	return 0;
}
