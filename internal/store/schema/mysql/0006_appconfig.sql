-- +goose NO TRANSACTION
-- +goose Up
-- assign and settings are JSON; scope_in and scope_out are the assignment as ids.
CREATE TABLE IF NOT EXISTS policy (
  name      VARBINARY(255) NOT NULL PRIMARY KEY,
  priority  BIGINT NOT NULL,
  assign    MEDIUMTEXT NOT NULL,
  scope_in  MEDIUMTEXT NOT NULL,
  scope_out MEDIUMTEXT NOT NULL,
  settings  MEDIUMTEXT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
