// SPDX-License-Identifier: Apache-2.0
// PostgreSQL's JDBC driver: prints the rows of each statement, or the error's SQLSTATE and text. A statement is run six times by a
// prepared statement, so that the driver goes over to a named one and to binary results.
import java.sql.*;
import java.util.Properties;

public class Jdbc {
    public static void main(String[] a) throws Exception {
        Properties p = new Properties();
        p.setProperty("user", a[2]);
        if (!a[3].isEmpty())
            p.setProperty("password", a[3]);
        p.setProperty("sslmode", a[5]);
        if (!a[6].isEmpty())
            p.setProperty("sslrootcert", a[6]);
        try (Connection c = DriverManager.getConnection("jdbc:postgresql://" + a[0] + ":" + a[1] + "/" + a[4], p)) {
            for (int i = 7; i < a.length; i++)
                run(c, a[i]);
        }
    }

    static void run(Connection c, String text) {
        String last = "";
        try (PreparedStatement s = c.prepareStatement(text)) {
            for (int i = 0; i < 6; i++) {
                StringBuilder b = new StringBuilder();
                if (!s.execute()) {
                    last = "update count " + s.getUpdateCount();
                    continue;
                }
                ResultSet r = s.getResultSet();
                while (r.next()) {
                    for (int k = 1; k <= r.getMetaData().getColumnCount(); k++)
                        b.append(k > 1 ? "|" : "").append(r.getString(k));
                    b.append("\n");
                }
                last = b.toString();
            }
            System.out.println(last.strip());
        } catch (SQLException e) {
            System.out.println(e.getSQLState() + " " + e.getMessage());
        }
    }
}
