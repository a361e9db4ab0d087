/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "protocol/ssh/sftp_internal.h"

struct sftp_file *sftp_files_add(struct sftp_files *f, struct sftp_reference *ret)
{
	for (uint32_t i = 0; i < LIMIT_SFTP_FILES; i++) {
		if (f->items[i])
			continue;
		f->items[i] = memory_new(sizeof(*f->items[i]));
		f->last_serial += f->last_serial == UINT32_MAX ? 2 : 1;
		f->items[i]->serial = f->last_serial;
		buffer_init(&f->items[i]->name, 2 * SFTP_PATH_MOST);
		f->count++;
		*ret = (struct sftp_reference){i, f->last_serial};
		return f->items[i];
	}
	return NULL;
}

struct sftp_file *sftp_files_get(const struct sftp_files *f, struct sftp_reference reference)
{
	struct sftp_file *file =
		reference.index < LIMIT_SFTP_FILES ? f->items[reference.index] : NULL;

	return file && file->serial == reference.serial ? file : NULL;
}

struct sftp_file *sftp_files_find(
	const struct sftp_files *f, struct slice handle, struct sftp_reference *ret)
{
	struct sftp_file *file;

	if (handle.length != SFTP_HANDLE_SIZE)
		return NULL;
	*ret = (struct sftp_reference){bytes_get_u32(handle.data), bytes_get_u32(handle.data + 4)};
	file = sftp_files_get(f, *ret);
	return file && !file->closing ? file : NULL;
}

bool sftp_transfer_begin(struct sftp_transfer *t, uint64_t offset, uint64_t length)
{
	bool first = t->bytes == 0 && !t->scattered;

	if (first)
		t->start = t->next = offset;
	t->scattered |= offset != t->next;
	t->bytes += length;
	t->next = offset + length;
	if (t->scattered || length == 0)
		return false;
	if (!t->digest) {
		t->digest = EVP_MD_CTX_new();
		t->scattered |= !t->digest || !EVP_DigestInit_ex(t->digest, EVP_sha256(), NULL);
	}
	return !t->scattered;
}

void sftp_transfer_add(struct sftp_transfer *t, struct slice bytes)
{
	t->scattered |= !EVP_DigestUpdate(t->digest, bytes.data, bytes.length);
}

/* "read 12 bytes, sha256 …" */
static void describe(struct sftp_transfer *t, const char *verb, struct buffer *ret)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	if (!t->bytes && !t->scattered)
		return;
	buffer_append_format(
		ret, "%s%s %" PRIu64 " bytes", buffer_length(ret) ? "; " : "", verb, t->bytes);
	if (t->failed)
		buffer_append_string(ret, ", not all taken by the host");
	if (t->scattered) {
		buffer_append_string(ret, ", not in order");
		return;
	}
	if (t->start)
		buffer_append_format(ret, " from %" PRIu64, t->start);
	if (!t->digest || !EVP_DigestFinal_ex(t->digest, digest, &length))
		return;
	buffer_append_string(ret, ", sha256 ");
	for (unsigned i = 0; i < length; i++)
		buffer_append_format(ret, "%02x", digest[i]);
}

static void forget(struct sftp_files *f, uint32_t index)
{
	struct sftp_file *file = f->items[index];

	for (size_t i = 0; i < SFTP_DIRECTION_COUNT; i++)
		EVP_MD_CTX_free(file->transfers[i].digest);
	buffer_done(&file->name);
	free(file);
	f->items[index] = NULL;
	f->count--;
}

void sftp_files_close(
	struct sftp_files *f, struct deeds_host *host, struct sftp_reference reference)
{
	struct sftp_file *file = sftp_files_get(f, reference);
	struct bridge_result result = {0};
	struct buffer text;

	if (!file)
		return;
	buffer_init(&text, 1024);
	describe(&file->transfers[SFTP_FROM_HOST], "read", &text);
	describe(&file->transfers[SFTP_TO_HOST], "wrote", &text);
	if (!buffer_length(&text))
		buffer_append_string(&text, file->folder ? "listed" : "no data");
	result.to_agent = file->transfers[SFTP_FROM_HOST].bytes;
	result.to_server = file->transfers[SFTP_TO_HOST].bytes;
	result.signal = buffer_slice(&text);
	host->done(host, file->question, &result);
	buffer_done(&text);
	forget(f, reference.index);
}

void sftp_files_done(struct sftp_files *f, struct deeds_host *host)
{
	for (uint32_t i = 0; i < LIMIT_SFTP_FILES; i++) {
		if (f->items[i])
			sftp_files_close(f, host, (struct sftp_reference){i, f->items[i]->serial});
	}
}
