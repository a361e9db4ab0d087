/* SPDX-License-Identifier: Apache-2.0
 *
 * settings: from the files that an admin wrote to what is in force. A new version is in force as a
 * whole or not at all: what is wrong with it is logged with file and line, and the old one stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/text.h"
#include "monitor/monitor.h"
#include "monitor/unix_servers.h"
#include "policy/pinned.h"
#include "protocol/dns.h"

#define RELOAD_DELAY (200 * NANOSECONDS_PER_MILLISECOND) /* editors write in several steps */
/* Workers' user where the configured one does not exist: from systemd's range for dynamic users,
 * which no package uses. */
#define DYNAMIC_UID_FIRST 61184u
#define DYNAMIC_UID_COUNT 4000u

/* --- loading --- */

static void log_diagnostics(const struct diagnostics *d)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct diagnostic *item = &d->items[i];

		log_write(item->level == DIAGNOSTIC_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
			"%s:%u: %s", item->file, item->line, item->text);
	}
}

static int load(struct monitor *m, struct config **ret, struct error *e)
{
	struct config *c = NULL;
	struct diagnostics d;
	int r;

	diagnostics_init(&d);
	r = config_load(m->config_file, 0, &d, &c);
	if (r == 0)
		r = authority_check(c, &d);
	log_diagnostics(&d);
	if (r == 0) {
		*ret = c;
	} else {
		config_free(c);
		error_set(e, r, "%zu errors in %s", d.errors, m->config_file);
	}
	diagnostics_done(&d);
	return r;
}

/* The workers' own user, or a number that nobody has. */
static int find_worker_user(struct monitor *m, struct error *e)
{
	const char *name = m->config->user.text;
	struct passwd *user = getpwnam(name);
	uint64_t number;

	if (user) {
		m->worker_uid = user->pw_uid;
		m->worker_gid = user->pw_gid;
	} else if (text_to_number(slice_from_string(name), UINT16_MAX, &number) == 0) {
		m->worker_uid = (uid_t)number;
		m->worker_gid = (gid_t)number;
	} else {
		uint8_t digest[SHA256_SIZE];

		sha256_of(slice_from_string(m->instance), digest);
		m->worker_uid =
			DYNAMIC_UID_FIRST + (digest[0] << 8 | digest[1]) % DYNAMIC_UID_COUNT;
		m->worker_gid = m->worker_uid;
		log_warning("there is no user \"%s\": workers run as user %u", name,
			(unsigned)m->worker_uid);
	}
	if (m->worker_uid == 0)
		return error_set(e, -EINVAL, "workers can't run as root (user: %s)", name);
	return 0;
}

void settings_instance(const char *state_dir, char *ret, size_t size)
{
	uint8_t digest[SHA256_SIZE];
	char hex[9];

	if (strcmp(state_dir, SETTINGS_STATE_DIR) == 0) {
		snprintf(ret, size, "host");
		return;
	}
	sha256_of(slice_from_string(state_dir), digest);
	text_to_hex(slice_of(digest, 4), hex);
	snprintf(ret, size, "i%s", hex);
}

static void name_names(struct monitor *m)
{
	const char **names;
	size_t count = config_list_names(m->config, &names);

	names_set(m->names, names, count);
	m->names_wanted = count;
	free(names);
}

int settings_load(struct monitor *m, struct error *e)
{
	int r = load(m, &m->config, e);

	if (r < 0)
		return r;
	settings_instance(m->config->state_dir.text, m->instance, sizeof(m->instance));
	r = find_worker_user(m, e);
	if (r < 0)
		return r;
	r = names_new(&m->names);
	if (r < 0)
		return error_set_errno(e, r, "can't start a thread");
	name_names(m);
	return 0;
}

/* --- the image --- */

