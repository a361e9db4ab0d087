/* SPDX-License-Identifier: Apache-2.0
 *
 * log: one line each to stderr, with the "<N>" priority prefix that journald reads. Only the upper
 * layers (worker, monitor, launcher, cli) log; libraries return errors. Control bytes are shown
 * as "?", so that a peer's text can't forge lines.
 */
#ifndef WAYLEAVE_BASE_LOG_H
#define WAYLEAVE_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6 };

/* What the lines begin with, as "monitor" or "worker 0"; copied. */
void log_set_name(const char *name);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
