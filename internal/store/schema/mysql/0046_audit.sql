-- +goose NO TRANSACTION
-- +goose Up
-- The chain of the journal. Rows are only added, by the keeper.
CREATE TABLE IF NOT EXISTS audit_block (
  seq      BIGINT NOT NULL PRIMARY KEY,
  at       BIGINT NOT NULL,
  entries  INTEGER NOT NULL,
  previous VARCHAR(64) NOT NULL,
  hash     VARCHAR(64) NOT NULL,
  mark     LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Which line of the journal has which place in which block. A line may be gone
-- that should not be, so that it is not referred to.
CREATE TABLE IF NOT EXISTS audit_link (
  block  BIGINT NOT NULL,
  n      INTEGER NOT NULL,
  entry  VARCHAR(64) NOT NULL,
  digest VARCHAR(64) NOT NULL,
  PRIMARY KEY (block, n),
  UNIQUE KEY audit_link_entry (entry)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
