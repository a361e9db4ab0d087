/* SPDX-License-Identifier: Apache-2.0
 *
 * ssh: what SSH sessions need of the monitor: a process with the session's sockets and the
 * resource's login.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/identifier.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/secret_file.h"
#include "capture/origin.h"
#include "monitor/monitor.h"
#include "monitor/sshkey.h"
#include "monitor/ssh_signer.h"

#define SSH_PORT 22

const char *ssh_address_text(const uint8_t *address, char *room, size_t size)
{
	struct address a;
	bool mapped;

	memcpy(a.bytes, address, sizeof(a.bytes));
	mapped = address_is_mapped(&a);
	return inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? address + 12 : address, room,
		(socklen_t)size);
}

/* --- sessions --- */

/* As known_hosts has it. */
static void name_place(struct slice host, uint16_t port, char *ret, size_t size)
{
	if (port == SSH_PORT)
		snprintf(ret, size, "%.*s", SLICE_PRINT(host));
	else
		snprintf(ret, size, "[%.*s]:%u", SLICE_PRINT(host), port);
}

/* What a session of a resource begins with, as far as it is text. */
struct login {
	char name[300], address[300];
	struct buffer password, known_hosts;
	int signer, own_keys; /* -1: none */
	struct error problem;
};

static int take_password(const struct config_credentials *c, struct login *l)
{
	uint8_t room[LIMIT_SECRET_BYTES];
	size_t length;
	int r = secret_file_read(c->password_file.text, room, sizeof(room), &length, &l->problem);

	if (r == 0)
		r = buffer_append(&l->password, room, length);
	memory_wipe(room, sizeof(room));
	return r;
}

static int read_key(const struct config_credentials *c, EVP_PKEY **ret, struct login *l)
{
	uint8_t room[SSHKEY_TEXT_MOST];
	struct error why = {""};
	size_t length;
	int r = secret_file_read(c->key_file.text, room, sizeof(room), &length, &l->problem);

	if (r < 0)
		return r;
	r = sshkey_read(slice_of(room, length), ret, &why);
	memory_wipe(room, sizeof(room));
	return r < 0 ? error_set(&l->problem, r, "%s: %s", c->key_file.text, why.text) : 0;
}

static int join(const struct config_texts *texts, struct buffer *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < texts->count; i++)
		r = buffer_append_format(ret, "%s%s", i ? "," : "", texts->items[i].text);
	return r;
}

/* A key that nobody has had before, for this login alone. Appends its certificate to `text`. */
static int make_certificate(struct monitor *m, const struct config_resource *resource,
	const struct message_delegate *request, uint32_t agent, EVP_PKEY **ret, struct buffer *text,
	struct login *l)
{
	const struct config_credentials *c = resource->credentials;
	const struct identity *own = identities_find_agent(&m->identities, agent);
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	const char *command = c->force_command.text;
	struct buffer addresses;
	char id[300];
	int r;

	snprintf(id, sizeof(id), "wayleave agent=%s resource=%s session=%.*s",
		own ? own->name : "?", resource->name.text, (int)sizeof(request->session.text) - 1,
		request->session.text);
	buffer_init(&addresses, SSH_CERTIFICATE_MOST);
	r = join(&c->source_addresses, &addresses);
	if (r == 0)
		r = !key ? -EIO
			 : ssh_authority_certify(m->ssh_authority, key,
				   &(struct ssh_certificate){
					   .id = slice_from_string(id),
					   .user = slice_from_string(c->user.text),
					   .command = slice_from_string(command ? command : ""),
					   .addresses = buffer_slice(&addresses),
					   .now = clock_wall() / NANOSECONDS_PER_SECOND,
				   },
				   text);
	buffer_done(&addresses);
	if (r == 0) {
		*ret = key;
		return 0;
	}
	EVP_PKEY_free(key);
	return error_set_errno(&l->problem, r, "no certificate can be made");
}

/* One way that can't be had does not keep the next from being tried; whoever runs the host is
 * told. */
static bool is_ready(const struct config_resource *resource, int r, struct login *l)
{
	if (r < 0)
		log_error("resource %s: %s", resource->name.text, l->problem.text);
	return r == 0;
}

