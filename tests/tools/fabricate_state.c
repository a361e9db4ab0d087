/* SPDX-License-Identifier: Apache-2.0
 *
 * fabricate_state DIR: a state folder with a few sessions, for the command line's --state-dir.
 */
#include "tests/tools/recording_state.h"

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: fabricate_state DIR\n");
		return 2;
	}
	state_fabricate(argv[1]);
	return 0;
}
