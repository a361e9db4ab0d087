/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables say where each runtime is usually found and what its makers document of whom it
 * trusts. A new runtime is a row.
 */
#include "cli/runtimes.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

#define TEXT_MOST 65536 /* of a header or a module that is looked into */

/* How a program comes to trust. */
enum means {
	BY_VARIABLE, /* one that `wayleave run` sets */
	BY_NODE, /* the same, but for very old ones */
	BY_SYSTEM_STORE, /* and by nothing else */
	BY_JAVA_STORE, /* lib/security/cacerts beside its bin */
	BY_NSS, /* databases of its users' */
};

static const struct program {
	const char *name;
	enum means means;
	const char *variable;
} programs[] = {
	{"node", BY_NODE, "NODE_EXTRA_CA_CERTS"},
	{"bun", BY_VARIABLE, "NODE_EXTRA_CA_CERTS"},
	{"deno", BY_VARIABLE, "DENO_CERT"},
	{"python3", BY_VARIABLE, "SSL_CERT_FILE"},
	{"ruby", BY_VARIABLE, "SSL_CERT_FILE"},
	{"php", BY_VARIABLE, "SSL_CERT_FILE"},
	{"go", BY_VARIABLE, "SSL_CERT_FILE"},
	{"openssl", BY_VARIABLE, "SSL_CERT_FILE"},
	{"curl", BY_VARIABLE, "CURL_CA_BUNDLE"},
	{"git", BY_VARIABLE, "GIT_SSL_CAINFO"},
	{"cargo", BY_VARIABLE, "CARGO_HTTP_CAINFO"},
	{"aws", BY_VARIABLE, "AWS_CA_BUNDLE"},
	{"wget", BY_SYSTEM_STORE, NULL},
	{"java", BY_JAVA_STORE, NULL},
	{"firefox", BY_NSS, NULL},
	{"chromium", BY_NSS, NULL},
	{"google-chrome", BY_NSS, NULL},
};

/* Besides those of PATH. "~" is the user's home. */
static const char *const program_folders[] = {"/usr/local/bin", "/usr/bin", "/opt/*/bin",
	"/usr/lib/jvm/*/bin", "/snap/bin", "/home/linuxbrew/.linuxbrew/bin", "~/.local/bin",
	"~/.nvm/versions/node/*/bin", "~/.fnm/node-versions/*/installation/bin", "~/.volta/bin",
	"~/.bun/bin", "~/.deno/bin", "~/.cargo/bin", "~/.pyenv/versions/*/bin",
	"~/.sdkman/candidates/java/*/bin", "~/.jdks/*/bin", "~/miniconda3/bin", "~/anaconda3/bin"};

/* Python's requests and httpx, and whoever asks it where CAs are. */
static const char *const certifi_folders[] = {"/usr/lib/python3/dist-packages/certifi",
	"/usr/local/lib/python3*/*-packages/certifi", "/opt/*/lib/python3*/site-packages/certifi",
	"~/.local/lib/python3*/site-packages/certifi",
	"~/.pyenv/versions/*/lib/python3*/site-packages/certifi",
	"~/miniconda3/lib/python3*/site-packages/certifi",
	"~/anaconda3/lib/python3*/site-packages/certifi",
	"~/.venv/lib/python3*/site-packages/certifi", "~/venv/lib/python3*/site-packages/certifi",
	"~/*/.venv/lib/python3*/site-packages/certifi",
	"~/*/venv/lib/python3*/site-packages/certifi"};

static const char *const nss_databases[] = {"/etc/pki/nssdb/cert9.db", "~/.pki/nssdb/cert9.db",
	"~/.mozilla/firefox/*/cert9.db", "~/snap/firefox/common/.mozilla/firefox/*/cert9.db"};

struct search {
	const char *home;
	const struct runtimes_ca *ca;
	cJSON *list;
};

/* --- what was found --- */

static bool is_known(const struct search *s, const char *name, const char *path)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, s->list)
	{
		if (strcmp(cJSON_GetObjectItem(item, "name")->valuestring, name) == 0 &&
			strcmp(cJSON_GetObjectItem(item, "path")->valuestring, path) == 0)
			return true;
	}
	return false;
}

