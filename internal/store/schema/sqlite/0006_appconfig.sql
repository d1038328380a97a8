-- +goose Up
-- assign and settings are JSON; scope_in and scope_out are the assignment as ids.
CREATE TABLE policy (
  name      TEXT PRIMARY KEY,
  priority  BIGINT NOT NULL,
  assign    TEXT NOT NULL,
  scope_in  TEXT NOT NULL,
  scope_out TEXT NOT NULL,
  settings  TEXT NOT NULL
);
