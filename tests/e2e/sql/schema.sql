-- SPDX-License-Identifier: Apache-2.0
-- What the masking tests run on. {SECRET} and {NUMBER} differ between the two databases that are
-- compared; everything else is equal in both.
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, ssn text, salary int, note text,
    tags text[], doc jsonb);
INSERT INTO customers VALUES
    (1, 'Ann', '{SECRET}-{LETTER}9', {NUMBER} * {TIMES} + 5, 'first', '{x,y}', '{"k": "{SECRET}", "n": 1}'),
    (2, 'Bob', '{SECRET}-b3', {NUMBER} * 2, 'second', '{z}', '{"k": "{SECRET}2", "{SECRET}": 1}'),
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
CREATE DOMAIN code AS varchar(40);
CREATE TYPE address AS (street text, town text);
CREATE TABLE typed (id int PRIMARY KEY, word text, words text[], home address, number numeric,
    born date, raw bytea, code code, plain text);
INSERT INTO typed VALUES
    (1, '{SECRET}-{LETTER}1', '{"{SECRET}-x","{SECRET}-y"}', '("{SECRET} street",Ulm)', {NUMBER}.5,
        date '2000-01-01' + {NUMBER}, '{SECRET}', '{SECRET}-c', 'one'),
    (2, '{SECRET}-m0', '{"{SECRET}"}', '("{SECRET} lane","{SECRET} town")', {NUMBER} * 3,
        date '2000-01-01' - {NUMBER}, '{SECRET}2', '{SECRET}-d', 'two');
CREATE VIEW typed_view AS SELECT id, t AS whole, (t.home).street AS street, t.words[1] AS first_word,
    plain FROM typed t;
CREATE TABLE kept (id int, c customers);
CREATE VIEW aggregate_view AS SELECT count(*) AS n, max(ssn) AS top, array_agg(salary) AS every FROM customers;
CREATE VIEW filtered_view AS SELECT id, name FROM customers WHERE id < 3;
CREATE VIEW recursive_view AS WITH RECURSIVE r AS (SELECT 1 AS n, ssn FROM customers WHERE id = 1
    UNION ALL SELECT n + 1, ssn FROM r WHERE n < 3) SELECT * FROM r;
CREATE VIEW window_view AS SELECT id, lag(ssn) OVER (ORDER BY id) AS before FROM customers;
CREATE VIEW star_view AS SELECT * FROM customers NATURAL JOIN (SELECT id, state FROM orders) AS o;
CREATE VIEW values_view AS SELECT * FROM (VALUES (1, (SELECT max(ssn) FROM customers))) AS v(a, b);
CREATE VIEW lateral_view AS SELECT c.id, l.x FROM customers c, LATERAL (SELECT c.ssn AS x) AS l;
CREATE VIEW checked_view AS SELECT id, name FROM customers WHERE id < 3 WITH CHECK OPTION;
CREATE TYPE being AS (id int, ssn text);
CREATE TABLE beings OF being;
INSERT INTO beings SELECT id, ssn FROM customers;
-- Of its operators those that a session finds on its search_path.
CREATE SCHEMA own;
CREATE VIEW own.failing_view AS SELECT id, name FROM customers WHERE ssn::int > 5;
CREATE VIEW own.frozen_view AS SELECT id FROM orders WHERE state <> frozen_ssn();
CREATE FUNCTION raise_ssn(int) RETURNS boolean LANGUAGE plpgsql STABLE AS
    $$ BEGIN RAISE EXCEPTION '%', (SELECT max(ssn) FROM customers); END $$;
CREATE MATERIALIZED VIEW own.stored_code AS SELECT id, get_ssn(id) AS fetched FROM orders;
CREATE MATERIALIZED VIEW own.stored_xml AS SELECT id, query_to_xml('select ssn from customers', true, true, '') AS document, upper(state) AS loud
    FROM orders;
CREATE VIEW own.raising_view AS SELECT id FROM orders WHERE raise_ssn(id);
CREATE VIEW own.over_failing AS SELECT id FROM own.failing_view;
CREATE FUNCTION later_ssn(text, int) RETURNS boolean LANGUAGE sql STABLE AS
    'SELECT ssn > ''m'' FROM customers WHERE id = $2';
CREATE OPERATOR own.>= (LEFTARG = text, RIGHTARG = int, FUNCTION = later_ssn);
CREATE OPERATOR own.<= (LEFTARG = text, RIGHTARG = int, FUNCTION = later_ssn);
CREATE OPERATOR own.= (LEFTARG = text, RIGHTARG = int, FUNCTION = later_ssn);
CREATE TABLE keyed (ssn text PRIMARY KEY);
INSERT INTO keyed VALUES ('{SECRET}');
CREATE TABLE broken (id int, ssn text);
INSERT INTO broken VALUES (1, '{SECRET}-z');
ALTER TABLE broken ADD CONSTRAINT known FOREIGN KEY (ssn) REFERENCES keyed NOT VALID;
CREATE TABLE twice (id int, ssn text, note text);
INSERT INTO twice SELECT id, ssn, 'same' FROM customers;
CREATE TABLE held (id int PRIMARY KEY);
INSERT INTO held VALUES (1);
CREATE TABLE holder (number int NOT NULL REFERENCES held ON DELETE SET NULL, ssn text);
INSERT INTO holder VALUES (1, '{SECRET}-h');
CREATE MATERIALIZED VIEW refreshed AS SELECT c.ssn, o.customer_id FROM customers c JOIN orders o ON o.customer_id = c.id
    WHERE o.id IN (1, 2, 30, 31);
CREATE UNIQUE INDEX ON refreshed (customer_id, ssn);
CREATE TABLE documents (id int, papers json);
INSERT INTO documents VALUES (1, '{"k": "{SECRET}", "n": {NUMBER}, "z": "\u0000"}');
CREATE TABLE beyond (id int, ssn text);
INSERT INTO beyond VALUES (1, chr({NUMBER}));
ANALYZE;
