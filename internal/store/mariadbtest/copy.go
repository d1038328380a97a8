package mariadbtest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// Copy fills an empty database with the tables and rows of another on the same
// server.
func Copy(from, to string) error {
	source, err := mysql.ParseDSN(from)
	if err != nil {
		return err
	}
	old, err := sql.Open("mysql", from)
	if err != nil {
		return err
	}
	defer old.Close()
	db, err := sql.Open("mysql", to)
	if err != nil {
		return err
	}
	defer db.Close()
	names, err := tables(old)
	if err != nil {
		return err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close()
	statements := []string{"SET foreign_key_checks = 0"}
	for _, name := range names {
		var table, create string
		if err := old.QueryRow("SHOW CREATE TABLE "+name).Scan(&table, &create); err != nil {
			return err
		}
		statements = append(statements, create, fmt.Sprintf("INSERT INTO %s SELECT * FROM %s.%s", name, source.DBName, name))
	}
	for _, s := range statements {
		if _, err := conn.ExecContext(context.Background(), s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// Values gives every value of a database, one a line, for tests that look for
// what must not be there.
func Values(dsn string) ([]byte, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	names, err := tables(db)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, name := range names {
		if err := values(&out, db, name); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func values(out *bytes.Buffer, db *sql.DB, table string) error {
	rows, err := db.Query("SELECT * FROM " + table)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		row := make([]any, len(columns))
		for i := range row {
			row[i] = new(sql.RawBytes)
		}
		if err := rows.Scan(row...); err != nil {
			return err
		}
		for _, v := range row {
			out.Write(*v.(*sql.RawBytes))
			out.WriteByte('\n')
		}
	}
	return rows.Err()
}

// tables lists the tables of a database.
func tables(db *sql.DB) (list []string, err error) {
	rows, err := db.Query(`SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, rows.Err()
}