/* `by` NULL: nothing makes it trust the CA, and the text says what would. */
static void __attribute__((format(printf, 5, 6)))
add(struct search *s, const char *name, const char *path, const char *by, const char *format, ...)
{
	cJSON *item;
	va_list arguments;
	char text[512];

	if (is_known(s, name, path) || cJSON_GetArraySize(s->list) >= RUNTIMES_MOST)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	item = cJSON_CreateObject();
	cJSON_AddStringToObject(item, "name", name);
	cJSON_AddStringToObject(item, "path", path);
	cJSON_AddBoolToObject(item, "trusts", by != NULL);
	if (by)
		cJSON_AddStringToObject(item, "by", by);
	else
		cJSON_AddNullToObject(item, "by");
	cJSON_AddStringToObject(item, "text", text);
	cJSON_AddItemToArray(s->list, item);
}

#define SYSTEM_STORE "system store"
#define OWN_STORE "own store"

static void add_variable(struct search *s, const char *name, const char *path, const char *variable)
{
	add(s, name, path, variable, "%s, which wayleave run sets", variable);
}

static void add_system(struct search *s, const char *name, const char *path)
{
	if (s->ca->installed)
		add(s, name, path, SYSTEM_STORE, "the system's store");
	else
		add(s, name, path, NULL, "reads the system's store: wayleave ca install");
}

/* --- single runtimes --- */

/* The file's text, for free(), or NULL. */
static char *read_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct buffer content;
	char *text = NULL;
	struct stat st;

	if (fd < 0)
		return NULL;
	buffer_init(&content, TEXT_MOST);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && file_read_descriptor(fd, &content) == 0)
		text = memory_copy_text(
			(const char *)buffer_slice(&content).data, buffer_length(&content));
	buffer_done(&content);
	close(fd);
	return text;
}

/* What the header beside it defines; -1: there is none. */
static long header_number(const char *text, const char *name)
{
	const char *found = text ? strstr(text, name) : NULL;

	return found ? strtol(found + strlen(name), NULL, 10) : -1;
}

/* The folder two above the program, without the links that lead there: for free(), or NULL. */
static char *prefix_of(const char *path)
{
	char *real = realpath(path, NULL);

	for (int i = 0; real && i < 2; i++) {
		char *slash = strrchr(real, '/');

		if (slash)
			*slash = '\0';
	}
	return real;
}

/* NODE_EXTRA_CA_CERTS came with 7.3. */
static void add_node(struct search *s, const struct program *p, const char *path)
{
	char *prefix = prefix_of(path);
	char *header = memory_format("%s/include/node/node_version.h", prefix ? prefix : "");
	char *text = read_text(header);
	long major = header_number(text, "#define NODE_MAJOR_VERSION ");
	long minor = header_number(text, "#define NODE_MINOR_VERSION ");

	if (major >= 0 && (major < 7 || (major == 7 && minor < 3)))
		add(s, p->name, path, NULL,
			"version %ld.%ld listens to no variable: 7.3 and later do", major, minor);
	else
		add_variable(s, p->name, path, p->variable);
	free(text);
	free(header);
	free(prefix);
}

/* Debian's is made anew by update-ca-certificates, and others link to it. */
static void add_java(struct search *s, const struct program *p, const char *path)
{
	static const char *const stores[] = {"lib/security/cacerts", "jre/lib/security/cacerts"};
	char *prefix = prefix_of(path);

	for (size_t i = 0; prefix && i < ARRAY_SIZE(stores); i++) {
		char *store = memory_format("%s/%s", prefix, stores[i]);
		char *real = realpath(store, NULL);

		if (real && runtimes_file_holds(real, s->ca))
			add(s, p->name, path, OWN_STORE, "%s has it", real);
		else if (real && strncmp(real, "/etc/", 5) == 0)
			add(s, p->name, path, NULL, "%s has not got it: wayleave ca install", real);
		else if (real)
			add(s, p->name, path, NULL,
				"%s has not got it: keytool -importcert -alias wayleave -file "
				"CA.pem -keystore %s (wayleave ca show), again after each update",
				real, real);
		free(real);
		free(store);
	}
	free(prefix);
}

