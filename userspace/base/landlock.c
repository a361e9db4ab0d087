/* SPDX-License-Identifier: Apache-2.0 */
#include "base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Those of the first version. */
#define FILES_FIRST ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

int landlock_version(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version < 0 ? 0 : (int)version;
}

static int allow_everywhere(int rules, uint64_t access)
{
	struct landlock_path_beneath_attr beneath = {.allowed_access = access};
	int r;

	beneath.parent_fd = open("/", O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return -errno;
	r = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0
		? -errno
		: 0;
	close(beneath.parent_fd);
	return r;
}

int landlock_enter(const struct landlock_rules *rules, uint64_t everywhere, struct error *e)
{
	/* A kernel that knows fewer fields takes the others while they are zero. */
	int fd = (int)syscall(SYS_landlock_create_ruleset, rules, sizeof(*rules), 0), r = 0;

	if (fd < 0)
		return error_set_errno(e, -errno, "Landlock");
	if (everywhere)
		r = allow_everywhere(fd, everywhere);
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	close(fd);
	return r < 0 ? error_set_errno(e, r, "Landlock") : 0;
}

static uint64_t all_files(int version)
{
	uint64_t files = FILES_FIRST;

	if (version >= LANDLOCK_VERSION_REFER)
		files |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= LANDLOCK_VERSION_TRUNCATE)
		files |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (version >= LANDLOCK_VERSION_IOCTL)
		files |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return files;
}

int landlock_shut(int version, bool dials, struct error *e)
{
	struct landlock_rules rules = {.files = all_files(version)};

	if (version < 1)
		return 0;
	if (version >= LANDLOCK_VERSION_NETWORK)
		rules.network = LANDLOCK_ACCESS_NET_BIND_TCP |
			(dials ? 0 : LANDLOCK_ACCESS_NET_CONNECT_TCP);
	if (version >= LANDLOCK_VERSION_SCOPES)
		rules.scopes = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
#ifdef __SANITIZE_ADDRESS__
	/* Reports name the places in the program's own file. */
	rules.files &= ~(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR);
#endif
	/* The time zone is read from a file, at the first use. */
	tzset();
	return landlock_enter(&rules, 0, e);
}
