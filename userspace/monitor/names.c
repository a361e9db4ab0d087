/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/names.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define LOOKUP_EVERY 30 /* seconds */
#define ADDRESS_KEPT (24 * 3600 * NANOSECONDS_PER_SECOND)
#define ADDRESSES_MOST 4096
#define END_TIME (300 * NANOSECONDS_PER_MILLISECOND)

struct known {
	char *name;
	struct address address;
	uint64_t seen; /* monotonic */
};

struct names {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	bool stopping, asked;
	char **names;
	size_t name_count;
	struct known *known;
	size_t known_count;
	char **missing; /* names that had no address when last looked up; the thread's alone */
	size_t missing_count;
	int event;
};

static void free_names(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static char **copy_names(char *const *names, size_t count)
{
	char **copy = memory_new_array(count, sizeof(*copy));

	for (size_t i = 0; i < count; i++)
		copy[i] = memory_copy_string(names[i]);
	return copy;
}

static void address_of(const struct sockaddr *from, struct address *ret)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	if (from->sa_family == AF_INET6) {
		memcpy(ret->bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
		return;
	}
	memcpy(ret->bytes, mapped, sizeof(mapped));
	memcpy(ret->bytes + 12, &((const struct sockaddr_in *)from)->sin_addr, 4);
}

/* Under the mutex. True: it was not known. */
static bool remember(struct names *n, const char *name, const struct address *address)
{
	for (size_t i = 0; i < n->known_count; i++) {
		struct known *k = &n->known[i];

		if (strcmp(k->name, name) == 0 &&
			memcmp(&k->address, address, sizeof(*address)) == 0) {
			k->seen = clock_monotonic();
			return false;
		}
	}
	if (n->known_count == ADDRESSES_MOST)
		return false;
	n->known = memory_resize_array(n->known, n->known_count + 1, sizeof(*n->known));
	n->known[n->known_count++] = (struct known){
		.name = memory_copy_string(name), .address = *address, .seen = clock_monotonic()};
	return true;
}

/* Says so when a name stops or begins to resolve; `problem` NULL: it does. */
static void note_lookup(struct names *n, const char *name, const char *problem)
{
	size_t i = 0;

	while (i < n->missing_count && strcmp(n->missing[i], name) != 0)
		i++;
	if (problem && i == n->missing_count) {
		log_warning("%s can't be resolved: %s", name, problem);
		n->missing = memory_resize_array(n->missing, i + 1, sizeof(*n->missing));
		n->missing[n->missing_count++] = memory_copy_string(name);
	} else if (!problem && i < n->missing_count) {
		log_info("%s is resolved again", name);
		free(n->missing[i]);
		n->missing[i] = n->missing[--n->missing_count];
	}
}

/* Blocks; false: nothing new. What can't be resolved now keeps what it had. */
static bool look_up(struct names *n, const char *name)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	bool changed = false;
	int r = getaddrinfo(name, NULL, &hints, &found);

	note_lookup(n, name, r ? gai_strerror(r) : NULL);
	if (r)
		return false;
	pthread_mutex_lock(&n->mutex);
	for (struct addrinfo *a = found; a; a = a->ai_next) {
		struct address address;

		if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
			continue;
		address_of(a->ai_addr, &address);
		changed |= remember(n, name, &address);
	}
	pthread_mutex_unlock(&n->mutex);
	freeaddrinfo(found);
	return changed;
}

/* Under the mutex. */
static bool forget_old(struct names *n)
{
	uint64_t now = clock_monotonic();
	size_t kept = 0, before = n->known_count;

	for (size_t i = 0; i < before; i++) {
		if (now - n->known[i].seen > ADDRESS_KEPT)
			free(n->known[i].name);
		else
			n->known[kept++] = n->known[i];
	}
	n->known_count = kept;
	return kept != before;
}

static void tell(struct names *n)
{
	uint64_t one = 1;

	if (write(n->event, &one, sizeof(one)) < 0)
		return; /* full: it is readable */
}

/* Waits for the next round; the names to look up in it are the caller's. */
static char **next_round(struct names *n, size_t *ret_count, bool *ret_asked)
{
	struct timespec until;
	char **names;

	/* A clock that is set must not make rounds wait for it. */
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOOKUP_EVERY;
	while (!n->asked && !n->stopping) {
		if (pthread_cond_clockwait(&n->wake, &n->mutex, CLOCK_MONOTONIC, &until) ==
			ETIMEDOUT)
			break;
	}
	*ret_asked = n->asked;
	n->asked = false;
	names = copy_names(n->names, n->name_count);
	*ret_count = n->name_count;
	return names;
}

static void *names_thread(void *context)
{
	struct names *n = context;

	pthread_mutex_lock(&n->mutex);
	while (!n->stopping) {
		bool changed, asked;
		size_t count;
		char **names = next_round(n, &count, &asked);

		changed = forget_old(n);
		pthread_mutex_unlock(&n->mutex);
		for (size_t i = 0; i < count && !n->stopping; i++)
			changed |= look_up(n, names[i]);
		free_names(names, count);
		if (changed || asked)
			tell(n);
		pthread_mutex_lock(&n->mutex);
	}
	pthread_mutex_unlock(&n->mutex);
	return NULL;
}

int names_new(struct names **ret)
{
	struct names *n = memory_new(sizeof(*n));
	int r;

	pthread_mutex_init(&n->mutex, NULL);
	pthread_cond_init(&n->wake, NULL);
	n->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = n->event < 0 ? -errno : -pthread_create(&n->thread, NULL, names_thread, n);
	if (r < 0) {
		free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void names_free(struct names *n)
{
	struct timespec until;

	if (!n)
		return;
	pthread_mutex_lock(&n->mutex);
	n->stopping = true;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->mutex);
	/* A resolver that waits for its server can't be stopped; the thread ends with the process.
	 */
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)END_TIME;
	until.tv_sec += until.tv_nsec / (long)NANOSECONDS_PER_SECOND;
	until.tv_nsec %= (long)NANOSECONDS_PER_SECOND;
	if (pthread_clockjoin_np(n->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
		return;
	close(n->event);
	free_names(n->names, n->name_count);
	free_names(n->missing, n->missing_count);
	for (size_t i = 0; i < n->known_count; i++)
		free(n->known[i].name);
	free(n->known);
	free(n);
}

void names_set(struct names *n, const char *const *names, size_t count)
{
	pthread_mutex_lock(&n->mutex);
	free_names(n->names, n->name_count);
	n->names = copy_names((char *const *)names, count);
	n->name_count = count;
	n->asked = true;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->mutex);
}

int names_event(const struct names *n)
{
	return n->event;
}

size_t names_take(struct names *n, struct policy_address **ret)
{
	struct policy_address *addresses;
	uint64_t count;
	size_t known;

	if (read(n->event, &count, sizeof(count)) < 0)
		count = 0;
	pthread_mutex_lock(&n->mutex);
	known = n->known_count;
	addresses = memory_new_array(known, sizeof(*addresses));
	for (size_t i = 0; i < known; i++) {
		addresses[i].name = slice_from_string(memory_copy_string(n->known[i].name));
		addresses[i].address = n->known[i].address;
	}
	pthread_mutex_unlock(&n->mutex);
	*ret = addresses;
	return known;
}

void names_free_addresses(struct policy_address *addresses, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free((void *)addresses[i].name.data);
	free(addresses);
}
