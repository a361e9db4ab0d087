/* SPDX-License-Identifier: Apache-2.0
 *
 * The caller's environment. It comes by a descriptor, because the loader strips the environment of
 * a setuid program (LD_LIBRARY_PATH and the like), which the command is to have; the launcher
 * itself runs with an empty one.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/trust_store.h"
#include "base/trust_variables.h"
#include "launcher/launcher.h"

/* execve(2) takes at most three quarters of the 8 MiB that are the default stack limit. */
#define ENVIRONMENT_MOST (8u << 20)

static size_t count_strings(struct slice content)
{
	size_t count = 0;

	for (size_t i = 0; i < content.length; i++)
		count += content.data[i] == 0;
	return count;
}

int environment_take(int fd, char ***ret, struct error *e)
{
	struct buffer content;
	struct slice rest;
	char **strings;
	size_t count;
	int r;

	buffer_init(&content, ENVIRONMENT_MOST);
	r = file_read_descriptor(fd, &content);
	close(fd);
	rest = buffer_slice(&content);
	if (r == 0 && rest.length && rest.data[rest.length - 1] != 0)
		r = -EBADMSG;
	if (r < 0) {
		buffer_done(&content);
		return error_set_errno(e, r, "the environment");
	}
	strings = memory_new_array(count_strings(rest) + 1, sizeof(*strings));
	for (count = 0; rest.length; count++) {
		size_t length = strlen((const char *)rest.data);

		strings[count] = memory_copy_text(rest.data, length);
		rest = slice_from(rest, length + 1);
	}
	buffer_done(&content);
	*ret = strings;
	return 0;
}

void environment_free(char **environment)
{
	for (size_t i = 0; environment && environment[i]; i++)
		free(environment[i]);
	free(environment);
}

static void set_variable(char ***environment, const char *name, const char *value)
{
	char *entry = memory_format("%s=%s", name, value);
	size_t length = strlen(name) + 1, count = 0;

	for (; (*environment)[count]; count++) {
		if (strncmp((*environment)[count], entry, length) == 0) {
			free((*environment)[count]);
			(*environment)[count] = entry;
			return;
		}
	}
	*environment = memory_resize_array(*environment, count + 2, sizeof(**environment));
	(*environment)[count] = entry;
	(*environment)[count + 1] = NULL;
}

const char *environment_get(char *const *environment, const char *name)
{
	size_t length = strlen(name);

	for (; *environment; environment++) {
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return *environment + length + 1;
	}
	return NULL;
}

/* A value of the caller's own stays, unless it says no more than what the system's store is: then
 * the same with the host's CA is meant. */
void environment_set_trust(char ***environment, const struct run_plan *plan)
{
	const char *name;

	if (!*plan->trust_file)
		return;
	for (size_t i = 0; (name = trust_variable(i)); i++) {
		const char *value = environment_get(*environment, name);

		if (!value || trust_store_is(value))
			set_variable(environment, name, plan->trust_file);
	}
}

void environment_set_user(char ***environment, const struct run_plan *plan)
{
	if (plan->flags & RUN_PLAN_KEEP_USER)
		return;
	set_variable(environment, "HOME", plan->home);
	set_variable(environment, "USER", plan->user);
	set_variable(environment, "LOGNAME", plan->user);
}
