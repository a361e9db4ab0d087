/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/program_hash.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "capture/origin.h"

#define READ_SIZE 65536
#define TRIES 3

void program_hashes_init(struct program_hashes *h)
{
	memset(h, 0, sizeof(*h));
	pthread_mutex_init(&h->mutex, NULL);
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const struct program_file *a, const struct program_file *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
		is_same_time(&a->modified, &b->modified) && is_same_time(&a->changed, &b->changed);
}

/* Filesystems whose stat(2) gives another device than the kernel has inside: there the inode has to
 * do. */
static bool has_other_devices(int fd)
{
	struct statfs s;

	return fstatfs(fd, &s) == 0 &&
		(s.f_type == OVERLAYFS_SUPER_MAGIC || s.f_type == BTRFS_SUPER_MAGIC);
}

static int look(int fd, const struct message_process *process, struct program_file *ret)
{
	const struct origin origin = {
		.exe_inode = process->exe_inode, .exe_device = (uint32_t)process->exe_device};
	struct stat s;

	if (fstat(fd, &s) < 0)
		return -errno;
	if (!S_ISREG(s.st_mode) || s.st_size == 0 || file_is_served_by_process(fd))
		return -EINVAL;
	if (s.st_size > LIMIT_PROGRAM_BYTES)
		return -EFBIG;
	if (!origin_is_program(&origin, &s) &&
		(s.st_ino != process->exe_inode || !has_other_devices(fd)))
		return -ESRCH;
	*ret = (struct program_file){s.st_dev, s.st_ino, s.st_size, s.st_mtim, s.st_ctim};
	return 0;
}

static bool find(
	struct program_hashes *h, const struct program_file *file, uint8_t ret[MESSAGE_HASH_SIZE])
{
	bool found = false;

	pthread_mutex_lock(&h->mutex);
	for (unsigned i = 0; !found && i < LIMIT_PROGRAMS_KNOWN; i++) {
		found = is_same(&h->known[i].file, file);
		if (found)
			memcpy(ret, h->known[i].hash, MESSAGE_HASH_SIZE);
	}
	pthread_mutex_unlock(&h->mutex);
	return found;
}

static void remember(struct program_hashes *h, const struct program_file *file,
	const uint8_t hash[MESSAGE_HASH_SIZE])
{
	pthread_mutex_lock(&h->mutex);
	h->known[h->next].file = *file;
	memcpy(h->known[h->next].hash, hash, MESSAGE_HASH_SIZE);
	h->next = (h->next + 1) % LIMIT_PROGRAMS_KNOWN;
	pthread_mutex_unlock(&h->mutex);
}

static int digest(int fd, off_t size, uint8_t ret[MESSAGE_HASH_SIZE])
{
	uint8_t *room = memory_new(READ_SIZE);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
	ssize_t n = 0;

	while (good && size > 0 && (n = read(fd, room, READ_SIZE)) > 0) {
		good = EVP_DigestUpdate(context, room, (size_t)n) == 1;
		size -= n;
	}
	good = good && n >= 0 && EVP_DigestFinal_ex(context, ret, NULL) == 1;
	EVP_MD_CTX_free(context);
	free(room);
	return good ? 0 : -EIO;
}

/* -EAGAIN: it changed meanwhile. */
static int hash_once(struct program_hashes *h, int fd, const struct message_process *process,
	uint8_t ret[MESSAGE_HASH_SIZE])
{
	struct program_file before, after;
	int r = look(fd, process, &before);

	if (r < 0 || find(h, &before, ret))
		return r;
	r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : digest(fd, before.size, ret);
	if (r == 0)
		r = look(fd, process, &after);
	if (r == 0 && !is_same(&before, &after))
		r = -EAGAIN;
	if (r == 0)
		remember(h, &before, ret);
	return r;
}

/* The link of /proc leads to the very file that runs, whatever its name leads to now. That name may
 * go to another file meanwhile, as when a package is upgraded: this, too, is a change of the file.
 */
int program_hash(struct program_hashes *h, int folder, const struct message_process *process,
	uint8_t ret[MESSAGE_HASH_SIZE])
{
	int fd = openat(folder, "exe", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	uint8_t hash[MESSAGE_HASH_SIZE];
	int r = -EAGAIN;

	if (fd < 0)
		return -errno;
	for (int i = 0; r == -EAGAIN && i < TRIES; i++)
		r = hash_once(h, fd, process, hash);
	close(fd);
	if (r == 0)
		memcpy(ret, hash, sizeof(hash));
	return r;
}
