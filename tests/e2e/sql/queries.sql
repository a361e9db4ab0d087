-- SPDX-License-Identifier: Apache-2.0
-- What random queries run on (queries.py, which knows the columns). {SECRET} and {TIMES} differ between the two servers that
-- are compared, and with them length and order of each masked value; all else is equal. No table is analyzed: the plans, and
-- the order of rows that no ORDER BY gives, are to be equal too.
CREATE FUNCTION secret(i int) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT '{SECRET}' || left(md5('{SECRET}' || i), 4 + (i * {TIMES}) % 9) $$;
CREATE FUNCTION hidden(i int) RETURNS int LANGUAGE sql IMMUTABLE AS
    $$ SELECT 10000000 + ('x' || left(md5('{SECRET}n' || i), 6))::bit(24)::int $$;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'fine');
CREATE DOMAIN tag AS text CHECK (VALUE <> '');
CREATE DOMAIN short AS varchar(60);
CREATE TYPE place AS (street text, town text, zip int);
CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL, ssn text, salary int, mood mood, doc jsonb, marks int[], keys text[],
    home place, born date, code short, size numeric(6, 2), note text,
    tail text GENERATED ALWAYS AS (right(ssn, 5)) STORED, spare int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO person SELECT i, 'name' || i % 7, CASE WHEN i % 5 > 0 THEN secret(i) END, CASE WHEN i % 4 > 0 THEN hidden(i) END,
    (array['sad', 'ok', 'fine'])[1 + i % 3]::mood, jsonb_build_object('k', secret(i + 20), 'n', i), array[i, i % 3],
    array[secret(i + 40), 'x'], row(secret(i + 60), 'town' || i % 2, i)::place, date '1900-01-01' + hidden(i) % 30000, secret(i + 80),
    i * 1.25, CASE WHEN i % 3 > 0 THEN 'note ' || i END FROM generate_series(1, 14) i;
CREATE TABLE item (id int PRIMARY KEY, person_id int REFERENCES person, title text, price numeric, amount int, tags text[], info jsonb,
    day date, ok boolean, ssn text);
INSERT INTO item SELECT i, 1 + i % 14, 'title ' || i % 6, i * 2.5, i % 5, array['a' || i % 3, 'b'], jsonb_build_object('k', i % 4, 'l', array[i]),
    date '2020-01-01' + i, i % 3 = 0, 'free-' || i FROM generate_series(1, 20) i;
CREATE TABLE account (number int PRIMARY KEY, owner int, iban tag, balance numeric, span int4range, label tag, live boolean DEFAULT true);
INSERT INTO account SELECT i, 1 + i % 14, secret(i + 100), hidden(i + 100) / 3.0, int4range(i, i + 5), 'label' || i % 4
    FROM generate_series(1, 9) i;
CREATE TABLE event (id int, kind text, payload jsonb, token text, day date) PARTITION BY RANGE (id);
CREATE TABLE event_low PARTITION OF event FOR VALUES FROM (MINVALUE) TO (6);
CREATE TABLE event_high (day date, token text, kind text, payload jsonb, id int) PARTITION BY LIST (kind);
ALTER TABLE event ATTACH PARTITION event_high FOR VALUES FROM (6) TO (MAXVALUE);
CREATE TABLE event_high_a PARTITION OF event_high FOR VALUES IN ('a');
CREATE TABLE event_high_rest PARTITION OF event_high DEFAULT;
INSERT INTO event SELECT i, substr('abc', 1 + i % 3, 1), jsonb_build_object('p', secret(i + 120)), secret(i + 140), date '2021-01-01' + i
    FROM generate_series(1, 12) i;
CREATE TABLE thing (id int, pin text, label text);
CREATE TABLE sub_thing (extra text, pass text) INHERITS (thing);
INSERT INTO thing SELECT i, secret(i + 160), 'thing' || i FROM generate_series(1, 4) i;
INSERT INTO sub_thing SELECT i, secret(i + 180), 'sub' || i, 'extra' || i, secret(i + 200) FROM generate_series(5, 8) i;
CREATE TABLE loose (id int PRIMARY KEY, a text, b int, c jsonb, d text[], e numeric DEFAULT 1);
INSERT INTO loose SELECT i, 'loose' || i, i * 3, '{"z": [1, 2]}', '{p,q}' FROM generate_series(1, 6) i;
CREATE TABLE empty (id int, a text);
CREATE SCHEMA other;
CREATE TABLE other.item (id int, title text, secret text);
INSERT INTO other.item SELECT i, 'other' || i, secret(i + 220) FROM generate_series(1, 5) i;
CREATE TABLE "Odd Name" ("The Id" int, "select" text, "Sécret" text);
INSERT INTO "Odd Name" SELECT i, 'word' || i, secret(i + 240) FROM generate_series(1, 5) i;
CREATE VIEW person_view AS SELECT id AS number, name, ssn AS tax, upper(ssn) AS loud, salary, mood FROM person;
CREATE VIEW joined_view (id, who, title, tax) AS SELECT i.id, p.name, i.title, p.ssn FROM item i LEFT JOIN person p ON p.id = i.person_id;
CREATE VIEW plain_view AS SELECT id, title, amount FROM item WHERE ok;
CREATE VIEW over_view AS SELECT v.number AS id, v.tax AS deep, i.title FROM person_view v JOIN item i ON i.person_id = v.number;
CREATE VIEW both_view AS SELECT id, title AS x FROM item UNION ALL SELECT id, pin FROM thing;
CREATE VIEW whole_view AS SELECT id, p AS whole FROM person p;
CREATE VIEW guarded_view WITH (security_barrier) AS SELECT number, iban, label FROM account WHERE number > 2;
CREATE VIEW down_view AS WITH RECURSIVE r AS (SELECT id, token, 1 AS n FROM event WHERE id < 4
    UNION ALL SELECT id, token, n + 1 FROM r WHERE n < 2) SELECT * FROM r;
CREATE MATERIALIZED VIEW stored AS SELECT id, name, ssn AS kept, note FROM person;
DROP FUNCTION secret, hidden;
