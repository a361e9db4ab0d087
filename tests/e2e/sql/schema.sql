-- SPDX-License-Identifier: Apache-2.0
-- What the masking tests run on. {SECRET} and {NUMBER} differ between the two databases that are
-- compared; everything else is equal in both.
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, ssn text, salary int, note text,
    tags text[], doc jsonb);
INSERT INTO customers VALUES
    (1, 'Ann', '{SECRET}-a9', {NUMBER} + 5, 'first', '{x,y}', '{"k": "{SECRET}", "n": 1}'),
    (2, 'Bob', '{SECRET}-b3', {NUMBER} * 2, 'second', '{z}', '{"k": "{SECRET}2"}'),
    (3, 'Cid', '{SECRET}-c7', {NUMBER}, NULL, NULL, NULL),
    (4, 'Dee', NULL, NULL, 'fourth', '{}', '{}');
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total numeric, state text, ssn text);
INSERT INTO orders SELECT g, 1 + g % 4, g * 10.5, CASE WHEN g % 3 = 0 THEN 'open' ELSE 'done' END,
    'plain-' || g FROM generate_series(1, 12) AS g;
CREATE TABLE sink (id int, a text, b text, c int);
CREATE VIEW customer_view AS SELECT id AS number, name, ssn AS secret, upper(ssn) AS loud,
    upper(name) AS big, (SELECT max(salary) FROM customers) AS top FROM customers;
CREATE VIEW nested_view AS SELECT v.number, v.secret AS deeper, v.big, o.total
    FROM customer_view v LEFT JOIN orders o ON o.customer_id = v.number;
CREATE VIEW union_view AS SELECT id, ssn AS x FROM customers UNION ALL SELECT id, state FROM orders;
CREATE MATERIALIZED VIEW stored_view AS SELECT id, ssn AS kept, name FROM customers;
CREATE VIEW row_view AS SELECT id, c AS whole FROM customers c;
CREATE TABLE made (id int, ssn text, tail text GENERATED ALWAYS AS (right(ssn, 4)) STORED);
INSERT INTO made SELECT id, ssn FROM customers;
CREATE TABLE part (id int, ssn text, place text) PARTITION BY LIST (place);
CREATE TABLE part_north PARTITION OF part FOR VALUES IN ('north');
CREATE TABLE part_south PARTITION OF part FOR VALUES IN ('south');
INSERT INTO part SELECT id, ssn, CASE WHEN id < 3 THEN 'north' ELSE 'south' END FROM customers;
CREATE TABLE parent (id int, kept text);
CREATE TABLE child (ssn text) INHERITS (parent);
INSERT INTO child SELECT id, '{SECRET}kept', 'free-' || id FROM customers;
CREATE FUNCTION get_ssn(int) RETURNS text LANGUAGE sql STABLE AS
    'SELECT ssn FROM customers WHERE id = $1';
CREATE FUNCTION frozen_ssn() RETURNS text LANGUAGE sql IMMUTABLE AS
    'SELECT ssn FROM customers WHERE id = 1';
CREATE FUNCTION shown(customers) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.ssn';
CREATE FUNCTION all_customers() RETURNS SETOF customers LANGUAGE sql STABLE AS
    'SELECT * FROM customers';
CREATE FUNCTION equal_ssn(text, int) RETURNS boolean LANGUAGE sql STABLE AS
    'SELECT ssn = $1 FROM customers WHERE id = $2';
CREATE OPERATOR ~~~ (LEFTARG = text, RIGHTARG = int, FUNCTION = equal_ssn);
CREATE VIEW code_view AS SELECT id, get_ssn(id) AS fetched, name FROM customers;
CREATE TYPE pair AS (a int, b text);
ANALYZE;
