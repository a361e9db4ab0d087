/* SPDX-License-Identifier: Apache-2.0
 *
 * policy_test: `wayleave policy test`: what rules would have said to actions that were recorded.
 */
#ifndef WAYLEAVE_CLI_POLICY_TEST_H
#define WAYLEAVE_CLI_POLICY_TEST_H

#include "cli/cli.h"

/* The subverb; argv[0] is "test". */
int policy_test(const struct cli *cli, int argc, char **argv);

#endif
