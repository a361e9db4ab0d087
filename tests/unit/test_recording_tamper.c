/* SPDX-License-Identifier: Apache-2.0
 *
 * The content of the audit log tampered with: every byte changed, files cut anywhere, records
 * dropped, doubled, reordered, and written anew with a right chain. verify sees each of it and
 * names the place.
 */
#include <openssl/evp.h>

#include "tests/unit/recording_verify.h"

/* The other build looks at every byte. */
#ifdef __SANITIZE_ADDRESS__
#define STEP 7
#else
#define STEP 1
#endif

Test(tamper, every_byte_changed, .timeout = 600)
{
	struct fixture f = fixture_open();
	size_t runs = 0;

	for (size_t i = 0; i < f.audit_files.count; i++) {
		const struct segment_name *name = &f.audit_files.files[i].name;
		struct slice content = read_file(f.audit, name);
		uint64_t vouched = signed_bytes(&f, name, content.length);
		uint8_t *bytes = (uint8_t *)content.data;

		for (size_t n = 0; n < content.length; n += STEP) {
			struct result r;
			const struct verify_finding *broken;

			bytes[n] ^= 0x10;
			write_file(f.audit, name, content);
			bytes[n] ^= 0x10;
			r = run(&f, false);
			broken = first_broken(&r);
			runs++;
			if (n < vouched)
				cr_assert_not_null(broken, "%s.%s.%u byte %zu",
					name->incarnation.text, stream_kind_name(name->kind),
					name->segment, n);
			else
				cr_assert(broken || r.summary.records < 50);
			/* It is the changed file that is named, and the record that was changed. */
			if (broken && n >= SEGMENT_HEADER_SIZE && n < vouched) {
				cr_assert_eq(broken->name.segment, name->segment,
					"%s.%s byte %zu: %s.%s %s", name->incarnation.text,
					stream_kind_name(name->kind), n,
					broken->name.incarnation.text,
					stream_kind_name(broken->name.kind), broken->text);
				cr_assert_eq(broken->name.kind, name->kind,
					"%s.%s byte %zu: %s.%s %s", name->incarnation.text,
					stream_kind_name(name->kind), n,
					broken->name.incarnation.text,
					stream_kind_name(broken->name.kind), broken->text);
				cr_assert_str_eq(
					broken->name.incarnation.text, name->incarnation.text);
				cr_assert_leq(broken->offset, n);
			}
		}
		write_file(f.audit, name, content);
		free(bytes);
	}
	cr_assert_gt(runs, 4000 / STEP);
	cr_assert_eq(run(&f, true).summary.broken, 0);
	fixture_close(&f);
}

Test(tamper, names_the_changed_record)
{
	struct fixture f = fixture_open();

	for (size_t i = 0; i < f.audit_files.count; i++) {
		const struct segment_name *name = &f.audit_files.files[i].name;
		struct slice content = read_file(f.audit, name);
		size_t offsets[64], count = record_offsets(f.audit, name, offsets);
		uint64_t before = bytes_get_u64(content.data + offsets[0] + 5) - 1;

		for (size_t n = 0; n + 1 < count; n++) {
			const struct verify_finding *broken;
			struct result r;
			/* In the middle of the payload and trailer: the framing stays. */
			size_t at = (offsets[n] + RECORD_HEADER_SIZE + offsets[n + 1]) / 2;

			((uint8_t *)content.data)[at] ^= 1;
			write_file(f.audit, name, content);
			((uint8_t *)content.data)[at] ^= 1;
			r = run(&f, false);
			broken = first_broken(&r);
			cr_assert_not_null(broken);
			cr_assert_eq(broken->record, before + n + 1);
			cr_assert_eq(broken->offset, offsets[n]);
		}
		write_file(f.audit, name, content);
		free((void *)content.data);
	}
	fixture_close(&f);
}

Test(tamper, cut_anywhere, .timeout = 600)
{
	struct fixture f = fixture_open();

	for (size_t i = 0; i < f.audit_files.count; i++) {
		const struct segment_name *name = &f.audit_files.files[i].name;
		struct slice content = read_file(f.audit, name);

		for (size_t n = 0; n < content.length; n += STEP) {
			struct result r;

			write_file(f.audit, name, slice_head(content, n));
			r = run(&f, false);
			cr_assert_gt(r.summary.broken, 0, "%s.%u cut at %zu",
				name->incarnation.text, name->segment, n);
			/* Without any, it is the monitor that nobody vouches for. */
			if (name->kind == STREAM_CHECKPOINTS && r.summary.checkpoints)
				cr_assert_eq(first_broken(&r)->name.kind, STREAM_CHECKPOINTS);
		}
		write_file(f.audit, name, content);
		free((void *)content.data);
	}
	fixture_close(&f);
}

