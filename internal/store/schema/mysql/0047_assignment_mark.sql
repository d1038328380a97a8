-- +goose NO TRANSACTION
-- +goose Up
-- Shows that an assignment was decided on here; when that was. What was decided
-- before there were marks is to be decided on again.
ALTER TABLE quarantine ADD COLUMN IF NOT EXISTS assigned_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN IF NOT EXISTS mark LONGBLOB NOT NULL DEFAULT '';
UPDATE quarantine SET assign_to = '', lease_until = 0, failure = 'escrow_assignment_old' WHERE assign_to <> '' AND assigned_at = 0;
