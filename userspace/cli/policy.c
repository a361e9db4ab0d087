/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave policy: check policy files, explain verdicts, test rules against what was recorded.
 */
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "cli/policy_explain.h"
#include "cli/policy_test.h"
#include "cli/recordings.h"
#include "policy/config.h"

static int check(const struct cli *cli, int argc, char **argv);

static const struct subverb {
	const char *name;
	int (*function)(const struct cli *cli, int argc, char **argv);
} subverbs[] = {
	{"check", check},
	{"explain", policy_explain},
	{"test", policy_test},
};

const char policy_help[] =
	"usage: wayleave policy check [--config FILE] [FILE…]\n"
	"       wayleave policy explain --agent A --resource R [OPTION…] 'TEXT'\n"
	"       wayleave policy explain --agent A --resource R [OPTION…] --batch < JSON-LINES\n"
	"       wayleave policy test FILE… --against RECORDINGS [--config FILE]\n"
	"\n"
	"check looks for mistakes in policy files. With --config it knows the names that rules "
	"refer to;\n"
	"without FILE it then checks the files that the configuration names.\n"
	"\n"
	"explain says what would become of TEXT, and why. It asks the daemon for its policy. A "
	"TEXT\n"
	"that begins with \"-\" stands behind \"--\".\n"
	"  --config FILE        compile this configuration instead\n"
	"  --principal P        as this principal; without it as an agent without identity\n"
	"  --groups G,…         in these groups\n"
	"  --exe PATH           of this program; without it the program is not known\n"
	"  --search-path S,…    schemas of unqualified names (default: public)\n"
	"  --batch              one JSON string per line in, one JSON object per line out\n"
	"\n"
	"test judges what was recorded anew, by the rules of FILE…, and says which verdicts would "
	"be others.\n"
	"RECORDINGS is a state folder or its folder of recordings.\n"
	"  --config FILE        whose agents and resources these are (default: " CONFIG_DEFAULT_FILE
	")\n";

int cli_policy(const struct cli *cli, int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
		fputs(policy_help, stdout);
		return CLI_DONE;
	}
	for (size_t i = 0; argc >= 2 && i < ARRAY_SIZE(subverbs); i++) {
		if (strcmp(argv[1], subverbs[i].name) == 0)
			return subverbs[i].function(cli, argc - 1, argv + 1);
	}
	fputs(policy_help, stderr);
	return CLI_USAGE;
}

int policy_from_config(const char *verb, const char *file, const char *const *policies,
	size_t count, struct policy **ret)
{
	struct diagnostics d;
	struct config *c = NULL;
	struct buffer image;
	struct error e;
	int r;

	diagnostics_init(&d);
	r = config_load_with(file, policies, count, CONFIG_WITHOUT_FILES, &d, &c);
	diagnostics_print(&d, stderr);
	diagnostics_done(&d);
	if (r < 0)
		return r;
	buffer_init(&image, LIMIT_POLICY_IMAGE);
	r = policy_image_build(c, 0, NULL, 0, &image);
	if (r < 0)
		error_set_errno(&e, r, "%s", file);
	else
		r = policy_open(buffer_slice(&image).data, buffer_length(&image), ret, &e);
	if (r < 0)
		cli_fail(verb, CLI_REFUSED, "%s", e.text);
	buffer_done(&image);
	config_free(c);
	return r;
}

/* check */

static void print_diagnostics_json(const struct diagnostics *d)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < d->count; i++) {
		const struct diagnostic *item = &d->items[i];
		cJSON *object = cJSON_CreateObject();

		cJSON_AddStringToObject(
			object, "level", item->level == DIAGNOSTIC_ERROR ? "error" : "warning");
		json_add_text(object, "file", slice_from_string(item->file));
		cJSON_AddNumberToObject(object, "line", item->line);
		json_add_text(object, "text", slice_from_string(item->text));
		cJSON_AddItemToArray(list, object);
	}
	cli_json_print(list);
}

static void print_summary(const struct diagnostics *d, const struct config *c, bool with_config)
{
	size_t warnings = d->count - d->errors;

	diagnostics_print(d, stderr);
	if (c)
		printf("%zu rules in %zu files: no mistakes", c->rule_count, c->policy_file_count);
	else
		printf("%zu mistakes", d->errors);
	printf(warnings ? ", %zu warnings\n" : "\n", warnings);
	if (!with_config)
		puts("Names of agents, resources and reviewers were not checked: that needs "
		     "--config "
		     "FILE.");
}

/* The files themselves are the daemon's to read: whoever writes policies may not be able to. */
static int check_files(const struct cli *cli, const char *config, char **files, size_t count)
{
	const char *const *policies = count ? (const char *const *)files : NULL;
	struct diagnostics d;
	struct config *c = NULL;
	int r;

	diagnostics_init(&d);
	if (config)
		r = config_load_with(config, policies, count, CONFIG_WITHOUT_FILES, &d, &c);
	else
		r = config_load_policies(policies, count, CONFIG_WITHOUT_FILES, &d, &c);
	if (cli->json)
		print_diagnostics_json(&d);
	else
		print_summary(&d, c, config);
	config_free(c);
	diagnostics_done(&d);
	return r < 0 ? CLI_REFUSED : CLI_DONE;
}

static int check(const struct cli *cli, int argc, char **argv)
{
	const char *config = NULL;
	const struct cli_option options[] = {{"--config", &config, NULL}};
	int files = cli_take_options(argc, argv, options, ARRAY_SIZE(options));

	if (files < 0 || (files == 0 && !config)) {
		fputs(policy_help, stderr);
		return CLI_USAGE;
	}
	return check_files(cli, config, argv + 1, (size_t)files);
}
