-- +goose NO TRANSACTION
-- +goose Up
-- Keys whose users are not known. id stands in the place of a user with the
-- certificate and the sealed key; named are the users whom the certificate named
-- when it came, JSON. assign_to is whose an administrator said it is, until the
-- keeper has sealed it to him; fresh, that he must be new.
CREATE TABLE IF NOT EXISTS quarantine (
  id          VARCHAR(64) NOT NULL PRIMARY KEY,
  certificate VARCHAR(64) NOT NULL UNIQUE,
  why         VARCHAR(64) NOT NULL,
  named       TEXT NOT NULL,
  file        TEXT NOT NULL,
  assign_to   VARCHAR(64) NOT NULL,
  fresh       INTEGER NOT NULL,
  actor_kind  VARCHAR(32) NOT NULL,
  actor_id    VARCHAR(64) NOT NULL,
  remote      VARCHAR(64) NOT NULL,
  lease_until BIGINT NOT NULL,
  failure     VARCHAR(64) NOT NULL,
  KEY quarantine_assign (assign_to)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
