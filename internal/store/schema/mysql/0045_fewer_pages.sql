-- +goose NO TRANSACTION
-- +goose Up
-- Indexes over a part of a table are SQLite's; there is nothing to change here.
SELECT 1;
