-- +goose Up
-- When the enrollment profile was fetched last, and when a user said that the
-- device is lost; 0 for never.
ALTER TABLE invitation ADD COLUMN downloaded_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN lost_at BIGINT NOT NULL DEFAULT 0;
