/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/user_name.h"

#include <errno.h>
#include <pwd.h>
#include <stddef.h>

int user_name(uid_t uid, const char **ret)
{
	const struct passwd *user;

	errno = 0;
	user = getpwuid(uid);
	if (user) {
		*ret = user->pw_name;
		return 0;
	}
	switch (errno) {
	/* Those that getpwuid(3) lists for "no such user". */
	case 0:
	case ENOENT:
	case ESRCH:
	case EBADF:
	case EPERM:
		*ret = NULL;
		return 0;
	default:
		return -errno;
	}
}