Test(tamper, records_dropped_doubled_swapped)
{
	struct fixture f = fixture_open();

	for (size_t i = 0; i < f.audit_files.count; i++) {
		const struct segment_name *name = &f.audit_files.files[i].name;
		struct slice content = read_file(f.audit, name);
		size_t offsets[64], count = record_offsets(f.audit, name, offsets);
		struct buffer b;

		buffer_init(&b, 1 << 20);
		for (size_t n = 0; n + 2 < count; n++) {
			struct slice head = slice_head(content, offsets[n]);
			struct slice one = slice_head(
				slice_from(content, offsets[n]), offsets[n + 1] - offsets[n]);
			struct slice two = slice_head(slice_from(content, offsets[n + 1]),
				offsets[n + 2] - offsets[n + 1]);
			struct slice tail = slice_from(content, offsets[n + 2]);
			const struct slice orders[][4] = {{head, two, tail, {0}},
				{head, one, one, two}, {head, two, one, tail}};

			for (size_t o = 0; o < ARRAY_SIZE(orders); o++) {
				struct result r;

				buffer_clear(&b);
				for (size_t p = 0; p < 4; p++)
					buffer_append_slice(&b, orders[o][p]);
				write_file(f.audit, name, buffer_slice(&b));
				r = run(&f, false);
				cr_assert_gt(r.summary.broken, 0);
			}
		}
		write_file(f.audit, name, content);
		buffer_done(&b);
		free((void *)content.data);
	}
	fixture_close(&f);
}

static void rewrite(const struct fixture *f, const struct segment_name *name, size_t which)
{
	struct slice content = read_file(f->audit, name);
	size_t offsets[64], count = record_offsets(f->audit, name, offsets);
	uint8_t *bytes = (uint8_t *)content.data, chain[HASH_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	EVP_Digest(bytes, SEGMENT_HEADER_SIZE, chain, NULL, EVP_sha256(), NULL);
	for (size_t n = 0; n + 1 < count; n++) {
		size_t length = offsets[n + 1] - offsets[n] - HASH_SIZE;

		/* The record's time. */
		if (n == which)
			bytes[offsets[n] + 20] ^= 1;
		EVP_DigestInit_ex2(context, EVP_sha256(), NULL);
		EVP_DigestUpdate(context, chain, HASH_SIZE);
		EVP_DigestUpdate(context, bytes + offsets[n], length);
		EVP_DigestFinal_ex(context, chain, NULL);
		memcpy(bytes + offsets[n] + length, chain, HASH_SIZE);
	}
	EVP_MD_CTX_free(context);
	write_file(f->audit, name, content);
	free(bytes);
}

Test(tamper, written_anew_with_a_right_chain)
{
	struct fixture f = fixture_open();

	for (size_t i = 0; i < f.audit_files.count; i++) {
		const struct segment_name *name = &f.audit_files.files[i].name;
		struct slice content = read_file(f.audit, name);
		size_t offsets[64], count = record_offsets(f.audit, name, offsets);

		/* Nobody signs the checkpoints' own end. */
		if (name->kind == STREAM_CHECKPOINTS)
			count--;
		for (size_t n = 0;
			n + 1 < count && offsets[n] < signed_bytes(&f, name, content.length); n++) {
			const struct verify_finding *broken;
			struct result r;

			rewrite(&f, name, n);
			r = run(&f, false);
			broken = first_broken(&r);
			cr_assert_not_null(broken, "%s.%u record %zu", name->incarnation.text,
				name->segment, n);
			cr_assert_eq(broken->name.kind, name->kind);
			/* The place is known as well as the checkpoints know it. */
			cr_assert_leq(broken->record, bytes_get_u64(content.data + offsets[n] + 5),
				"%s.%s n %zu record %zu: %s", name->incarnation.text,
				stream_kind_name(name->kind), n, (size_t)broken->record,
				broken->text);
			write_file(f.audit, name, content);
		}
		free((void *)content.data);
	}
	fixture_close(&f);
}

Test(tamper, narrowed_by_earlier_checkpoints)
{
	struct fixture f = fixture_open();
	size_t narrowed = 0;

	for (size_t i = 0; i < f.audit_files.count; i++) {
		const struct segment_name *name = &f.audit_files.files[i].name;
		size_t offsets[64], count = record_offsets(f.audit, name, offsets);
		const struct verify_finding *broken;
		struct result r;

		if (name->incarnation.text[0] != 'm')
			continue;
		rewrite(&f, name, count - 2);
		r = run(&f, false);
		broken = first_broken(&r);
		cr_assert_not_null(broken);
		cr_assert_gt(broken->record, 5);
		narrowed++;
	}
	cr_assert_eq(narrowed, 1);
	fixture_close(&f);
}
