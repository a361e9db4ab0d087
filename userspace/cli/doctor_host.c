/* SPDX-License-Identifier: Apache-2.0
 *
 * What Wayleave needs of this host: the kernel, its interfaces, the clock, the launcher.
 */
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/landlock.h"
#include "base/memory.h"
#include "base/mountinfo.h"
#include "cli/doctor.h"

static void check_kernel(struct doctor *d)
{
	unsigned long major = 0, minor = 0;
	struct utsname name;
	char *rest = NULL;

	if (uname(&name) == 0)
		major = strtoul(name.release, &rest, 10);
	if (rest && *rest == '.')
		minor = strtoul(rest + 1, NULL, 10);
	if (major == 0)
		doctor_note(d, DOCTOR_FAILED, "kernel", "its release is not known");
	else if (major < 6 || (major == 6 && minor < 1))
		doctor_note(d, DOCTOR_FAILED, "kernel", "%s; 6.1 or newer is needed", name.release);
	else
		doctor_note(d, DOCTOR_OK, "kernel", "%s", name.release);
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		doctor_note(d, DOCTOR_OK, "btf", "/sys/kernel/btf/vmlinux");
	else
		doctor_note(d, DOCTOR_FAILED, "btf",
			"/sys/kernel/btf/vmlinux is not there: the kernel was built without "
			"CONFIG_DEBUG_INFO_BTF");
}

static void check_cgroups(struct doctor *d)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, point[PATH_MAX] = "";
	size_t capacity = 0;
	struct statfs bpf;

	while (mounts && !*point && getline(&line, &capacity, mounts) >= 0) {
		struct mountinfo mount;

		if (mountinfo_parse(line, &mount) && strcmp(mount.type, "cgroup2") == 0 &&
			strcmp(mount.root, "/") == 0)
			snprintf(point, sizeof(point), "%s", mount.point);
	}
	free(line);
	if (mounts)
		fclose(mounts);
	if (*point)
		doctor_note(d, DOCTOR_OK, "cgroups", "cgroup2 at %s", point);
	else
		doctor_note(d, DOCTOR_FAILED, "cgroups", "no cgroup2 is mounted");
	if (statfs("/sys/fs/bpf", &bpf) == 0 && bpf.f_type == BPF_FS_MAGIC)
		doctor_note(d, DOCTOR_OK, "bpffs", "/sys/fs/bpf");
	else
		doctor_note(d, DOCTOR_WARNING, "bpffs",
			"not mounted at /sys/fs/bpf: the daemon mounts it there");
}

static void check_ring(struct doctor *d)
{
	FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
	char text[16] = "";
	long value = 0;

	/* Before kernel 6.6 there is no such setting. */
	if (file) {
		if (fgets(text, sizeof(text), file))
			value = strtol(text, NULL, 10);
		fclose(file);
	}
	if (value == 0)
		doctor_note(d, DOCTOR_OK, "io_uring", "workers may use it");
	else
		doctor_note(d, DOCTOR_FAILED, "io_uring",
			"kernel.io_uring_disabled is %ld and workers can't run: "
			"sysctl kernel.io_uring_disabled=0",
			value);
}

static void check_landlock(struct doctor *d)
{
	int version = landlock_version();

	if (version >= LANDLOCK_VERSION_SCOPES)
		doctor_note(d, DOCTOR_OK, "landlock", "version %d", version);
	else
		doctor_note(d, DOCTOR_WARNING, "landlock",
			"%s: agents may %ssignal processes of the same user and dial their "
			"abstract sockets (kernel 6.12 closes that)",
			version < 1 ? "not there" : "an early version",
			version < LANDLOCK_VERSION_REFER ? "trace and " : "");
}

static void check_clock(struct doctor *d)
{
	struct timex state = {0};

	if (adjtimex(&state) == TIME_ERROR || (state.status & STA_UNSYNC))
		doctor_note(d, DOCTOR_WARNING, "clock",
			"not synchronised: deadlines, tokens and the audit log go by it");
	else if (time(NULL) < 1700000000)
		doctor_note(d, DOCTOR_FAILED, "clock", "it is far off");
	else
		doctor_note(d, DOCTOR_OK, "clock", "synchronised");
}

static void check_launcher(struct doctor *d)
{
	char *path = file_find_program("wayleave-launch");
	struct stat s;

	if (!path || stat(path, &s) < 0)
		doctor_note(d, DOCTOR_FAILED, "launcher", "wayleave-launch is not installed");
	else if (s.st_uid != 0 || !(s.st_mode & S_ISUID))
		doctor_note(d, DOCTOR_WARNING, "launcher",
			"%s is not root's with the setuid bit: only root can start agents", path);
	else if (s.st_mode & (S_IWGRP | S_IWOTH))
		doctor_note(d, DOCTOR_FAILED, "launcher", "%s can be written by others than root",
			path);
	else
		doctor_note(d, DOCTOR_OK, "launcher", "%s", path);
	free(path);
}

void doctor_check_host(struct doctor *d)
{
	static void (*const checks[])(struct doctor * d) = {check_kernel, check_cgroups, check_ring,
		check_landlock, check_clock, check_launcher};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		checks[i](d);
}
