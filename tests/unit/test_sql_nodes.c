/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kind of statement that libpg_query can produce: one text of each, and what it is.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pg_query.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/sql/facts.h"
#include "sql_test.h"

static const struct sample {
	enum tree_type type;
	const char *text, *pairs;
} samples[] = {
	{TYPE_AlterCollationStmt, "alter collation app.c refresh version", "alter app.c"},
	{TYPE_AlterDatabaseRefreshCollStmt, "alter database d refresh collation version",
		"alter d"},
	{TYPE_AlterDatabaseSetStmt, "alter database d set search_path = x", "alter d, session"},
	{TYPE_AlterDatabaseStmt, "alter database d connection limit 5", "alter d"},
	{TYPE_AlterDefaultPrivilegesStmt,
		"alter default privileges in schema app grant select on tables to x",
		"grant ?all objects of a schema"},
	{TYPE_AlterDomainStmt, "alter domain app.d drop default", "alter app.d"},
	{TYPE_AlterEnumStmt, "alter type app.e add value 'x'", "alter app.e"},
	{TYPE_AlterEventTrigStmt, "alter event trigger e disable", "alter e"},
	{TYPE_AlterExtensionContentsStmt, "alter extension e add table t", "alter e"},
	{TYPE_AlterExtensionStmt, "alter extension e update", "alter e"},
	{TYPE_AlterFdwStmt, "alter foreign data wrapper w options (a 'b')", "alter w"},
	{TYPE_AlterForeignServerStmt, "alter server s version '2'", "alter s"},
	{TYPE_AlterFunctionStmt, "alter function app.f(int) strict", "alter app.f()"},
	{TYPE_AlterObjectDependsStmt, "alter function f(int) depends on extension e",
		"alter public.f()"},
	{TYPE_AlterObjectSchemaStmt, "alter table t set schema app",
		"alter public.t, create app.t"},
	{TYPE_AlterOpFamilyStmt,
		"alter operator family app.o using btree drop operator 1 (int, int)",
		"alter app.o"},
	{TYPE_AlterOperatorStmt, "alter operator app.+ (int, int) set (restrict = none)",
		"alter app.+"},
	{TYPE_AlterOwnerStmt, "alter schema s owner to x", "alter s"},
	{TYPE_AlterPolicyStmt, "alter policy p on t using (exists (select 1 from u))",
		"alter public.t, select public.u"},
	{TYPE_AlterPublicationStmt, "alter publication p add table t", "alter p, select public.t"},
	{TYPE_AlterRoleSetStmt, "alter role r set work_mem = 1", "alter r, session"},
	{TYPE_AlterRoleStmt, "alter role r superuser", "alter r"},
	{TYPE_AlterSeqStmt, "alter sequence seq restart", "alter public.seq"},
	{TYPE_AlterStatsStmt, "alter statistics app.s set statistics 5", "alter app.s"},
	{TYPE_AlterSubscriptionStmt, "alter subscription s disable", "alter s"},
	{TYPE_AlterSystemStmt, "alter system set work_mem = 1", "alter ?the system, session"},
	{TYPE_AlterTSConfigurationStmt,
		"alter text search configuration app.c drop mapping for word", "alter app.c"},
	{TYPE_AlterTSDictionaryStmt, "alter text search dictionary app.d (a = b)", "alter app.d"},
	{TYPE_AlterTableMoveAllStmt, "alter table all in tablespace a set tablespace b",
		"alter ?an object without a name"},
	{TYPE_AlterTableSpaceOptionsStmt, "alter tablespace s set (seq_page_cost = 1)", "alter s"},
	{TYPE_AlterTableStmt, "alter table t add x int", "alter public.t"},
	{TYPE_AlterTypeStmt, "alter type app.y set (send = f)", "alter app.y"},
	{TYPE_AlterUserMappingStmt, "alter user mapping for x server s options (a 'b')", "alter s"},
	{TYPE_CallStmt, "call app.p((select id from t))", "call app.p(), select public.t"},
	{TYPE_CheckPointStmt, "checkpoint", "checkpoint"},
	{TYPE_ClosePortalStmt, "close c", "cursor"},
	{TYPE_ClusterStmt, "cluster t using t_idx", "vacuum public.t"},
	{TYPE_CommentStmt, "comment on table t is 'x'", "comment public.t"},
	{TYPE_CompositeTypeStmt, "create type app.y as (a int)", "create app.y"},
	{TYPE_ConstraintsSetStmt, "set constraints all deferred", "transaction"},
	{TYPE_CopyStmt, "copy t to stdout", "copy_out public.t"},
	{TYPE_CreateAmStmt, "create access method m type index handler app.f", "create m"},
	{TYPE_CreateCastStmt, "create cast (int as app.y) with function app.f(int)",
		"create ?an object without a name"},
	{TYPE_CreateConversionStmt, "create conversion app.c for 'UTF8' to 'LATIN1' from app.f",
		"create app.c"},
	{TYPE_CreateDomainStmt, "create domain app.d as int check (value > app.f())",
		"create app.d, function app.f()"},
	{TYPE_CreateEnumStmt, "create type app.e as enum ('a')", "create app.e"},
	{TYPE_CreateEventTrigStmt,
		"create event trigger e on ddl_command_end execute function app.f()",
		"create e, function app.f()"},
	{TYPE_CreateExtensionStmt, "create extension e", "create e"},
	{TYPE_CreateFdwStmt, "create foreign data wrapper w handler app.f", "create w"},
	{TYPE_CreateForeignServerStmt, "create server s foreign data wrapper w", "create s"},
	{TYPE_CreateForeignTableStmt, "create foreign table app.x (a int) server s",
		"create app.x"},
	{TYPE_CreateFunctionStmt,
		"create function app.g() returns int language sql return (select 1 from t)",
		"create app.g(), select public.t"},
	{TYPE_CreateOpClassStmt,
		"create operator class app.o for type int using btree as operator 1 <, function 1 "
		"app.f(int, int)",
		"create app.o"},
	{TYPE_CreateOpFamilyStmt, "create operator family app.o using btree", "create app.o"},
	{TYPE_CreatePLangStmt, "create language l handler app.f", "create l"},
	{TYPE_CreatePolicyStmt, "create policy p on t using (exists (select 1 from u))",
		"create public.t, select public.u"},
	{TYPE_CreatePublicationStmt, "create publication p for table t",
		"create p, select public.t"},
	{TYPE_CreateRangeStmt, "create type app.r as range (subtype = int)", "create app.r"},
	{TYPE_CreateRoleStmt, "create role r superuser", "create r"},
	{TYPE_CreateSchemaStmt, "create schema s create table x (a int)", "create s, create s.x"},
	{TYPE_CreateSeqStmt, "create sequence app.q", "create app.q"},
	{TYPE_CreateStatsStmt, "create statistics app.s on id, a from t", "create public.t"},
	{TYPE_CreateStmt, "create table app.x (a int references t, check (a > 1))",
		"create app.x, select public.t"},
	{TYPE_CreateSubscriptionStmt, "create subscription s connection 'x' publication p",
		"create s"},
	{TYPE_CreateTableAsStmt, "create table app.x as select * from t",
		"create app.x, select public.t"},
	{TYPE_CreateTableSpaceStmt, "create tablespace s location '/x'", "create s"},
	{TYPE_CreateTransformStmt,
		"create transform for int language sql (from sql with function app.f(internal))",
		"create ?an object without a name"},
	{TYPE_CreateTrigStmt,
		"create trigger g after insert on t for each row execute function app.f()",
		"create public.t, function app.f()"},
	{TYPE_CreateUserMappingStmt, "create user mapping for x server s", "create s"},
	{TYPE_CreatedbStmt, "create database d", "create d"},
	{TYPE_DeallocateStmt, "deallocate p", "session"},
	{TYPE_DeclareCursorStmt, "declare c cursor for select * from t", "cursor, select public.t"},
	{TYPE_DefineStmt, "create aggregate app.g (int) (sfunc = app.f, stype = int)",
		"create app.g()"},
	{TYPE_DeleteStmt, "delete from t", "delete! public.t"},
	{TYPE_DiscardStmt, "discard all", "session"},
	{TYPE_DoStmt, "do 'x'", "do"},
	{TYPE_DropOwnedStmt, "drop owned by x", "drop ?an object without a name"},
	{TYPE_DropRoleStmt, "drop role r", "drop r"},
	{TYPE_DropStmt, "drop table t", "drop public.t"},
	{TYPE_DropSubscriptionStmt, "drop subscription s", "drop s"},
	{TYPE_DropTableSpaceStmt, "drop tablespace s", "drop s"},
	{TYPE_DropUserMappingStmt, "drop user mapping for x server s", "drop s"},
	{TYPE_DropdbStmt, "drop database d", "drop d"},
	{TYPE_ExecuteStmt, "execute p", "execute_unknown"},
	{TYPE_ExplainStmt, "explain select * from t", "explain public.t"},
	{TYPE_FetchStmt, "fetch c", "cursor, execute_unknown"},
	{TYPE_GrantRoleStmt, "grant r to x", "grant r"},
	{TYPE_GrantStmt, "grant select on t to x", "grant public.t"},
	{TYPE_ImportForeignSchemaStmt, "import foreign schema x from server s into app",
		"create ?app"},
	{TYPE_IndexStmt, "create index i on t (app.f(id))", "create public.t, function app.f()"},
	{TYPE_InsertStmt, "insert into t select * from u", "insert public.t, select public.u"},
	{TYPE_ListenStmt, "listen l", "listen l"},
	{TYPE_LoadStmt, "load 'x'", "load x"},
	{TYPE_LockStmt, "lock t, u", "lock public.t, lock public.u"},
	{TYPE_MergeStmt, "merge into t using u on t.id = u.id when matched then delete",
		"merge public.t, delete public.t, select public.u, select public.t"},
	{TYPE_NotifyStmt, "notify n", "notify n"},
	{TYPE_PrepareStmt, "prepare p as select * from t", "session | select public.t"},
	{TYPE_ReassignOwnedStmt, "reassign owned by x to y", "alter ?an object without a name"},
	{TYPE_RefreshMatViewStmt, "refresh materialized view app.orders", "alter app.orders"},
	{TYPE_ReindexStmt, "reindex table t", "vacuum public.t"},
	{TYPE_RenameStmt, "alter table t rename to x", "alter public.t"},
	{TYPE_ReplicaIdentityStmt, "alter table t replica identity full", "alter public.t"},
	{TYPE_ReturnStmt, "create function app.g() returns int language sql return app.f()",
		"create app.g(), function app.f()"},
	{TYPE_RuleStmt, "create rule r as on insert to t do also delete from u",
		"create public.t, delete! public.u"},
	{TYPE_SecLabelStmt, "security label on table t is 'x'", "alter public.t"},
	{TYPE_SelectStmt, "select * from t", "select public.t"},
	{TYPE_TransactionStmt, "begin", "transaction"},
	{TYPE_TruncateStmt, "truncate t, u", "truncate! public.t, truncate! public.u"},
	{TYPE_UnlistenStmt, "unlisten *", "session"},
	{TYPE_UpdateStmt, "update t set a = 1", "update! public.t"},
	{TYPE_VacuumStmt, "vacuum t", "vacuum public.t"},
	{TYPE_VariableSetStmt, "set work_mem = 1", "session"},
	{TYPE_VariableShowStmt, "show work_mem", "show"},
	{TYPE_ViewStmt, "create view app.w as select * from t", "create app.w, select public.t"},
};