static void add_program(struct search *s, const struct program *p, const char *path)
{
	if (strncmp(path, "/snap/", 6) == 0) {
		add(s, p->name, path, NULL,
			"a snap may not see the bundle that the variables name: try it as the "
			"agent");
		return;
	}
	switch (p->means) {
	case BY_VARIABLE:
		add_variable(s, p->name, path, p->variable);
		break;
	case BY_NODE:
		add_node(s, p, path);
		break;
	case BY_SYSTEM_STORE:
		add_system(s, p->name, path);
		break;
	case BY_JAVA_STORE:
		add_java(s, p, path);
		break;
	case BY_NSS:
		add(s, p->name, path, NULL,
			"reads databases of NSS, in each user's home, and its own list: see nss "
			"here, or its policies (Certificates, Install)");
		break;
	}
}

/* Debian's has been changed to name the system's store. */
static void add_certifi(struct search *s, const char *folder)
{
	char *bundle = memory_format("%s/cacert.pem", folder);
	char *module = memory_format("%s/core.py", folder);
	char *text = read_text(module);

	if (text && strstr(text, "/etc/ssl/certs/ca-certificates.crt") && s->ca->installed)
		add(s, "certifi", folder, SYSTEM_STORE, "the system's store");
	else if (runtimes_file_holds(bundle, s->ca))
		add(s, "certifi", folder, OWN_STORE, "its cacert.pem has it");
	else if (text)
		add(s, "certifi", folder, "REQUESTS_CA_BUNDLE",
			"requests by REQUESTS_CA_BUNDLE, httpx by SSL_CERT_FILE, which wayleave "
			"run sets; what else asks certifi does not");
	free(text);
	free(module);
	free(bundle);
}

static void add_database(struct search *s, const char *path)
{
	if (runtimes_file_holds(path, s->ca))
		add(s, "nss", path, OWN_STORE, "the database has it");
	else
		add(s, "nss", path, NULL,
			"browsers read it, and it has not got it: certutil -A -d sql:%.*s -n "
			"wayleave -t C,, -i CA.pem (wayleave ca show)",
			(int)(strrchr(path, '/') - path), path);
}

/* --- looking for them --- */

static void each(
	struct search *s, const char *pattern, void (*found)(struct search *, const char *))
{
	char *whole = pattern[0] == '~' ? memory_format("%s%s", s->home, pattern + 1)
					: memory_copy_string(pattern);
	glob_t matches = {0};

	if (glob(whole, GLOB_NOSORT, NULL, &matches) == 0) {
		for (size_t i = 0; i < matches.gl_pathc; i++)
			found(s, matches.gl_pathv[i]);
	}
	globfree(&matches);
	free(whole);
}

static void look_in(struct search *s, const char *folder)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		char *path = memory_format("%s/%s", folder, programs[i].name);
		struct stat st;

		if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & 0111)
			add_program(s, &programs[i], path);
		free(path);
	}
}

/* A folder that is another by its name (/bin) would tell everything twice. */
static void look_in_path(struct search *s)
{
	const char *path = getenv("PATH");
	char *copy = memory_copy_string(path ? path : ""), *rest = copy, *folder;

	while ((folder = strsep(&rest, ":"))) {
		char *real = folder[0] == '/' ? realpath(folder, NULL) : NULL;

		if (real)
			look_in(s, real);
		free(real);
	}
	free(copy);
}

void runtimes_list(const char *home, const struct runtimes_ca *ca, cJSON *ret)
{
	struct search s = {.home = home, .ca = ca, .list = ret};

	look_in_path(&s);
	for (size_t i = 0; i < ARRAY_SIZE(program_folders); i++)
		each(&s, program_folders[i], look_in);
	for (size_t i = 0; i < ARRAY_SIZE(certifi_folders); i++)
		each(&s, certifi_folders[i], add_certifi);
	for (size_t i = 0; i < ARRAY_SIZE(nss_databases); i++)
		each(&s, nss_databases[i], add_database);
}