static int seal(struct slice image, int *ret)
{
	int fd = memfd_create("wayleave-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING), reader;
	char path[32];

	if (fd < 0)
		return -errno;
	if (file_write_all(fd, image) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
			0) {
		close(fd);
		return -EIO;
	}
	/* Read-only, as it is given away. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	if (reader < 0)
		return -errno;
	*ret = reader;
	return 0;
}

static int build_image(struct monitor *m, struct config *config, int *ret, struct error *e)
{
	struct policy_address *addresses;
	size_t count = names_take(m->names, &addresses);
	struct buffer image;
	int r;

	buffer_init(&image, LIMIT_POLICY_IMAGE);
	r = policy_image_build(config, m->generation + 1, addresses, count, &image);
	if (r == 0)
		r = seal(buffer_slice(&image), ret);
	buffer_done(&image);
	names_free_addresses(addresses, count);
	if (r < 0)
		return error_set_errno(e, r, "the policy can't be compiled");
	return 0;
}

/* --- what is captured --- */

static enum steer_loopback loopback_of(const struct config *c)
{
	static const enum steer_loopback modes[] = {
		[LOOPBACK_OWN] = STEER_LOOPBACK_OWN,
		[LOOPBACK_DIRECT] = STEER_LOOPBACK_DIRECT,
		[LOOPBACK_EGRESS] = STEER_LOOPBACK_EGRESS,
	};

	return modes[c->loopback.value];
}

static enum transport transport_of(const struct config_resource *r)
{
	return protocol_transport((enum protocol_id)r->protocol.value);
}

/* Where no rule could let any pass, the kernel needn't ask. */
static enum udp_mode udp_of(const struct config *c, const struct config_agent *agent)
{
	if (agent->udp.value != UDP_POLICY || c->egress.value != EGRESS_DENY ||
		c->mode.value == POLICY_OBSERVE)
		return (enum udp_mode)agent->udp.value;
	for (size_t i = 0; i < c->resource_count; i++) {
		if (transport_of(&c->resources[i]) != TRANSPORT_TCP)
			return UDP_POLICY;
	}
	return UDP_DNS;
}

static uint64_t bandwidth_of(const struct config_agent *agent)
{
	return agent->limits ? agent->limits->bandwidth.value : 0;
}

static struct capture_agent *list_agents(const struct config *c, size_t *ret_count)
{
	struct capture_agent *agents = memory_new_array(c->agent_count + 1, sizeof(*agents));
	size_t count = 0;

	for (size_t i = 0; i < c->agent_count; i++) {
		if (!c->agents[i].cgroup.text)
			continue;
		agents[count++] = (struct capture_agent){
			.id = c->agents[i].id,
			.name = c->agents[i].name.text,
			.cgroup = c->agents[i].cgroup.text,
			.loopback = loopback_of(c),
			.listen = c->agents[i].listen.value == LISTEN_ALLOW,
			.udp = udp_of(c, &c->agents[i]),
			.bandwidth = bandwidth_of(&c->agents[i]),
		};
	}
	*ret_count = count;
	return agents;
}

static void fill_forwarded(
	const struct config *c, const struct config_agent *a, struct capture_forwarded *ret)
{
	const char **interfaces = memory_new_array(a->interfaces.count + 1, sizeof(*interfaces));
	struct forward_source *sources = memory_new_array(a->network_count + 1, sizeof(*sources));

	for (size_t i = 0; i < a->interfaces.count; i++)
		interfaces[i] = a->interfaces.items[i].text;
	for (size_t i = 0; i < a->network_count; i++) {
		memcpy(sources[i].address, a->networks[i].address.bytes, sizeof(sources->address));
		sources[i].bits = a->networks[i].prefix;
	}
	*ret = (struct capture_forwarded){
		.id = a->id,
		.name = a->name.text,
		.interfaces = interfaces,
		.interface_count = a->interfaces.count,
		.sources = sources,
		.source_count = a->network_count,
		.loopback = loopback_of(c),
		.listen = a->listen.value == LISTEN_ALLOW,
		.udp = udp_of(c, a),
		.bandwidth = bandwidth_of(a),
	};
}

static struct capture_forwarded *list_forwarded(const struct config *c, size_t *ret_count)
{
	struct capture_forwarded *list = memory_new_array(c->agent_count + 1, sizeof(*list));
	size_t count = 0;

	for (size_t i = 0; i < c->agent_count; i++) {
		if (!c->agents[i].cgroup.text)
			fill_forwarded(c, &c->agents[i], &list[count++]);
	}
	*ret_count = count;
	return list;
}

static void free_forwarded(struct capture_forwarded *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free((void *)list[i].interfaces);
		free((void *)list[i].sources);
	}
	free(list);
}

static void add_destination(struct capture_destination **list, size_t *count,
	const uint8_t *address, unsigned bits, uint16_t port)
{
	struct capture_destination *d;

	*list = memory_resize_array(*list, *count + 1, sizeof(**list));
	d = &(*list)[(*count)++];
	*d = (struct capture_destination){.bits = bits, .port = port};
	memcpy(d->address, address, sizeof(d->address));
}

/* What the host's name servers are asked over TCP is judged, too, also where one is on this host.
 */
static void add_resolvers(struct monitor *m, struct capture_destination **list, size_t *count)
{
	struct address resolvers[PINNED_RESOLVERS_MOST];
	size_t known = pinning_read_resolvers(m, resolvers);

	for (size_t i = 0; i < known; i++)
		add_destination(list, count, resolvers[i].bytes, 128, DNS_PORT);
}

/* Every place that a resource names: those on this host are turned to the worker too. */
static struct capture_destination *list_destinations(struct monitor *m, size_t *ret_count)
{
	const struct config *c = m->config;
	struct capture_destination *list = NULL;
	struct policy_address *addresses;
	size_t known = names_take(m->names, &addresses), count = 0;

	for (size_t i = 0; i < c->resource_count; i++) {
		if (transport_of(&c->resources[i]) != TRANSPORT_TCP)
			continue;
		for (size_t j = 0; j < c->resources[i].host_count; j++) {
			const struct host *h = &c->resources[i].hosts[j];

			if (h->kind == HOST_ADDRESS || h->kind == HOST_PREFIX) {
				add_destination(
					&list, &count, h->address.bytes, h->prefix, h->port);
				continue;
			}
			for (size_t k = 0; k < known; k++) {
				if (host_matches_name(h, addresses[k].name))
					add_destination(&list, &count, addresses[k].address.bytes,
						128, h->port);
			}
		}
	}
	names_free_addresses(addresses, known);
	add_resolvers(m, &list, &count);
	*ret_count = count;
	return list;
}

static int apply_capture(struct monitor *m, struct error *e)
{
	struct capture_setup setup = {.generation = m->generation};
	struct capture_agent *agents = list_agents(m->config, &setup.agent_count);
	struct capture_forwarded *forwarded = list_forwarded(m->config, &setup.forwarded_count);
	struct capture_destination *destinations = list_destinations(m, &setup.destination_count);
	struct capture_server *servers = unix_servers_list(m->config, &setup.server_count);
	int r;

	setup.agents = agents;
	setup.destinations = destinations;
	setup.servers = servers;
	setup.forwarded = forwarded;
	r = capture_apply(m->capture, &setup, e);
	free(agents);
	free_forwarded(forwarded, setup.forwarded_count);
	free(destinations);
	unix_servers_free(servers, setup.server_count);
	return r;
}

int settings_apply(struct monitor *m, struct error *e)
{
	int fd = -1, r = build_image(m, m->config, &fd, e);

	if (r < 0)
		return r;
	if (m->policy_fd >= 0)
		close(m->policy_fd);
	m->policy_fd = fd;
	m->generation++;
	/* The workers first: an agent that is new finds its rules there. */
	for (unsigned i = 0; i < m->worker_count; i++)
		workers_send_policy(m, &m->workers[i]);
	worker_limits_apply(&m->limits, m->config);
	/* What holds agents does not wait for files. */
	r = apply_capture(m, e);
	return r < 0 ? r : ssh_configure(m, e);
}

/* --- reloading --- */

static void remember_problem(struct monitor *m, const char *text)
{
	free(m->reload_problem);
	m->reload_problem = text ? memory_copy_string(text) : NULL;
	store_note(m->store, HOST_CONFIGURED, slice_from_string(m->config_file),
		slice_from_string(text ? text : "in force"));
}

static bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* What only a restart changes. */
static void warn_of_fixed(const struct config *old, const struct config *new)
{
	if (!same(old->state_dir.text, new->state_dir.text) ||
		!same(old->runtime_dir.text, new->runtime_dir.text) ||
		!same(old->user.text, new->user.text) || old->workers.value != new->workers.value ||
		old->listen_port.value != new->listen_port.value)
		log_warning("state_dir, runtime_dir, user, workers and listen_port change at the "
			    "next start");
}

static void reload(struct monitor *m)
{
	struct config *config, *old = m->config;
	struct error e;

	if (load(m, &config, &e) < 0) {
		log_error("the configuration in force stays: %s", e.text);
		remember_problem(m, e.text);
		settings_watch(m, &e);
		return;
	}
	warn_of_fixed(old, config);
	m->config = config;
	name_names(m);
	if (settings_apply(m, &e) < 0 || openid_configure(m, &e) < 0 ||
		slack_configure(m, &e) < 0 || metrics_configure(m, &e) < 0) {
		log_error("the configuration in force stays: %s", e.text);
		m->config = old;
		name_names(m);
		remember_problem(m, e.text);
		config_free(config);
		if (settings_apply(m, &e) < 0 || openid_configure(m, &e) < 0 ||
			metrics_configure(m, &e) < 0)
			log_error("%s", e.text);
		return;
	}
	reviews_configure(m);
	slack_on_configured(m);
	config_free(old);
	remember_problem(m, NULL);
	log_info(
		"the new configuration is in force (generation %lu)", (unsigned long)m->generation);
	settings_watch(m, &e);
}

/* Between two there is time for what workers ask under the policy in force, however often somebody
 * asks for a reload and however long one takes: an answer to a question of the last policy is none.
 */
void settings_reload(struct monitor *m)
{
	uint64_t begun = clock_monotonic(), done;

	m->reload_at = 0;
	reload(m);
	done = clock_monotonic();
	m->reload_rests = done + (done - begun > RELOAD_DELAY ? done - begun : RELOAD_DELAY);
}

void settings_on_names(struct monitor *m)
{
	struct error e;

	if (settings_apply(m, &e) < 0)
		log_error("names: %s", e.text);
}

/* The kernel lets flows pass that were judged under this generation of the policy, and asks again
 * under the next. */
void settings_on_principals(struct monitor *m)
{
	for (size_t i = 0; i < m->config->agent_count; i++) {
		struct error e;

		if (udp_of(m->config, &m->config->agents[i]) != UDP_POLICY)
			continue;
		if (settings_apply(m, &e) < 0)
			log_error("agents: %s", e.text);
		return;
	}
}

/* --- watching --- */

static void on_watch(struct loop_source *source)
{
	struct monitor *m = source->context;
	uint8_t events[4096];

	while (read(source->fd, events, sizeof(events)) > 0)
		;
	m->reload_at = clock_monotonic() + RELOAD_DELAY;
}

/* The folders, as editors replace files and globs find new ones. */
static void watch_folder_of(int fd, const char *file)
{
	char *copy = memory_copy_string(file);

	inotify_add_watch(
		fd, dirname(copy), IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE);
	free(copy);
}

int settings_watch(struct monitor *m, struct error *e)
{
	if (m->watch.fd < 0) {
		int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

		if (fd < 0)
			return error_set_errno(e, -errno, "inotify_init1");
		loop_add(&m->loop, &m->watch, fd, on_watch, m);
	}
	watch_folder_of(m->watch.fd, m->config_file);
	for (size_t i = 0; i < m->config->policies.count; i++)
		watch_folder_of(m->watch.fd, m->config->policies.items[i].text);
	for (size_t i = 0; i < m->config->policy_file_count; i++)
		watch_folder_of(m->watch.fd, m->config->policy_files[i]);
	/* Their certificates travel with the policy; other secrets are read when they are used. */
	for (size_t i = 0; i < m->config->resource_count; i++) {
		const struct config_credentials *given = m->config->resources[i].credentials;

		if (given && given->client_cert_file.text)
			watch_folder_of(m->watch.fd, given->client_cert_file.text);
	}
	return 0;
}
