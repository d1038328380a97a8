-- +goose Up
-- Escrow keys that were destroyed: nothing is sealed to them any more.
CREATE TABLE escrow_destroyed (
  recipient TEXT PRIMARY KEY,
  at        BIGINT NOT NULL
);
-- A rotation reads the wraps for one key in the order of their records.
DROP INDEX escrow_wrap_recipient;
CREATE INDEX escrow_wrap_recipient ON escrow_wrap (recipient, key_id);