static const char *const type_names[] = {
	[TYPE_NONE] = "",
#define NODE(name) [TYPE_##name] = #name,
#define FIELD(name)
#include "protocol/sql/names.inc"
#undef NODE
#undef FIELD
};

static bool holds(const struct tree *t, enum tree_type type)
{
	for (tree_index n = 1; n < t->node_count; n++) {
		if (t->nodes[n].kind == TREE_NODE && tree_type(t, n) == type)
			return true;
	}
	return false;
}

Test(sql_nodes, each_statement_is_what_it_is)
{
	struct sql_catalog *c = sql_test_catalog();
	struct sql_view view = sql_test_view(c);

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct sql_text *t = sql_text_parse(sql_test_slice(samples[i].text));
		const struct facts *f = sql_text_facts(t);

		cr_assert_not_null(f, "%s: %s", samples[i].text, sql_text_problem(t));
		cr_expect(holds(&f->tree, samples[i].type), "%s has no %s", samples[i].text,
			type_names[samples[i].type]);
		cr_expect_null(f->problem, "%s", samples[i].text);
		sql_text_put(t);
		sql_test_expect(samples[i].text, &view, samples[i].pairs);
	}
	sql_catalog_put(c);
}

static bool has_sample(struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		if (slice_equal_string(name, type_names[samples[i].type]))
			return true;
	}
	return false;
}

/* Names of statements stand in the library as it writes them: "SelectStmt":{ */
static size_t check_names(struct slice file)
{
	/* The wrapper of each statement; what analysis makes, which libpg_query does not do;
	 * PL/pgSQL's assignment, which plain SQL can't write. */
	static const char *const others[] = {"RawStmt", "SetOperationStmt", "PLAssignStmt"};
	size_t count = 0;

	for (size_t i = 8; i + 3 < file.length; i++) {
		size_t start = i;
		struct slice name;
		bool other = false;

		if (memcmp(file.data + i, "Stmt\":", 6) != 0)
			continue;
		while (start > 0 && file.data[start - 1] != '"' && i - start < 64)
			start--;
		name = slice_of(file.data + start, i + 4 - start);
		/* Fields are in lower case. */
		if (name.data[0] < 'A' || name.data[0] > 'Z')
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(others); j++)
			other |= slice_equal_string(name, others[j]);
		count++;
		cr_expect(other || has_sample(name), "no sample of %.*s", SLICE_PRINT(name));
	}
	return count;
}

Test(sql_nodes, every_statement_of_the_library_has_a_sample)
{
	struct stat stat;
	Dl_info info;
	void *data;
	int fd;

	cr_assert(dladdr((void *)pg_query_parse, &info) && strstr(info.dli_fname, "pg_query"));
	fd = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &stat), 0);
	data = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	cr_assert_neq(data, MAP_FAILED);
	cr_expect_gt(check_names(slice_of(data, (size_t)stat.st_size)), 100);
	munmap(data, (size_t)stat.st_size);
	close(fd);
}
