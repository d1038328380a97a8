package main

import (
	_ "filippo.io/age"
	_ "github.com/danielgtaylor/huma/v2"
	_ "github.com/danielgtaylor/huma/v2/adapters/humamux"
	_ "github.com/go-sql-driver/mysql"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/google/uuid"
	_ "github.com/gorilla/mux"
	_ "github.com/groob/plist"
	_ "github.com/jedib0t/go-pretty/v6/table"
	_ "github.com/micromdm/scep/v2/challenge"
	_ "github.com/micromdm/scep/v2/cryptoutil"
	_ "github.com/micromdm/scep/v2/cryptoutil/x509util"
	_ "github.com/micromdm/scep/v2/server"
	_ "github.com/pelletier/go-toml/v2"
	_ "github.com/pressly/goose/v3"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/sethvargo/go-diceware/diceware"
	_ "github.com/smallstep/pkcs7"
	_ "github.com/smallstep/scep"
	_ "github.com/spf13/cobra"
	_ "go.yaml.in/yaml/v3"
	_ "golang.org/x/crypto/argon2"
	_ "golang.org/x/net/idna"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/term"
	_ "golang.org/x/time/rate"
	_ "modernc.org/sqlite"
	_ "software.sslmate.com/src/go-pkcs12"
)

func main() {}
