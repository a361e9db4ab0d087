/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char log_name[32] = "wayleave";
static int log_prefix = -1; /* -1: not decided yet, and so no */

void log_set_name(const char *name)
{
	snprintf(log_name, sizeof(log_name), "%s", name);
	/* Here, because a worker's sandbox refuses the ioctl() by the time of its first line. */
	if (log_prefix < 0)
		log_prefix = !isatty(STDERR_FILENO);
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[2048];
	va_list arguments;
	int n = 0, m;

	if (log_prefix > 0)
		n = snprintf(line, sizeof(line), "<%d>", (int)level);
	n += snprintf(line + n, sizeof(line) - (size_t)n, "%s: ", log_name);
	va_start(arguments, format);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, arguments);
	va_end(arguments);
	if (m < 0)
		return;
	n += m;
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	for (int i = 0; i < n; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[n++] = '\n';
	/* One write per line, so that lines of several processes don't mix. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}