/* The certificate before the key. */
static bool take_keys(struct monitor *m, const struct config_resource *resource,
	const struct message_delegate *request, uint32_t agent, struct login *l)
{
	const struct config_credentials *c = resource->credentials;
	struct ssh_identity identities[SSH_IDENTITIES_MOST] = {0};
	struct buffer certificate;
	size_t count = 0;
	bool ready = false;

	buffer_init(&certificate, SSH_CERTIFICATE_MOST);
	if (c->ca &&
		is_ready(resource,
			make_certificate(
				m, resource, request, agent, &identities[0].key, &certificate, l),
			l))
		identities[count++].certificate = buffer_slice(&certificate);
	if (c->key_file.text && is_ready(resource, read_key(c, &identities[count].key, l), l))
		count++;
	if (count)
		ready = is_ready(resource,
			ssh_signer_start(&m->loop, &m->ssh_signers, c->user.text, identities, count,
				&l->signer, &l->problem),
			l);
	buffer_done(&certificate);
	return ready;
}

/* Those of the process that connected, which the monitor does not read. */
static int take_own_keys(struct monitor *m, const struct config_credentials *c,
	const struct origin *origin, struct login *l)
{
	struct own_keys_start start = {
		.uid = origin->uid,
		.process = {.pid = origin->pid,
			.start_time = origin->start_time,
			.exe_inode = origin->exe_inode,
			.exe_device = origin->exe_device},
	};

	for (size_t i = 0; i < m->config->agent_count; i++) {
		if (m->config->agents[i].id == origin->agent && m->config->agents[i].cgroup.text)
			snprintf(start.cgroup, sizeof(start.cgroup), "%s",
				m->config->agents[i].cgroup.text);
	}
	if (origin->way != ORIGIN_DIALLED)
		return error_set(&l->problem, -EPERM, "the agent's processes are not this host's");
	if (strlen(c->user.text) >= sizeof(start.user))
		return error_set(&l->problem, -EINVAL, "the user's name is too long");
	snprintf(start.user, sizeof(start.user), "%s", c->user.text);
	return own_keys_begin(&m->own_keys, origin->agent, &start, &l->own_keys, &l->problem);
}

/* In the order in which they are tried: a certificate, a key, a password, the agent's own keys. The
 * files are read for each session, so that what is replaced counts at once. */
static void take_login(struct monitor *m, const struct config_resource *resource,
	const struct message_delegate *request, const struct origin *origin, struct login *l)
{
	const struct config_credentials *c = resource->credentials;
	bool any = false;
	int r;

	if (!resource->host_keys.text)
		r = error_set(&l->problem, -EINVAL,
			"resource %s has no host_keys by which its hosts could be known",
			resource->name.text);
	else
		r = file_read(resource->host_keys.text, &l->known_hosts, &l->problem);
	if (!is_ready(resource, r, l))
		return;
	if (c->ca || c->key_file.text)
		any |= take_keys(m, resource, request, origin->agent, l);
	if (c->password_file.text)
		any |= is_ready(resource, take_password(c, l), l);
	if (c->agent)
		any |= is_ready(resource, take_own_keys(m, c, origin, l), l);
	if (any)
		l->problem.text[0] = '\0';
}

static int begin_session(struct monitor *m, const struct config_resource *resource, struct login *l,
	int agent, int worker)
{
	const int fds[SSH_DESCRIPTOR_COUNT] = {agent, worker, l->signer, l->own_keys};
	const struct slice texts[SSH_TEXT_COUNT] = {
		[SSH_TEXT_NAME] = slice_from_string(l->name),
		[SSH_TEXT_ADDRESS] = slice_from_string(l->address),
		[SSH_TEXT_USER] = slice_from_string(resource->credentials->user.text),
		[SSH_TEXT_PASSWORD] = buffer_slice(&l->password),
		[SSH_TEXT_KNOWN_HOSTS] = buffer_slice(&l->known_hosts),
		[SSH_TEXT_PROBLEM] = slice_from_string(l->problem.text),
	};

	return ssh_process_session(&m->ssh, texts, fds);
}

/* What the kernel says was dialled, and by which of the resource's names if by one: the worker's
 * word would let it choose among the hosts of a resource. */
