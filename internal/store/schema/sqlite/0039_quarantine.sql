-- +goose Up
-- Keys whose users are not known. id stands in the place of a user with the
-- certificate and the sealed key; named are the users whom the certificate named
-- when it came, JSON. assign_to is whose an administrator said it is, until the
-- keeper has sealed it to him; fresh, that he must be new.
CREATE TABLE quarantine (
  id          TEXT PRIMARY KEY,
  certificate TEXT NOT NULL UNIQUE,
  why         TEXT NOT NULL,
  named       TEXT NOT NULL,
  file        TEXT NOT NULL,
  assign_to   TEXT NOT NULL,
  fresh       INTEGER NOT NULL,
  actor_kind  TEXT NOT NULL,
  actor_id    TEXT NOT NULL,
  remote      TEXT NOT NULL,
  lease_until BIGINT NOT NULL,
  failure     TEXT NOT NULL
);
CREATE INDEX quarantine_assign ON quarantine (assign_to) WHERE assign_to <> '';
