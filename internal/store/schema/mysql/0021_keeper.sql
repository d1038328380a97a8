-- +goose NO TRANSACTION
-- +goose Up
-- How many certificates were made for somebody within the hour.
CREATE INDEX IF NOT EXISTS issuance_user ON issuance (user_id, created_at, device_id);

-- How many keys were opened within the hour.
CREATE INDEX IF NOT EXISTS journal_opened ON journal (action, at, device_id);