static void name_destination(struct monitor *m, const struct config_resource *resource,
	const struct origin *origin, struct login *l)
{
	struct policy_address *known;
	size_t count = names_take(m->names, &known);
	char text[INET6_ADDRSTRLEN];

	ssh_address_text(origin->address, text, sizeof(text));
	name_place(slice_from_string(text), origin->port, l->address, sizeof(l->address));
	for (size_t i = 0; i < count && !l->name[0]; i++) {
		if (memcmp(known[i].address.bytes, origin->address, sizeof(origin->address)) != 0)
			continue;
		for (size_t j = 0; j < resource->host_count; j++) {
			if (host_matches_name(&resource->hosts[j], known[i].name))
				name_place(known[i].name, origin->port, l->name, sizeof(l->name));
		}
	}
	names_free_addresses(known, count);
}

/* The worker's word. A name counts where it is one of the resource's, for which host_keys may have
 * a key; another could only be refused. */
static int name_inner_destination(const struct config_resource *resource,
	const struct message_delegate *request, struct login *l)
{
	struct slice name = slice_of(request->name, strnlen(request->name, sizeof(request->name)));
	char text[INET6_ADDRSTRLEN];

	if (name.length == 0) {
		ssh_address_text(request->address, text, sizeof(text));
		name_place(slice_from_string(text), request->port, l->address, sizeof(l->address));
		return 0;
	}
	for (size_t i = 0; i < resource->host_count; i++) {
		if (host_matches_name(&resource->hosts[i], name)) {
			name_place(name, request->port, l->address, sizeof(l->address));
			return 0;
		}
	}
	return -EINVAL;
}

int ssh_delegate(struct monitor *m, const struct message_delegate *request, int fd, int *ret,
	struct error *e)
{
	const struct config_resource *resource;
	const struct slice session = slice_of(request->session.text,
		strnlen(request->session.text, sizeof(request->session.text)));
	struct login l = {.signer = -1, .own_keys = -1};
	struct origin origin;
	int pair[2], r;

	/* It stands in the certificate's key id, which hosts log. */
	if (!identifier_is_valid(session, 's'))
		return error_set(e, -EINVAL, "not a session's name");
	if (fd == REQUESTS_LOST_DESCRIPTOR)
		return error_set_errno(e, fd, "the daemon has no room for the connection");
	if (fd < 0 || origin_get(fd, &origin) < 0)
		return error_set(e, -EPERM, "not an agent's connection");
	if (request->generation != m->generation || request->resource >= m->config->resource_count)
		return error_set(e, -ESTALE, "another policy is in force");
	resource = &m->config->resources[request->resource];
	if (resource->protocol.value != PROTOCOL_SSH)
		return error_set(e, -EINVAL, "not a resource of SSH");
	if (request->inner && name_inner_destination(resource, request, &l) < 0)
		return error_set(e, -EINVAL, "not a host of the resource");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(e, -errno, "socketpair");
	buffer_init(&l.password, LIMIT_SECRET_BYTES);
	buffer_init(&l.known_hosts, SSH_TEXT_MOST);
	if (!request->inner)
		name_destination(m, resource, &origin, &l);
	/* Who can't be let in is told so by the process. */
	take_login(m, resource, request, &origin, &l);
	r = begin_session(m, resource, &l, request->inner ? -1 : fd, pair[1]);
	close(pair[1]);
	if (l.signer >= 0)
		close(l.signer);
	if (l.own_keys >= 0)
		close(l.own_keys);
	buffer_wipe(&l.password);
	buffer_done(&l.known_hosts);
	if (r < 0) {
		close(pair[0]);
		return error_set_errno(e, r, "wayleave-ssh does not take it");
	}
	*ret = pair[0];
	return 0;
}

int ssh_configure(struct monitor *m, struct error *e)
{
	const struct config *c = m->config;
	bool wanted = false;
	int r = 0;

	for (size_t i = 0; i < c->resource_count; i++)
		wanted |= c->resources[i].protocol.value == PROTOCOL_SSH;
	if (wanted && buffer_length(&m->ssh.lines) == 0)
		r = ssh_process_open(&m->ssh, c->state_dir.text, e);
	if (r < 0)
		return r;
	ssh_process_want(&m->ssh, wanted, m->worker_uid, m->worker_gid);
	return wanted || m->known_hosts ? ssh_names_write(m, e) : 0;
}
