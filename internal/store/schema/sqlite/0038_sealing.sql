-- +goose Up
-- What lets an importer hand in, once, the keys that he sealed.
CREATE TABLE escrow_ticket (
  id         TEXT PRIMARY KEY,
  actor      TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX escrow_ticket_expires ON escrow_ticket (expires_at);
-- Keys that were sealed elsewhere and not opened since.
CREATE TABLE escrow_unchecked (
  key_id      TEXT PRIMARY KEY,
  lease_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX escrow_unchecked_lease ON escrow_unchecked (lease_until, key_id);
