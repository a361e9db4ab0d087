/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hidden_places.h"

#include <string.h>

#include "base/memory.h"

/* Folders of those who start processes for others (launcher/run_folders.c), elsewhere than in /run;
 * and what cron and at are to start. */
static const char *const places[] = {"/var/lib/incus", "/var/lib/lxd", "/var/snap/lxd/common/lxd",
	"/var/spool/cron", "/var/spool/at", "/etc/crontab", "/etc/cron.d", "/etc/cron.hourly",
	"/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly", "/etc/cron.yearly"};

/* What in these is hidden depends on the configuration and on the agent's user. */
static const char *const roots[] = {"/run", "/var/run", HIDDEN_KEYS_FOLDER, "/home", "/root"};

const char *const *hidden_places(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(places);
	return places;
}

static bool is_in(const char *path, const char *folder, bool or_it_itself)
{
	size_t length = strlen(folder);

	if (strncmp(path, folder, length) != 0)
		return false;
	return path[length] == '/' || (or_it_itself && path[length] == '\0');
}

bool hidden_may_be(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		if (is_in(path, roots[i], false))
			return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (is_in(path, places[i], true))
			return true;
	}
	return false;
}
