/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/path.h"

#include <errno.h>

/* The part that begins at *at, which is moved behind it; false: there is none. */
static bool next_part(struct slice path, size_t *at, struct slice *ret)
{
	size_t start = *at, end;

	while (start < path.length && path.data[start] == '/')
		start++;
	end = start;
	while (end < path.length && path.data[end] != '/')
		end++;
	*at = end;
	*ret = slice_of(path.data + start, end - start);
	return end > start;
}

static int append_parts(struct slice path, struct buffer *ret)
{
	struct slice part;
	size_t at = 0;
	int r = 0;

	while (r == 0 && next_part(path, &at, &part)) {
		if (slice_equal_string(part, "."))
			continue;
		if (slice_equal_string(part, ".."))
			return -ENOENT;
		r = buffer_append_byte(ret, '/');
		if (r == 0)
			r = buffer_append_slice(ret, part);
	}
	return r;
}

static bool is_absolute(struct slice path)
{
	return path.length && path.data[0] == '/';
}

int path_append_absolute(struct slice folder, struct slice path, struct buffer *ret)
{
	size_t before = buffer_length(ret);
	int r = 0;

	if (!is_absolute(path))
		r = is_absolute(folder) ? append_parts(folder, ret) : -ENOENT;
	if (r == 0)
		r = append_parts(path, ret);
	if (r == 0 && buffer_length(ret) == before)
		r = buffer_append_byte(ret, '/');
	if (r < 0)
		buffer_truncate(ret, before);
	return r;
}

/* Without its last part. */
static struct slice folder_above(struct slice folder)
{
	size_t end = folder.length;

	while (end && folder.data[end - 1] == '/')
		end--;
	while (end && folder.data[end - 1] != '/')
		end--;
	return slice_head(folder, end ? end : 1);
}

static struct slice without_slashes(struct slice path)
{
	while (path.length && path.data[0] == '/')
		path = slice_from(path, 1);
	return path;
}

int path_append_behind(struct slice folder, struct slice path, struct buffer *ret)
{
	struct slice part;
	size_t at = 0;

	while (!is_absolute(path) && next_part(path, &at, &part)) {
		if (slice_equal_string(part, ".."))
			folder = folder_above(folder);
		else if (!slice_equal_string(part, "."))
			break;
		path = without_slashes(slice_from(path, at));
		at = 0;
	}
	return path_append_absolute(folder, path, ret);
}

bool path_is_plain(struct slice path)
{
	struct buffer again;
	bool plain;

	buffer_init(&again, path.length + 1);
	plain = is_absolute(path) && path_append_absolute(SLICE_EMPTY, path, &again) == 0 &&
		slice_equal(path, buffer_slice(&again));
	buffer_done(&again);
	return plain;
}

bool path_split(struct slice path, struct slice *ret_folder, struct slice *ret_name)
{
	size_t end = path.length, start;
	struct slice name;

	if (!end)
		return false;
	while (end && path.data[end - 1] == '/')
		end--;
	start = end;
	while (start && path.data[start - 1] != '/')
		start--;
	name = slice_of(path.data + start, end - start);
	if (!name.length || slice_equal_string(name, ".") || slice_equal_string(name, ".."))
		return false;
	*ret_folder = slice_head(path, start);
	*ret_name = name;
	return true;
}
