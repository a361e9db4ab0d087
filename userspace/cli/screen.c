/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

#define ENTER "\033[?1049h\033[?25l\033[?7l" /* other screen, no cursor, no wrapping */
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"
#define ESCAPE_MILLISECONDS 50 /* within which the rest of a key's sequence comes */
#define FRAME_MOST (4u << 20)

static struct termios before;
static volatile sig_atomic_t is_open;
static struct buffer frame;
static size_t drawn;

/* Also from a signal's handler: nothing but write(2) and tcsetattr(3), which may be called there.
 */
static void restore(void)
{
	if (!is_open)
		return;
	is_open = 0;
	(void)!write(STDOUT_FILENO, LEAVE, sizeof(LEAVE) - 1);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

static void on_end(int number)
{
	restore();
	signal(number, SIG_DFL);
	raise(number);
}

static void on_resize(int number)
{
	(void)number; /* it ends poll(2) */
}

static void enter(void)
{
	struct termios raw = before;

	cfmakeraw(&raw);
	raw.c_lflag |= ISIG; /* ^C ends it as everywhere */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	(void)!write(STDOUT_FILENO, ENTER, sizeof(ENTER) - 1);
	is_open = 1;
}

/* ^Z: the shell gets its terminal; when the process goes on, it is taken again. */
static void on_stop(int number)
{
	int saved = errno;

	(void)number;
	restore();
	raise(SIGSTOP);
	enter();
	errno = saved;
}

static void catch (int number, void (*handler)(int number))
{
	struct sigaction action = {.sa_handler = handler};

	sigaction(number, &action, NULL);
}

int screen_open(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGSEGV, SIGBUS,
		SIGABRT, SIGFPE, SIGILL, SIGALRM, SIGUSR1, SIGUSR2};

	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0)
		return -ENOTTY;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		catch (ends[i], on_end);
	catch (SIGTSTP, on_stop);
	catch (SIGWINCH, on_resize);
	atexit(restore);
	buffer_init(&frame, FRAME_MOST);
	enter();
	return 0;
}

void screen_close(void)
{
	restore();
	buffer_done(&frame);
}

void screen_size(size_t *ret_width, size_t *ret_height)
{
	struct winsize size = {.ws_col = 80, .ws_row = 24};

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*ret_width = size.ws_col < 20 ? 20 : size.ws_col;
	*ret_height = size.ws_row < 5 ? 5 : size.ws_row;
}

void screen_begin(void)
{
	buffer_clear(&frame);
	buffer_append_string(&frame, "\033[H");
	drawn = 0;
}

void screen_line(struct slice text, bool selected)
{
	size_t width, height;

	screen_size(&width, &height);
	if (drawn >= height)
		return;
	/* No newline behind the last line: it would scroll. */
	if (drawn++)
		buffer_append_string(&frame, "\r\n");
	buffer_append_string(&frame, selected ? "\033[7m" : "");
	buffer_append_slice(&frame, slice_head(text, SCREEN_LINE_MOST));
	buffer_append_string(&frame, "\033[0m\033[K");
}

void screen_show(void)
{
	buffer_append_string(&frame, "\033[J");
	file_write_all(STDOUT_FILENO, buffer_slice(&frame));
}

/* One byte; -1: none in that time. SCREEN_END: never again. */
static int read_byte(int milliseconds)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	uint8_t byte;
	ssize_t n;

	if (poll(&input, 1, milliseconds) <= 0)
		return -1;
	n = read(STDIN_FILENO, &byte, 1);
	if (n == 1)
		return byte;
	return n < 0 && (errno == EINTR || errno == EAGAIN) ? -1 : SCREEN_END;
}

/* What follows "ESC [" or "ESC O": up to the letter that ends it. */
static int read_sequence(void)
{
	int first = read_byte(ESCAPE_MILLISECONDS), c = first;

	while (c >= 0x20 && c < 0x40)
		c = read_byte(ESCAPE_MILLISECONDS);
	switch (c) {
	case 'A':
		return SCREEN_UP;
	case 'B':
		return SCREEN_DOWN;
	case '~':
		return first == '5'    ? SCREEN_PAGE_UP
			: first == '6' ? SCREEN_PAGE_DOWN
				       : SCREEN_NOTHING;
	default:
		return SCREEN_NOTHING;
	}
}

int screen_key(int milliseconds)
{
	int c = read_byte(milliseconds);

	if (c < 0)
		return SCREEN_NOTHING;
	if (c != 0x1b)
		return c;
	c = read_byte(ESCAPE_MILLISECONDS);
	if (c == '[' || c == 'O')
		return read_sequence();
	return c < 0 ? SCREEN_ESCAPE : SCREEN_NOTHING;
}
