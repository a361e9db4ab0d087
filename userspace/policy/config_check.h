/* SPDX-License-Identifier: Apache-2.0
 *
 * config_check: the steps between a file and a checked config. Inside policy/ and for its tests;
 * everybody else calls config_load().
 */
#ifndef WAYLEAVE_POLICY_CONFIG_CHECK_H
#define WAYLEAVE_POLICY_CONFIG_CHECK_H

#include "policy/config.h"

/* An empty config with the defaults; `file` NULL for policy files alone. */
struct config *config_new(const char *file);
/* A loader that fills it. */
struct loader config_loader(struct config *c, struct diagnostics *d);
/* From the tree of wayleave.yaml. Opens no file. */
void config_read(struct config *c, struct loader *l, const struct node *root);
/* From the tree of the policy file `file`, a name that lives as long as the config. */
void config_add_rules(
	struct config *c, struct loader *l, const char *file, const struct node *root);
/* All checks, after all has been read. */
void config_check(struct config *c, struct loader *l, unsigned flags);

/* The parts of config_check(), each for what its name says. */
void config_check_agents(struct config *c, struct loader *l);
/* Of one agent, which may have interfaces, and those before it; fills `networks`. */
void config_check_interfaces(struct config *c, struct loader *l, struct config_agent *agent);
void config_check_identity(struct config *c, struct loader *l);
void config_check_resources(struct config *c, struct loader *l);
void config_check_people(struct config *c, struct loader *l);
void config_check_metrics(struct config *c, struct loader *l);
/* After the resources. */
void config_check_ca(struct config *c, struct loader *l);
void config_check_files(struct config *c, struct loader *l, unsigned flags);
/* Of a readable file. */
void config_check_host_keys(struct loader *l, const struct config_text *path);
/* After the files, whose paths are complete then. */
void config_check_sockets(struct config *c, struct loader *l, unsigned flags);
void config_check_rules(struct config *c, struct loader *l);
/* Warns of rules through which columns may show that others mask. Nothing is wrong with the rules
 * each by itself. */
void config_check_shown(struct config *c, struct loader *l);
/* `protocols`: a bit for each in which the rule can match. */
void config_check_masks(
	struct loader *l, const struct config_mask *masks, size_t count, unsigned protocols);

/* Arrays of structs that begin with struct config_named. */
struct config_array {
	const void *items;
	size_t count;
	size_t size; /* of one item */
	const char *what; /* "agent" */
};
#define CONFIG_ARRAY(items_, count_, what_)                                                        \
	((struct config_array){items_, count_, sizeof(*(items_)), what_})

const struct config_named *config_array_find(const struct config_array *a, const char *name);
/* Reports names that stand twice. */
void config_check_unique(struct loader *l, const struct config_array *a);
/* Names that people type in commands and that stand in records: letters, digits, "._@-". */
void config_check_name(struct loader *l, const struct config_text *name, const char *what);
/* Whether `name` is in the array; reports it, with what was perhaps meant, where it is not. `also`
 * is one more name that is right, or NULL. */
bool config_check_reference(struct loader *l, const char *key, const struct config_text *name,
	const struct config_array *a, const char *also);

#endif
