# SPDX-License-Identifier: Apache-2.0
#
# make                  build everything (release)
# make VARIANT=sanitize the same with ASan and UBSan
# make demo             install what is missing, build, show the main job (as root)
# make test             install what is missing, build, run every test (as root)
# make bench            speed against direct, pgbouncer and HAProxy (as root)
# make fuzz             run the fuzzers for FUZZ_SECONDS each (default 600)
# make sessions         random sessions of PostgreSQL, directly and through Wayleave, for SESSION_SECONDS (default 600)
# make queries          random queries of PostgreSQL, with masks and without, for QUERY_SECONDS for each property (default 600)
# make regress          PostgreSQL's own regression tests, directly and through Wayleave (as root)
# make isolation        the same of its tests of sessions that wait for each other
# make curl-cases       curl's own test cases, directly and through Wayleave (as root)
# make lint             formatting, static analysis, direction of includes
# make install          into DESTDIR, PREFIX (default /usr), SYSCONFDIR (default /etc)
# make uninstall        removes what that put there
# make deb              a Debian package, in build/deb
# V=1 shows commands.

VARIANT ?= release
BUILD ?= build/$(VARIANT)
# To build and test a part alone: make unit PARTS="base masking" TESTS="test_mask"
PARTS ?= $(notdir $(wildcard userspace/*))
TESTS ?= *
PREFIX ?= /usr
SYSCONFDIR ?= /etc
DESTDIR ?=
FUZZ_SECONDS ?= 600
SESSION_SECONDS ?= 600
QUERY_SECONDS ?= 600

ifeq ($(V),1)
Q :=
SAY := @:
else
Q := @
SAY := @printf '  %-8s %s\n'
endif

CC := gcc
CLANG := clang
BPFTOOL := $(firstword $(wildcard /usr/sbin/bpftool) bpftool)

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wno-missing-field-initializers
HARDENING := -fstack-protector-strong -fstack-clash-protection -fPIE
ifeq ($(VARIANT),sanitize)
OPTIMISE := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
else
OPTIMISE := -O2 -D_FORTIFY_SOURCE=3
endif
ifeq ($(shell uname -m),x86_64)
HARDENING += -fcf-protection
endif

CPPFLAGS := -D_GNU_SOURCE -Iuserspace -I. -I$(BUILD)/generated
CFLAGS := -std=gnu11 -g $(OPTIMISE) $(WARNINGS) $(HARDENING)
LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack $(filter -fsanitize%,$(OPTIMISE))
# What a message passes through is optimised across files for the daemon. Tests link the same objects
# as they are, which is why these hold both forms.
LINKED_WHOLE := base ring worker recording policy protocol masking
ifneq ($(VARIANT),sanitize)
WHOLE := -flto=auto -ffat-lto-objects
LDFLAGS += -fno-lto
endif
LIBS := -lpg_query -lhs -luring -lbpf -lnftables -lmnl -lssl -lcrypto -lnghttp2 -lcjson -lyaml -lsqlite3 \
	-lzstd -lz -lbrotlidec -lidn -lseccomp -lcap-ng -lxxhash -lpthread -lm
SSH_LIBS := -lssh -lcrypto -lseccomp -lcap-ng
LAUNCHER_LIBS := -lseccomp -lcap-ng
# Encoders and the like, for what tests send.
HARNESS_LIBS := -lbrotlienc
TEST_LIBS := -lcriterion $(HARNESS_LIBS)
BROKER_LIBS := -lcurl -lmicrohttpd -lcrypto -lcjson -lseccomp -lcap-ng

# One library of everything without a main(); tests and fuzzers link it too.
MAINS := userspace/monitor/main.c userspace/cli/main.c userspace/launcher/main.c userspace/broker/main.c \
	userspace/ssh/main.c
# It takes the C library's place in one program.
INTERPOSED := userspace/ssh/interpose.c
SOURCES := $(sort $(shell find $(PARTS:%=userspace/%) -name '*.c'))
LIBRARY_SOURCES := $(filter-out $(MAINS) $(INTERPOSED),$(SOURCES))
LIBRARY_OBJECTS := $(LIBRARY_SOURCES:%.c=$(BUILD)/%.o)
BPF_SOURCES := $(wildcard bpf/*.bpf.c)
SKELETONS := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/generated/%.skel.h)
UNIT_SOURCES := $(sort $(wildcard $(TESTS:%=tests/unit/%.c)))
UNIT_TESTS := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/%)
# What tests and fuzzers share.
HARNESS_SOURCES := $(sort $(wildcard tests/harness/*.c))
HARNESS_OBJECTS := $(HARNESS_SOURCES:%.c=$(BUILD)/%.o)
HELPER_SOURCES := $(sort $(wildcard tests/tools/*.c))
HELPERS := $(HELPER_SOURCES:tests/tools/%.c=$(BUILD)/tests/%) $(patsubst tests/preload/%.c,$(BUILD)/tests/%.so,$(wildcard tests/preload/*.c))
FUZZ_SOURCES := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZERS := $(FUZZ_SOURCES:tests/fuzz/%.c=build/fuzz/%)
PROGRAMS := $(BUILD)/bin/wayleaved $(BUILD)/bin/wayleave $(BUILD)/bin/wayleave-launch \
	$(BUILD)/bin/wayleave-broker $(BUILD)/bin/wayleave-ssh

.PHONY: all
all: $(PROGRAMS)

$(BUILD)/libwayleave.a: $(LIBRARY_OBJECTS)
	$(SAY) AR $@
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/bin/wayleaved: private LDFLAGS := $(filter-out -fno-lto,$(LDFLAGS)) $(WHOLE) $(OPTIMISE)
$(BUILD)/bin/wayleaved: $(BUILD)/userspace/monitor/main.o $(BUILD)/libwayleave.a
$(BUILD)/bin/wayleave: $(BUILD)/userspace/cli/main.o $(BUILD)/libwayleave.a
$(BUILD)/bin/wayleaved $(BUILD)/bin/wayleave:
	$(SAY) LD $@
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# The setuid program links only what it needs.
$(BUILD)/bin/wayleave-launch: $(BUILD)/userspace/launcher/main.o $(BUILD)/libwayleave.a
	$(SAY) LD $@
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $^ $(LAUNCHER_LIBS)

# HTTP stays out of the privileged process.
$(BUILD)/bin/wayleave-broker: $(BUILD)/userspace/broker/main.o $(BUILD)/libwayleave.a
	$(SAY) LD $@
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $^ $(BROKER_LIBS)

# SSH's library reads what agents and hosts send: in processes of their own. It is to find what the
# program itself defines.
$(BUILD)/bin/wayleave-ssh: $(BUILD)/userspace/ssh/main.o $(INTERPOSED:%.c=$(BUILD)/%.o) $(BUILD)/libwayleave.a
	$(SAY) LD $@
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $^ $(SSH_LIBS)

$(LINKED_WHOLE:%=$(BUILD)/userspace/%/%.o): private CFLAGS += $(WHOLE)
$(BUILD)/%.o: %.c | $(SKELETONS)
	$(SAY) CC $<
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	$(SAY) BPF $<
	$(Q)mkdir -p $(@D) && $(CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Werror -I. -Ibpf \
		-I/usr/include/$(shell gcc -print-multiarch) -c -o $@ $<

$(BUILD)/generated/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(SAY) SKEL $@
	$(Q)mkdir -p $(@D) && $(BPFTOOL) gen skeleton $< name $(subst .,_,$*)_bpf > $@.new && mv $@.new $@

$(BUILD)/libharness.a: $(HARNESS_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

TEST_LIBRARIES := $(BUILD)/libharness.a $(BUILD)/libwayleave.a

$(BUILD)/tests/test_%: tests/unit/test_%.c $(TEST_LIBRARIES)
	$(SAY) TEST $@
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes $(LDFLAGS) -MMD -MP \
		-o $@ $< $(TEST_LIBRARIES) $(TEST_LIBS) $(LIBS) $(BROKER_LIBS) $(SSH_LIBS)

$(BUILD)/tests/%: tests/tools/%.c $(TEST_LIBRARIES)
	$(SAY) TOOL $@
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes $(LDFLAGS) -MMD -MP \
		-o $@ $< $(TEST_LIBRARIES) $(HARNESS_LIBS) $(LIBS) $(BROKER_LIBS) $(SSH_LIBS)

# Loaded into daemons that tests start; without sanitizers, which want to be loaded first.
$(BUILD)/tests/%.so: tests/preload/%.c
	$(SAY) TOOL $@
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) -std=gnu11 -g -O2 $(WARNINGS) -Wno-missing-prototypes -fPIC -shared -o $@ $<

# Fuzzers: everything again with clang's coverage and sanitizers.
# NULL + 0 is an empty slice here, as C2y allows.
FUZZ_FLAGS := -std=gnu11 -g -O1 -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize=pointer-overflow \
	-fno-sanitize-recover=undefined -Wno-everything
FUZZ_OBJECTS := $(LIBRARY_SOURCES:%.c=build/fuzz/%.o)
FUZZ_HARNESS_OBJECTS := $(HARNESS_SOURCES:%.c=build/fuzz/%.o)
build/fuzz/%.o: %.c | $(SKELETONS)
	$(SAY) FUZZCC $<
	$(Q)mkdir -p $(@D) && $(CLANG) $(CPPFLAGS) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<
build/fuzz/libwayleave.a: $(FUZZ_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^
build/fuzz/libharness.a: $(FUZZ_HARNESS_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^
build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c build/fuzz/libharness.a build/fuzz/libwayleave.a
	$(SAY) FUZZER $@
	$(Q)$(CLANG) $(CPPFLAGS) $(subst fuzzer-no-link,fuzzer,$(FUZZ_FLAGS)) -o $@ $^ $(LIBS) $(BROKER_LIBS) $(SSH_LIBS)

.PHONY: unit tools fuzzers skeletons
skeletons: $(SKELETONS)
unit: $(UNIT_TESTS)
tools: $(HELPERS)
fuzzers: $(FUZZERS)

.PHONY: deps demo test bench fuzz sessions queries regress isolation curl-cases lint format clean
deps:
	$(Q)scripts/install-deps
demo:
	$(Q)scripts/install-deps --for-demo
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/demo
test: deps
	$(Q)scripts/test
bench: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/bench/run
fuzz: deps
	$(Q)$(MAKE) --no-print-directory fuzzers
	$(Q)scripts/fuzz $(FUZZ_SECONDS)
sessions: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)WAYLEAVE_SQL_SEED=$$(date +%s) WAYLEAVE_SQL_SECONDS=$(SESSION_SECONDS) /usr/bin/python3 -m pytest -q tests/e2e/test_sql_through.py
queries: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)WAYLEAVE_SQL_SEED=$$(date +%s) WAYLEAVE_SQL_SECONDS=$(QUERY_SECONDS) /usr/bin/python3 -m pytest -q tests/e2e/test_sql_queries.py
regress: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/regress
isolation: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/regress --isolation
curl-cases: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/curl-cases
lint:
	$(Q)scripts/lint
format:
	$(Q)clang-format -i $$(find userspace bpf tests -name '*.[ch]')
clean:
	$(Q)rm -rf build

# What `make install` puts where: KIND MODE SOURCE TARGET, tab-free so that `make uninstall` and the
# Debian package go by the same list. "unit" has the paths of programs in it, "config" is the admin's.
SYSTEMDDIR ?= $(PREFIX)/lib/systemd
MANDIR := $(PREFIX)/share/man
DOCDIR := $(PREFIX)/share/doc/wayleave
define INSTALLED
file 0755 $(BUILD)/bin/wayleave $(PREFIX)/bin/wayleave
file 0755 $(BUILD)/bin/wayleaved $(PREFIX)/sbin/wayleaved
file 4755 $(BUILD)/bin/wayleave-launch $(PREFIX)/libexec/wayleave/wayleave-launch
file 0755 $(BUILD)/bin/wayleave-broker $(PREFIX)/libexec/wayleave/wayleave-broker
file 0755 $(BUILD)/bin/wayleave-ssh $(PREFIX)/libexec/wayleave/wayleave-ssh
unit 0644 systemd/wayleaved.service $(SYSTEMDDIR)/system/wayleaved.service
unit 0644 systemd/wayleave.slice $(SYSTEMDDIR)/system/wayleave.slice
file 0644 systemd/sysusers.conf $(PREFIX)/lib/sysusers.d/wayleave.conf
file 0644 systemd/tmpfiles.conf $(PREFIX)/lib/tmpfiles.d/wayleave.conf
config 0644 systemd/wayleave.yaml $(SYSCONFDIR)/wayleave/wayleave.yaml
unit 0644 systemd/agent.conf $(DOCDIR)/agent.conf
file 0644 README.md $(DOCDIR)/README.md
endef
INSTALLED += $(foreach f,$(wildcard docs/*.md),$(NEWLINE)file 0644 $(f) $(DOCDIR)/$(f))
INSTALLED += $(foreach f,$(wildcard policies/*.yaml),$(NEWLINE)file 0644 $(f) $(DOCDIR)/$(f))
INSTALLED += $(foreach f,$(wildcard docs/man/*),$(NEWLINE)file 0644 $(f) $(MANDIR)/man$(subst .,,$(suffix $(f)))/$(notdir $(f)))
define NEWLINE


endef
export INSTALLED DESTDIR PREFIX SYSCONFDIR

.PHONY: install uninstall deb
install: all
	$(Q)scripts/install
uninstall:
	$(Q)scripts/install --remove
deb: all
	$(Q)scripts/make-deb

-include $(shell find $(BUILD) build/fuzz -name '*.d' 2>/dev/null)
.SECONDARY:
