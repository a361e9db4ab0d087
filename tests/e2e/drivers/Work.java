// SPDX-License-Identifier: Apache-2.0
// PostgreSQL's JDBC driver, under several of its settings: what it can do, one line of outcome each.
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.security.MessageDigest;
import java.sql.*;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public class Work {
    interface Scenario { void run(Connection c) throws Exception; }
    interface Step { Object run() throws Exception; }

    static String url;
    static Properties base = new Properties();
    static String prefix;

    public static void main(String[] a) throws Exception {
        String host = a[0].contains(":") ? "[" + a[0] + "]" : a[0];
        url = "jdbc:postgresql://" + host + ":" + a[1] + "/" + a[2];
        base.setProperty("user", "app");
        base.setProperty("sslmode", a[3]);
        if (!a[4].isEmpty())
            base.setProperty("sslrootcert", a[4]);
        String[] settings = {"", "prepareThreshold=1", "prepareThreshold=-1", "preferQueryMode=simple", "preferQueryMode=extendedForPrepared",
            "preferQueryMode=extendedCacheEverything", "reWriteBatchedInserts=true", "autosave=always", "autosave=conservative,prepareThreshold=1",
            "defaultRowFetchSize=3", "adaptiveFetch=true,defaultRowFetchSize=5,maxResultBuffer=1M", "assumeMinServerVersion=12,ApplicationName=work",
            "cleanupSavepoints=true,autosave=always", "preparedStatementCacheQueries=2,prepareThreshold=1"};
        for (String setting : settings) {
            prefix = setting.isEmpty() ? "default" : setting;
            play("reused", Work::reused, setting);
            play("values", Work::values, setting);
            play("batches", Work::batches, setting);
            play("failures", Work::failures, setting);
            play("fetching", Work::fetching, setting);
        }
        prefix = "once";
        play("copies", Work::copies, "");
        play("results", Work::results, "");
        play("objects", Work::largeObjects, "");
        play("messages", Work::notifications, "");
        play("cancels", Work::cancels, "");
        play("calls", Work::calls, "");
        play("metadata", Work::metadata, "");
        play("pool", c -> pool(), "");
    }

    static Connection connect(String settings) throws SQLException {
        Properties p = new Properties();
        p.putAll(base);
        for (String s : settings.split(","))
            if (!s.isEmpty())
                p.setProperty(s.split("=")[0], s.split("=")[1]);
        return DriverManager.getConnection(url, p);
    }

    static String scenario;

    static void play(String name, Scenario s, String settings) throws Exception {
        scenario = name;
        try (Connection c = connect(settings)) {
            c.createStatement().execute("delete from work");
            s.run(c);
        }
    }

    static void say(Object o) {
        System.out.println(prefix + " " + scenario + ": " + String.valueOf(o).replace("\n", "\\n"));
    }

    static String describe(SQLException e) {
        String text = "error " + e.getSQLState() + " " + e.getMessage();
        if (e instanceof BatchUpdateException)
            text = Arrays.toString(((BatchUpdateException) e).getUpdateCounts()) + " " + (e.getNextException() == null ? text : describe(e.getNextException()));
        return text;
    }

    static Object attempt(Step s) throws Exception {
        try {
            return s.run();
        } catch (SQLException e) {
            return describe(e);
        }
    }

    static String rows(ResultSet r) throws SQLException {
        StringBuilder b = new StringBuilder();
        int n = r.getMetaData().getColumnCount();
        while (r.next()) {
            for (int i = 1; i <= n; i++)
                b.append(i > 1 ? "|" : "").append(r.getString(i));
            b.append(";");
        }
        return b.toString();
    }

    static String query(Connection c, String text, Object... values) throws SQLException {
        try (PreparedStatement s = c.prepareStatement(text)) {
            for (int i = 0; i < values.length; i++)
                s.setObject(i + 1, values[i]);
            return s.execute() ? rows(s.getResultSet()) : "updated " + s.getUpdateCount();
        }
    }

    static void reused(Connection c) throws Exception {
        try (PreparedStatement s = c.prepareStatement("select id, name, ssn, born from people where id = ?")) {
            for (int i = 1; i <= 8; i++) {
                s.setInt(1, i);
                say(rows(s.executeQuery()));
            }
        }
        for (int round = 0; round < 7; round++)
            for (String column : new String[] {"ssn", "name", "born"})
                query(c, "select " + column + " from people where id > ? order by id limit 2", round);
        say(query(c, "select ssn from people where id = any(?)", c.createArrayOf("int4", new Object[] {1, 2})));
        say(attempt(() -> query(c, "select value from hidden.secrets where id = ?", 1)));
        say(attempt(() -> query(c, "select value from hidden.secrets where id = ?", 1)));
        say(query(c, "select count(*) from work"));
    }

    static void values(Connection c) throws Exception {
        try (PreparedStatement s = c.prepareStatement("select 1::smallint, 2, 3::bigint, 4.50::numeric, 5.5::float8, 'x', '\\x0102'::bytea, true, date '2020-01-02', "
                + "timestamp '2020-01-02 03:04:05', array[1, 2], '{\"a\": 1}'::jsonb, null::text, '123e4567-e89b-12d3-a456-426614174000'::uuid, ssn from people where id = 1")) {
            for (int i = 0; i < 7; i++) {
                ResultSet r = s.executeQuery();
                r.next();
                StringBuilder b = new StringBuilder();
                for (int k = 1; k <= 15; k++) {
                    Object o = r.getObject(k);
                    b.append(o instanceof byte[] ? Arrays.toString((byte[]) o) : String.valueOf(o)).append("|");
                }
                if (i == 0 || i == 6)
                    say(b);
            }
            ResultSetMetaData m = s.getMetaData();
            StringBuilder b = new StringBuilder();
            for (int k = 1; k <= m.getColumnCount(); k++)
                b.append(m.getColumnLabel(k)).append(":").append(m.getColumnTypeName(k)).append(":").append(m.getTableName(k)).append(",");
            say(b);
        }
        try (PreparedStatement s = c.prepareStatement("update people set name = ? where id = ? and born = ?")) {
            say(attempt(() -> {
                ParameterMetaData m = s.getParameterMetaData();
                return m.getParameterTypeName(1) + m.getParameterTypeName(2) + m.getParameterTypeName(3);
            }));
        }
    }

    static void batches(Connection c) throws Exception {
        for (boolean auto : new boolean[] {true, false}) {
            c.setAutoCommit(auto);
            try (PreparedStatement s = c.prepareStatement("insert into work (id, name) values (?, ?)")) {
                for (int i = 0; i < 300; i++) {
                    s.setInt(1, i);
                    s.setString(2, "name " + i);
                    s.addBatch();
                }
                say(Arrays.stream(s.executeBatch()).sum());
                for (int id : new int[] {1000, 1001, 1000, 1002}) {
                    s.setInt(1, id);
                    s.setString(2, "again");
                    s.addBatch();
                }
                say(attempt(() -> Arrays.toString(s.executeBatch())));
            }
            if (!auto)
                say(attempt(() -> query(c, "select count(*) from work")));
            if (!auto)
                c.rollback();
            say(query(c, "select count(*) from work"));
            for (String bad : new String[] {"insert into hidden.secrets values (1, 'x')", "update work set id = 1/0", "selec"}) {
                try (Statement s = c.createStatement()) {
                    for (String text : new String[] {"insert into work (id) values (2001)", bad, "insert into work (id) values (2002)"})
                        s.addBatch(text);
                    say(attempt(() -> Arrays.toString(s.executeBatch())));
                }
                if (!auto)
                    c.rollback();
                say(query(c, "select count(*) from work where id > 2000"));
            }
            query(c, "delete from work");
            if (!auto)
                c.commit();
        }
        c.setAutoCommit(true);
        try (PreparedStatement s = c.prepareStatement("insert into work (id, name) values (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int i = 0; i < 5; i++) {
                s.setInt(1, i);
                s.setString(2, "key");
                s.addBatch();
            }
            say(Arrays.toString(s.executeBatch()));
            say(rows(s.getGeneratedKeys()));
        }
    }

    static void failures(Connection c) throws Exception {
        c.setAutoCommit(false);
        query(c, "insert into work (id) values (1)");
        for (String bad : new String[] {"select value from hidden.secrets", "insert into work (id) values (1)", "select nothing"}) {
            Savepoint p = c.setSavepoint("here");
            say(attempt(() -> query(c, bad)));
            say(attempt(() -> query(c, "select ssn from people where id = 1")));
            say(attempt(() -> { c.rollback(p); c.releaseSavepoint(p); return "rolled back"; }));
        }
        say(query(c, "select count(*) from work"));
        c.commit();
        say(attempt(() -> query(c, "select value from hidden.secrets")));
        say(attempt(() -> query(c, "select count(*) from work")));
        say(attempt(() -> { c.commit(); return "committed"; }));
        say(attempt(() -> { c.rollback(); return "rolled back"; }));
        c.setAutoCommit(true);
        say(attempt(() -> query(c, "insert into work (id) values (5); select value from hidden.secrets; insert into work (id) values (6)")));
        say(query(c, "select id from work order by id"));
        c.setReadOnly(true);
        c.setAutoCommit(false);
        say(attempt(() -> query(c, "insert into work (id) values (7)")));
        c.rollback();
        c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        say(query(c, "show transaction_isolation"));
        c.rollback();
        c.setReadOnly(false);
    }

    static void fetching(Connection c) throws Exception {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement(); Statement other = c.createStatement()) {
            s.setFetchSize(7);
            ResultSet r = s.executeQuery("select id, ssn from people order by id");
            StringBuilder b = new StringBuilder();
            while (r.next()) {
                b.append(r.getString(2)).append(",");
                if (r.getInt(1) % 10 == 0)
                    b.append(rows(other.executeQuery("select name from people where id = " + r.getInt(1))));
            }
            say(b);
            s.setMaxRows(5);
            say(rows(s.executeQuery("select ssn from people order by id")));
            s.setMaxRows(0);
            // Left half read, and another statement begun on it.
            r = s.executeQuery("select i from generate_series(1, 1000) i");
            r.next();
            say(rows(s.executeQuery("select ssn from people where id = 2")));
        }
        try (PreparedStatement s = c.prepareStatement("select i, 'some text' from generate_series(1, ?) i")) {
            s.setFetchSize(100);
            for (int n : new int[] {0, 99, 100, 101, 1050}) {
                s.setInt(1, n);
                ResultSet r = s.executeQuery();
                int sum = 0;
                while (r.next())
                    sum += r.getInt(1);
                say(sum);
            }
        }
        query(c, "declare k cursor for select id, ssn from people order by id");
        say(query(c, "fetch 3 from k") + query(c, "move 2 in k") + query(c, "fetch 2 from k") + query(c, "close k"));
        c.rollback();
    }

    static void copies(Connection c) throws Exception {
        CopyManager m = c.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder b = new StringBuilder();
        for (int i = 0; i < 5000; i++)
            b.append(i).append("\tname ").append(i).append("\n");
        say(m.copyIn("copy work (id, name) from stdin", new StringReader(b.toString())));
        for (String text : new String[] {"copy people (id, ssn) to stdout", "copy people to stdout csv header", "copy people (id, ssn) to stdout binary",
                "copy (select * from people where id < 3) to stdout", "copy hidden.secrets to stdout", "copy (select value from hidden.secrets) to stdout"}) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            say(attempt(() -> m.copyOut(text, out)) + out.toString("ISO-8859-1").replace("\0", "."));
        }
        say(attempt(() -> m.copyIn("copy work (id, name) from stdin", new StringReader("9000\ta\nx\tb\n"))));
        say(attempt(() -> m.copyIn("copy hidden.secrets from stdin", new StringReader(b.toString()))));
        CopyIn in = m.copyIn("copy work (id) from stdin");
        byte[] bytes = "9001\n".getBytes();
        in.writeToCopy(bytes, 0, bytes.length);
        say(attempt(() -> { in.cancelCopy(); return "cancelled"; }));
        say(query(c, "select count(*) from work"));
        c.setAutoCommit(false);
        query(c, "insert into work (id) values (9002)");
        say(attempt(() -> m.copyIn("copy hidden.secrets from stdin", new StringReader("1\tx\n"))));
        say(attempt(() -> query(c, "select 1")));
        c.rollback();
        say(query(c, "select count(*) from work"));
    }

    static void results(Connection c) throws Exception {
        try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
            s.execute("insert into work values (1, 'a'), (2, 'b'), (3, 'c')");
            ResultSet r = s.executeQuery("select id, name from work order by id");
            r.absolute(2);
            r.updateString("name", "updated");
            r.updateRow();
            r.moveToInsertRow();
            r.updateInt("id", 4);
            r.updateString("name", "inserted");
            r.insertRow();
            r.first();
            r.deleteRow();
            r.last();
            r.refreshRow();
            say(query(c, "select * from work order by id"));
        }
        try (Statement s = c.createStatement()) {
            boolean isRows = s.execute("select 1; update work set name = 'z'; select ssn from people where id = 1");
            while (isRows || s.getUpdateCount() >= 0) {
                say(isRows ? rows(s.getResultSet()) : "updated " + s.getUpdateCount());
                isRows = s.getMoreResults();
            }
            s.execute("drop table if exists scratch_none");
            say(s.getWarnings());
        }
        for (String bad : new String[] {"select nothing from work", "insert into work (id) values (null)"}) {
            try {
                query(c, bad);
            } catch (PSQLException e) {
                ServerErrorMessage m = e.getServerErrorMessage();
                say(m.getSeverity() + m.getSQLState() + m.getMessage() + m.getDetail() + m.getPosition() + m.getTable() + m.getColumn());
            }
        }
        say(c.isValid(5));
    }

    static void largeObjects(Connection c) throws Exception {
        c.setAutoCommit(false);
        byte[] whole = new byte[300000];
        for (int i = 0; i < whole.length; i++)
            whole[i] = (byte) (i * 7);
        say(attempt(() -> {
            LargeObjectManager m = c.unwrap(PGConnection.class).getLargeObjectAPI();
            long oid = m.createLO(LargeObjectManager.READWRITE);
            LargeObject o = m.open(oid, LargeObjectManager.READWRITE);
            o.write(whole);
            o.seek(1000);
            boolean same = Arrays.equals(o.read(200000), Arrays.copyOfRange(whole, 1000, 201000));
            o.close();
            m.delete(oid);
            return same;
        }));
        c.rollback();
        say(query(c, "select 1"));
    }

    static void notifications(Connection c) throws Exception {
        query(c, "listen here");
        try (Connection other = connect("")) {
            query(other, "notify here, 'x'");
        }
        PGNotification[] n = c.unwrap(PGConnection.class).getNotifications(5000);
        say(n[0].getName() + n[0].getParameter());
        query(c, "unlisten *");
    }

    static void cancels(Connection c) throws Exception {
        try (Statement s = c.createStatement()) {
            Thread t = new Thread(() -> {
                try {
                    Thread.sleep(500);
                    s.cancel();
                } catch (Exception e) {
                    say(e);
                }
            });
            t.start();
            say(attempt(() -> s.execute("select pg_sleep(20)")));
            t.join();
            s.setQueryTimeout(1);
            say(attempt(() -> s.execute("select pg_sleep(20)")));
            s.setQueryTimeout(0);
            say(rows(s.executeQuery("select ssn from people where id = 1")));
        }
    }

    static void calls(Connection c) throws Exception {
        try (CallableStatement s = c.prepareCall("{? = call add_one(?)}")) {
            s.registerOutParameter(1, Types.INTEGER);
            s.setInt(2, 41);
            s.execute();
            say(s.getInt(1));
        }
        say(query(c, "select {fn ucase('x')}, {d '2020-01-01'}"));
        c.setCatalog(c.getCatalog());
        say(c.getSchema() + c.getClientInfo("ApplicationName"));
        c.setNetworkTimeout(Runnable::run, 5000);
        say(query(c, "select 1"));
    }

    static void metadata(Connection c) throws Exception {
        DatabaseMetaData m = c.getMetaData();
        tell("tables", m.getTables(null, "public", "%", new String[] {"TABLE", "VIEW", "TYPE", "INDEX"}));
        tell("all tables", m.getTables(null, null, "%", null));
        tell("columns", m.getColumns(null, "public", "%", "%"));
        tell("all columns", m.getColumns(null, "pg_catalog", "pg_c%", null));
        tell("primary keys", m.getPrimaryKeys(null, "public", "people"));
        tell("indexes", m.getIndexInfo(null, "public", "people", false, true));
        tell("imported", m.getImportedKeys(null, "public", "people"));
        tell("exported", m.getExportedKeys(null, "public", "people"));
        tell("references", m.getCrossReference(null, "public", "people", null, "public", "work"));
        tell("types", m.getTypeInfo());
        tell("udts", m.getUDTs(null, "public", "%", null));
        tell("schemas", m.getSchemas());
        tell("table types", m.getTableTypes());
        tell("procedures", m.getProcedures(null, "public", "%"));
        tell("functions", m.getFunctions(null, "public", "%"));
        tell("function columns", m.getFunctionColumns(null, "public", "%", "%"));
        tell("best", m.getBestRowIdentifier(null, "public", "people", 0, true));
        tell("versions", m.getVersionColumns(null, "public", "people"));
        tell("column privileges", m.getColumnPrivileges(null, "public", "people", "%"));
        tell("table privileges", m.getTablePrivileges(null, "public", "people"));
        tell("client info", m.getClientInfoProperties());
        say(m.getDatabaseProductVersion() + m.getMaxColumnNameLength() + m.getSQLKeywords().length() + m.getNumericFunctions().length());
    }

    static void tell(String name, ResultSet r) throws Exception {
        String text = rows(r).replaceAll("\\b(plain|twin)\\b", "db").replaceAll("\\d{5,}", "N");
        byte[] sum = MessageDigest.getInstance("SHA-256").digest(text.getBytes("UTF-8"));
        say(name + " " + text.length() + " " + (text.length() < 400 ? text : Arrays.hashCode(sum)));
    }

    static void pool() throws Exception {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(url);
        config.setDataSourceProperties(base);
        config.setMaximumPoolSize(4);
        config.setMinimumIdle(1);
        config.setConnectionInitSql("set application_name = 'pooled'");
        ExecutorService threads = Executors.newFixedThreadPool(8);
        try (HikariDataSource source = new HikariDataSource(config)) {
            List<Future<Integer>> sums = new ArrayList<>();
            for (int i = 0; i < 80; i++) {
                int n = i;
                sums.add(threads.submit((Callable<Integer>) () -> {
                    try (Connection c = source.getConnection()) {
                        if (n % 5 == 0)
                            attempt(() -> query(c, "select value from hidden.secrets"));
                        return Integer.parseInt(query(c, "select ?::int + 1", n).replace(";", ""));
                    }
                }));
            }
            int sum = 0;
            for (Future<Integer> f : sums)
                sum += f.get();
            say(sum);
        }
        threads.shutdown();
    }
}
