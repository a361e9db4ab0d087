/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

static int compare_streams(const struct segment_name *a, const struct segment_name *b)
{
	int order = strncmp(a->incarnation.text, b->incarnation.text, IDENTIFIER_SIZE);

	return order ? order : (int)a->kind - (int)b->kind;
}

static int compare_files(const void *left, const void *right)
{
	const struct segment_name *a = &((const struct segment_file *)left)->name;
	const struct segment_name *b = &((const struct segment_file *)right)->name;
	int order = compare_streams(a, b);

	if (order)
		return order;
	if (a->segment != b->segment)
		return a->segment < b->segment ? -1 : 1;
	return (int)a->compressed - (int)b->compressed;
}

bool segment_is_same_stream(const struct segment_name *a, const struct segment_name *b)
{
	return compare_streams(a, b) == 0;
}

static int stat_segment(int folder, const struct segment_name *name, struct stat *ret)
{
	char text[SEGMENT_NAME_SIZE];

	segment_name_format(name, text);
	return fstatat(folder, text, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static void segment_list_add(struct segment_list *l, int folder, const char *name)
{
	struct segment_file file = {0};
	struct stat s;
	int r = segment_name_parse(name, &file.name);

	if (r == 0)
		r = stat_segment(folder, &file.name, &s);
	/* Compressed since its name was read; the other name may have stood before it. */
	if (r == -ENOENT && !file.name.compressed) {
		file.name.compressed = true;
		r = stat_segment(folder, &file.name, &s);
	}
	if (r < 0 || !S_ISREG(s.st_mode))
		return;
	file.size = (uint64_t)s.st_size;
	file.modified =
		(uint64_t)s.st_mtim.tv_sec * NANOSECONDS_PER_SECOND + (uint64_t)s.st_mtim.tv_nsec;
	if ((l->count & (l->count - 1)) == 0)
		l->files = memory_resize_array(
			l->files, l->count ? l->count * 2 : 1, sizeof(*l->files));
	l->files[l->count++] = file;
}

static bool is_same_segment(const struct segment_name *a, const struct segment_name *b)
{
	return segment_is_same_stream(a, b) && a->segment == b->segment;
}

/* Sorted: what was read twice stands once, as it was last. */
static void segment_list_merge(struct segment_list *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++) {
		struct segment_file *last = kept ? &l->files[kept - 1] : NULL;
		bool again = last && is_same_segment(&last->name, &l->files[i].name);

		if (!again || last->name.compressed != l->files[i].name.compressed)
			l->files[kept++] = l->files[i];
		else if (last->size < l->files[i].size)
			*last = l->files[i];
		l->files[kept - 1].duplicate = kept > 1 &&
			is_same_segment(&l->files[kept - 2].name, &l->files[kept - 1].name);
	}
	l->count = kept;
}

int segment_list_load(struct segment_list *ret, int folder, struct error *e)
{
	struct segment_list l = {0};
	struct dirent *item;
	/* A new description: the position in the folder is shared otherwise. */
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		int r = -errno;

		if (fd >= 0)
			close(fd);
		return error_set_errno(e, r, "the folder can't be read");
	}
	/* Twice: a file that is compressed meanwhile may stand under neither name the first time.
	 */
	for (unsigned pass = 0; pass < 2; pass++) {
		rewinddir(d);
		while ((item = readdir(d)))
			segment_list_add(&l, folder, item->d_name);
	}
	closedir(d);
	if (l.count)
		qsort(l.files, l.count, sizeof(*l.files), compare_files);
	segment_list_merge(&l);
	*ret = l;
	return 0;
}

void segment_list_done(struct segment_list *l)
{
	free(l->files);
	*l = (struct segment_list){0};
}

const struct segment_file *segment_list_find(const struct segment_list *l,
	const struct identifier *incarnation, enum stream_kind kind, uint32_t number)
{
	struct segment_file key = {
		.name = {.incarnation = *incarnation, .kind = kind, .segment = number}};
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_files(&l->files[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == l->count || !segment_is_same_stream(&l->files[low].name, &key.name))
		return NULL;
	return &l->files[low];
}

const struct segment_file *segment_list_next(
	const struct segment_list *l, const struct segment_file *file)
{
	const struct segment_file *end = l->files + l->count, *next = file + 1;

	while (next < end && next->duplicate)
		next++;
	return next < end && segment_is_same_stream(&next->name, &file->name) ? next : NULL;
}

int segment_open(int folder, const struct segment_name *name)
{
	char text[SEGMENT_NAME_SIZE];
	int fd;

	segment_name_format(name, text);
	fd = openat(folder, text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

int segment_open_now(int folder, const struct segment_name *name, bool *ret_compressed)
{
	struct segment_name now = *name;
	int fd = segment_open(folder, &now);

	if (fd == -ENOENT && !now.compressed) {
		now.compressed = true;
		fd = segment_open(folder, &now);
	}
	*ret_compressed = now.compressed;
	return fd;
}
