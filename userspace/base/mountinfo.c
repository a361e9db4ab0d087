/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mountinfo.h"

#include <string.h>

/* Space, tab, newline and backslash stand there as "\040" and the like. */
static void decode_octal(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] && from[2] && from[3]) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue */
bool mountinfo_parse(char *line, struct mountinfo *ret)
{
	char *type = strstr(line, " - "), *source, *words[5], *save;

	if (!type)
		return false;
	*type = '\0';
	type += 3;
	for (int i = 0; i < 5; i++) {
		words[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
		if (!words[i])
			return false;
	}
	type = strtok_r(type, " ", &save);
	source = type ? strtok_r(NULL, " ", &save) : NULL;
	if (!source)
		return false;
	decode_octal(words[3]);
	decode_octal(words[4]);
	decode_octal(source);
	*ret = (struct mountinfo){words[2], words[3], words[4], type, source};
	return true;
}
