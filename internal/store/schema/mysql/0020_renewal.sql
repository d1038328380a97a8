-- +goose NO TRANSACTION
-- +goose Up
-- When somebody wished that all certificates of the device be renewed, 0 for
-- never.
ALTER TABLE device ADD COLUMN IF NOT EXISTS renew_at BIGINT NOT NULL DEFAULT 0;

-- Which issued certificates come to their end.
CREATE INDEX IF NOT EXISTS certificate_ending ON certificate (source, revoked_at, not_after);

-- What a person holds ends with his trust.
CREATE INDEX IF NOT EXISTS link_expires ON link (expires_at);
CREATE INDEX IF NOT EXISTS link_user ON link (user_id);
CREATE INDEX IF NOT EXISTS session_user ON session (user_id);
