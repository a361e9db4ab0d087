/* SPDX-License-Identifier: Apache-2.0
 *
 * json_names: what the names of one JSON text mean to detectors. Records in a list have the same
 * names, and reading one costs more than the record's values do.
 */
#ifndef WAYLEAVE_MASKING_JSON_NAMES_H
#define WAYLEAVE_MASKING_JSON_NAMES_H

#include "masking/detector.h"

#define JSON_NAMES_KEPT 16u

/* Of zeros to begin with. Names are borrowed: parts of the text. */
struct json_names {
	struct {
		struct slice text;
		struct detector_name meaning;
		bool matters;
	} kept[JSON_NAMES_KEPT];
};

/* As detector_read_name(); NULL: it makes no value a finding. Valid until the next call. */
const struct detector_name *json_names_read(struct json_names *n, struct slice text);

#endif
