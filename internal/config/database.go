package config

// Database is where everything but the keys is stored.
type Database struct {
	DSNFile string `toml:"dsn_file" doc:"File with the DSN of a MariaDB database, which only the service may read: user:password@tcp(db.example.org:3306)/signet. Empty: SQLite in signet.db of the data directory, which serves one machine well."`
}
