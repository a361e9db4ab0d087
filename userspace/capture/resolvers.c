/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/resolvers.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/file.h"

#define FILE_NAME "/etc/resolv.conf"
#define FILE_MOST 65536
#define BLANKS " \t\r"

/* A zone ("fe80::1%eth0") is left out: nft takes none, and the address is enough. */
static void add(struct resolvers *list, const char *word, size_t length)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct resolver r = {0};
	uint8_t address[16];
	const char *zone = memchr(word, '%', length);

	if (zone)
		length = (size_t)(zone - word);
	if (length >= sizeof(r.text) || list->count == RESOLVERS_MOST)
		return;
	memcpy(r.text, word, length);
	for (size_t i = 0; i < 2; i++) {
		if (inet_pton(families[i], r.text, address) != 1)
			continue;
		r.family = families[i];
		list->items[list->count++] = r;
		return;
	}
}

void resolvers_parse(const char *text, struct resolvers *ret)
{
	static const char key[] = "nameserver";

	memset(ret, 0, sizeof(*ret));
	while (*text) {
		size_t length = strcspn(text, "\n");
		size_t blanks = strncmp(text, key, sizeof(key) - 1) == 0
			? strspn(text + sizeof(key) - 1, BLANKS)
			: 0;
		const char *word = text + sizeof(key) - 1 + blanks;

		if (blanks > 0)
			add(ret, word, strcspn(word, BLANKS "\n"));
		text += length + (text[length] == '\n');
	}
}

void resolvers_read(struct resolvers *ret)
{
	struct buffer text;

	memset(ret, 0, sizeof(*ret));
	buffer_init(&text, FILE_MOST);
	if (file_read(FILE_NAME, &text, NULL) == 0 && buffer_append_byte(&text, 0) == 0)
		resolvers_parse((const char *)buffer_slice(&text).data, ret);
	buffer_done(&text);
}

uint64_t resolvers_version(void)
{
	struct stat s;

	if (stat(FILE_NAME, &s) < 0)
		return 0;
	return (uint64_t)s.st_ino ^ (uint64_t)s.st_size << 32 ^
		(uint64_t)s.st_mtim.tv_sec * 1000000007u ^ (uint64_t)s.st_mtim.tv_nsec;
}
