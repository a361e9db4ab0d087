/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/salted.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/locked.h"
#include "base/memory.h"
#include "base/random.h"

#define TAG_SIZE 32

struct entry {
	uint8_t tag[TAG_SIZE];
	struct scram_keys keys;
	uint64_t used; /* counts up; 0: empty */
};

struct salted {
	uint8_t key[32];
	uint64_t clock;
	struct entry entries[LIMIT_PROOF_KEYS];
};

/* Of fixed places, so that no two have the same bytes. */
struct tag_input {
	uint32_t iterations, salt_length, password_length;
	uint8_t salt[SCRAM_SALT_MOST];
	uint8_t password[LIMIT_SECRET_BYTES];
};

struct salted *salted_new(void)
{
	struct salted *s = locked_new(sizeof(*s));

	random_fill(s->key, sizeof(s->key));
	return s;
}

void salted_free(struct salted *s)
{
	locked_free(s, sizeof(*s));
}

static int make_tag(const struct salted *s, const struct scram_exchange *x, struct slice password,
	uint8_t ret[TAG_SIZE])
{
	struct tag_input in = {x->iterations, x->salt_length, (uint32_t)password.length};
	unsigned length;
	int r = 0;

	if (password.length > sizeof(in.password))
		return -EINVAL;
	memcpy(in.salt, x->salt, x->salt_length);
	memcpy(in.password, password.data, password.length);
	if (!HMAC(EVP_sha256(), s->key, sizeof(s->key), (const uint8_t *)&in, sizeof(in), ret,
		    &length))
		r = -EIO;
	memory_wipe(&in, sizeof(in));
	return r;
}

/* The entry with that tag, else the one that was not used for the longest time. */
static struct entry *find(struct salted *s, const uint8_t tag[TAG_SIZE], bool *ret_found)
{
	struct entry *oldest = s->entries;

	*ret_found = false;
	for (size_t i = 0; i < LIMIT_PROOF_KEYS; i++) {
		struct entry *entry = &s->entries[i];

		if (entry->used && memcmp(entry->tag, tag, TAG_SIZE) == 0) {
			*ret_found = true;
			return entry;
		}
		if (entry->used < oldest->used)
			oldest = entry;
	}
	return oldest;
}

int salted_keys(struct salted *s, const struct scram_exchange *x, struct slice password,
	struct scram_keys *ret)
{
	uint8_t tag[TAG_SIZE];
	struct entry *entry;
	bool found;
	int r = make_tag(s, x, password, tag);

	if (r < 0)
		return r;
	entry = find(s, tag, &found);
	if (!found) {
		entry->used = 0;
		r = scram_derive(x, password, &entry->keys);
		if (r < 0)
			return r;
		memcpy(entry->tag, tag, TAG_SIZE);
	}
	entry->used = ++s->clock;
	*ret = entry->keys;
	return 0;
}
