-- +goose NO TRANSACTION
-- +goose Up
-- When the enrollment profile was fetched last, and when a user said that the
-- device is lost; 0 for never.
ALTER TABLE invitation ADD COLUMN IF NOT EXISTS downloaded_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN IF NOT EXISTS lost_at BIGINT NOT NULL DEFAULT 0;
