// SPDX-License-Identifier: Apache-2.0
//
// Held URL POOL_URL ITEM: statements that people decide, by pgjdbc with a socket timeout, with a query timeout, and by a pool with one
// connection, from which another thread wants one meanwhile. Prints a line for each outcome.
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.SQLTransientConnectionException;

public class Held {
	static synchronized void say(String line) {
		System.out.println(line);
	}

	static int delete(Connection c, String item) throws SQLException {
		try (PreparedStatement s = c.prepareStatement("delete from orders where item = ?")) {
			s.setString(1, item);
			return s.executeUpdate();
		}
	}

	static void plain(String url, String item) {
		try (Connection c = DriverManager.getConnection(url)) {
			say("jdbc " + delete(c, item));
		} catch (SQLException e) {
			say("jdbc " + e.getSQLState() + " " + e.getMessage());
		}
	}

	/* Its clock cancels the statement at the server. */
	static void limited(String url, String item) {
		try (Connection c = DriverManager.getConnection(url);
			PreparedStatement s = c.prepareStatement("delete from orders where item = ?")) {
			s.setString(1, item);
			s.setQueryTimeout(1);
			say("jdbc-limit " + s.executeUpdate());
		} catch (SQLException e) {
			say("jdbc-limit " + e.getSQLState());
		}
	}

	static void pooled(HikariDataSource pool, String item, Thread other) {
		try (Connection c = pool.getConnection()) {
			other.start();
			say("pool " + delete(c, item));
		} catch (SQLException e) {
			say("pool " + e.getSQLState() + " " + e.getMessage());
		}
	}

	static void waiting(HikariDataSource pool) {
		try (Connection c = pool.getConnection()) {
			say("other got a connection");
		} catch (SQLTransientConnectionException e) {
			say("other had to wait too long");
		} catch (SQLException e) {
			say("other " + e.getMessage());
		}
	}

	public static void main(String[] args) throws Exception {
		HikariConfig config = new HikariConfig();
		config.setJdbcUrl(args[0]);
		config.setMaximumPoolSize(1);
		config.setConnectionTimeout(1500);
		try (HikariDataSource pool = new HikariDataSource(config)) {
			Thread other = new Thread(() -> waiting(pool));
			Thread first = new Thread(() -> plain(args[0], args[1] + " jdbc"));
			Thread second = new Thread(() -> limited(args[0], args[1] + " jdbc-limit"));
			first.start();
			second.start();
			pooled(pool, args[1] + " pool", other);
			first.join();
			second.join();
			other.join();
			try (Connection c = pool.getConnection()) {
				say("again " + c.isValid(5));
			}
		}
	}
}
