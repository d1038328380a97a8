package store

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every table has a line about what each role may do with it.
func TestRightsOfEachTable(t *testing.T) {
	files, err := schema.ReadDir("schema/mysql")
	if err != nil {
		t.Fatal(err)
	}
	tables := []string{"goose_db_version"}
	for _, f := range files {
		text, err := schema.ReadFile("schema/mysql/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^CREATE TABLE IF NOT EXISTS (\w+)`).FindAllStringSubmatch(string(text), -1) {
			tables = append(tables, m[1])
		}
	}
	for _, table := range tables {
		if rights[table] == nil {
			t.Errorf("rights.go does not say who may do what with the table %s", table)
		}
	}
	for table, of := range rights {
		if !slices.Contains(tables, table) {
			t.Errorf("rights.go speaks of the table %s, which is not there", table)
		}
		for role, may := range of {
			if !regexp.MustCompile(`^(S(\([a-z_, ]+\))?)?I?U?D?$`).MatchString(may) || may == "" {
				t.Errorf("%s of %s: %q", table, role, may)
			}
		}
	}
	if len(tables) < 40 {
		t.Errorf("only %d tables were found", len(tables))
	}
}

// What the walls between the accounts are for.
func TestRightsWalls(t *testing.T) {
	for _, role := range Roles() {
		if may := rights["journal"][role]; may != "SI" {
			t.Errorf("%s may do %s with the journal, which is only added to", role, may)
		}
	}
	for _, table := range []string{"audit_block", "audit_link"} {
		for role, may := range rights[table] {
			if want := map[Role]string{Worker: "S", Admin: "S", Keeper: "SI"}[role]; may != want {
				t.Errorf("%s may do %s with %s, want %q", role, may, table, want)
			}
		}
	}
	for table, may := range map[string]string{"audit_block": "", "audit_link": "", "escrow_key": "S(id)", "escrow_wrap": "", "token": "", "console_session": "", "transport_key": "",
		"certificate": "S", "users": "S", "policy": "S", "certificate_profile": "S", "opening": "", "generation": "S", "key_export": ""} {
		if got := rights[table][Front]; got != may {
			t.Errorf("the front end may do %q with %s, want %q", got, table, may)
		}
	}
	for _, role := range []Role{Front, Worker, Admin} {
		if strings.ContainsAny(rights["issuance"][role], "ID") {
			t.Errorf("%s may make certificates", role)
		}
	}
	list := Grants(Front, "signet", "f@h")
	if !slices.Contains(list, "GRANT SELECT (id) ON signet.escrow_key TO f@h;") || slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, "escrow_wrap") }) {
		t.Errorf("got %q", list)
	}
}
