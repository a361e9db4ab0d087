/* SPDX-License-Identifier: Apache-2.0
 *
 * The token of the command, as `wayleave run` read it with its caller's rights.
 */
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/memory.h"
#include "launcher/launcher.h"

int token_take(int fd, char **ret, struct error *e)
{
	struct buffer content;
	struct slice text;
	int r;

	buffer_init(&content, LIMIT_TOKEN_BYTES);
	r = file_read_descriptor(fd, &content);
	close(fd);
	text = buffer_slice(&content);
	if (r == 0 && text.length && memchr(text.data, 0, text.length))
		r = -EBADMSG;
	if (r == 0)
		*ret = text.length ? memory_copy_text(text.data, text.length)
				   : memory_copy_string("");
	buffer_wipe(&content);
	return r < 0 ? error_set_errno(e, r, "the token") : 0;
}
