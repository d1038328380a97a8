-- +goose NO TRANSACTION
-- +goose Up
-- Counting what is on its way costs as much as is on its way, not as much as
-- there is.
CREATE INDEX IF NOT EXISTS command_unsettled ON command (state, created_at);
CREATE INDEX IF NOT EXISTS parcel_open ON parcel (ended_at, removal_uuid);
