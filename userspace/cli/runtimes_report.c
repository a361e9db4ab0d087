/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose runtimes are looked for: root's, who may start every agent, and those of the agents' users.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/runtimes.h"

static bool has(const cJSON *list, const cJSON *wanted)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		if (cJSON_Compare(item, wanted, true))
			return true;
	}
	return false;
}

static int add_user(
	const struct passwd *user, const struct runtimes_ca *ca, cJSON *list, struct error *e)
{
	cJSON *found = cJSON_CreateArray();
	int r = runtimes_list_as(user, ca, found);

	while (r == 0 && cJSON_GetArraySize(found)) {
		cJSON *item = cJSON_DetachItemFromArray(found, 0);

		if (has(list, item))
			cJSON_Delete(item);
		else
			cJSON_AddItemToArray(list, item);
	}
	cJSON_Delete(found);
	return r < 0 ? error_set_errno(e, r, "looking for the runtimes of user %s", user->pw_name)
		     : 0;
}

static bool is_first(const char *const *names, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (strcmp(names[i], names[index]) == 0)
			return false;
	}
	return true;
}

static size_t list_users(const struct config *c, const char *ret[RUNTIMES_USERS_MOST])
{
	size_t count = 0;

	ret[count++] = "root";
	for (size_t i = 0; i < c->agent_count; i++) {
		const struct config_texts *users = &c->agents[i].users;

		for (size_t j = 0; j < users->count && count < RUNTIMES_USERS_MOST; j++)
			ret[count++] = users->items[j].text;
	}
	return count;
}

static int report(
	const struct config *c, const struct runtimes_ca *ca, cJSON *list, struct error *e)
{
	const char *names[RUNTIMES_USERS_MOST];
	size_t count = list_users(c, names);
	int result = 0;

	for (size_t i = 0; i < count; i++) {
		const struct passwd *user = is_first(names, i) ? getpwnam(names[i]) : NULL;
		int r = user ? add_user(user, ca, list, e) : 0;

		if (r < 0)
			result = r;
	}
	return result;
}

int runtimes_report(const struct config *c, cJSON *ret, struct error *e)
{
	char *path = memory_format("%s/ca/ca.pem", c->state_dir.text);
	struct runtimes_ca ca;
	struct buffer pem;
	int r;

	buffer_init(&pem, 65536);
	r = file_read(path, &pem, e);
	if (r == 0 && runtimes_ca_init(&ca, buffer_slice(&pem)) < 0)
		r = error_set(e, -EINVAL, "%s is no certificate", path);
	if (r == 0) {
		r = report(c, &ca, ret, e);
		runtimes_ca_done(&ca);
	}
	buffer_done(&pem);
	free(path);
	return r;
}
