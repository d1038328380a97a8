-- +goose Up
-- Counting what is on its way costs as much as is on its way, not as much as
-- there is.
CREATE INDEX command_unsettled ON command (state, created_at) WHERE state <> 'acknowledged';
CREATE INDEX parcel_open ON parcel (ended_at, removal_uuid);
