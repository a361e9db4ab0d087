/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/certificates.h"

#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define CERTIFICATES_MOST 4096
/* Leaves are valid for a day: one that has less left is not shown any more. */
#define CERTIFICATE_LEFT (12 * 3600 * NANOSECONDS_PER_SECOND)

struct waiter {
	struct list link;
	certificates_ready *ready;
	void *context;
};

struct entry {
	struct certificates *owner;
	struct table_node node;
	struct slice name; /* owned */
	SSL_CTX *context; /* NULL while it is asked for */
	uint64_t from, until; /* it is valid: wall clock */
	struct list waiters;
};

void certificates_init(struct certificates *c, struct channel *channel)
{
	c->channel = channel;
	table_init(&c->table);
}

static struct entry *find(struct certificates *c, struct slice name)
{
	struct table_node *node = table_find(&c->table, table_hash_slice(name));

	for (; node; node = table_find_next(&c->table, node)) {
		struct entry *entry = container_of(node, struct entry, node);

		if (slice_equal(entry->name, name))
			return entry;
	}
	return NULL;
}

static void remove_entry(struct certificates *c, struct entry *entry)
{
	table_remove(&c->table, &entry->node);
	SSL_CTX_free(entry->context);
	free((void *)entry->name.data);
	free(entry);
}

static void wake_waiters(struct entry *entry, const char *problem)
{
	while (!list_is_empty(&entry->waiters)) {
		struct waiter *waiter = list_entry(entry->waiters.next, struct waiter, link);

		list_remove(&waiter->link);
		if (waiter->context)
			waiter->ready(waiter->context, problem);
		free(waiter);
	}
}

static uint64_t nanoseconds_of(const ASN1_TIME *time)
{
	struct tm parts;

	return time && ASN1_TIME_to_tm(time, &parts) == 1
		? (uint64_t)timegm(&parts) * NANOSECONDS_PER_SECOND
		: 0;
}

/* By the clock that clients look at: a machine may have slept, and a clock may be set. */
static void note_validity(struct entry *entry)
{
	const X509 *leaf = SSL_CTX_get0_certificate(entry->context);

	entry->from = nanoseconds_of(X509_get0_notBefore(leaf));
	entry->until = nanoseconds_of(X509_get0_notAfter(leaf));
}

static bool is_stale(const struct entry *entry)
{
	uint64_t now = clock_wall();

	return now < entry->from || now + CERTIFICATE_LEFT > entry->until;
}

static void on_minted(void *context, int status, struct slice payload, int fd)
{
	struct entry *entry = context;
	struct error e = {"no certificate can be made for that name"};

	if (fd >= 0)
		close(fd);
	if (status == 0)
		entry->context = tls_server_context(payload, &e);
	else if (payload.length)
		error_set(&e, status, "%.*s", SLICE_PRINT(payload));
	if (entry->context)
		note_validity(entry);
	else
		log_error("no certificate for %.*s: %s", SLICE_PRINT(entry->name), e.text);
	wake_waiters(entry, entry->context ? NULL : e.text);
	if (!entry->context)
		remove_entry(entry->owner, entry);
}

static struct entry *ask(struct certificates *c, struct slice name)
{
	struct entry *entry = memory_new(sizeof(*entry));
	struct message_certificate request = {0};

	entry->owner = c;
	entry->name = slice_of(memory_copy_text(name.data, name.length), name.length);
	list_init(&entry->waiters);
	table_insert(&c->table, &entry->node, table_hash_slice(name));
	channel_ask(c->channel, MESSAGE_CERTIFICATE, &request, sizeof(request), name, -1, on_minted,
		entry);
	return entry;
}

/* Makes room: names are the agents' to choose. */
static void drop_some(struct certificates *c)
{
	for (size_t i = 0; i < c->table.bucket_count; i++) {
		list_for_each_safe (position, &c->table.buckets[i]) {
			struct entry *entry = container_of(position, struct entry, node.link);

			if (entry->context)
				remove_entry(c, entry);
		}
	}
}

SSL_CTX *certificates_find(
	struct certificates *c, struct slice name, certificates_ready *ready, void *context)
{
	struct entry *entry = find(c, name);
	struct waiter *waiter;

	if (entry && entry->context && is_stale(entry)) {
		remove_entry(c, entry);
		entry = NULL;
	}
	if (!entry && c->table.count >= CERTIFICATES_MOST)
		drop_some(c);
	if (!entry)
		entry = ask(c, name);
	if (entry->context)
		return entry->context;
	waiter = memory_new(sizeof(*waiter));
	waiter->ready = ready;
	waiter->context = context;
	list_append(&entry->waiters, &waiter->link);
	return NULL;
}

void certificates_forget(struct certificates *c, const void *context)
{
	for (size_t i = 0; i < c->table.bucket_count; i++) {
		list_for_each (position, &c->table.buckets[i]) {
			struct entry *entry = container_of(position, struct entry, node.link);

			list_for_each (w, &entry->waiters) {
				struct waiter *waiter = list_entry(w, struct waiter, link);

				if (waiter->context == context)
					waiter->context = NULL;
			}
		}
	}
}
