package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
	"github.com/signet-mdm/signet/testdata"
)

// TestDocs runs every command of the documentation, page by page, in the order
// of the page; some pages go on where others end. A fence with the language sh is run; a comment on the line before
// may say otherwise:
//
//	<!-- test: no, WHY -->        it is not run
//	<!-- test: background -->     it runs until the end of the page
//	<!-- test: file NAME -->      it is a file that later commands use
//	<!-- test: phone -->          what it prints are a link and a code: a phone
//	                              enrolls with them and takes what it is sent
//
// Addresses and folders that are the reader's own become those of the test;
// nothing else in a command is changed.
func TestDocs(t *testing.T) {
	judge.Need(t, "bash", "openssl", "curl", "jq", "pki")
	bin := build(t)
	for _, pages := range [][]string{{"docs/quickstart.md", "docs/scep.md", "docs/exchange.md", "docs/keys.md", "docs/backup.md"}, {"docs/push.md"}, {"docs/api.md"}, {"docs/offline-root.md"}, {"docs/rollover.md"}} {
		t.Run(filepath.Base(pages[0]), func(t *testing.T) {
			t.Parallel()
			r := newReader(t, bin)
			for _, page := range pages {
				if page == "docs/keys.md" {
					r.keep()
				}
				r.follow(page)
			}
		})
	}
}

// The drill gives every key back, without Signet: those that are in the files
// which were imported.
func TestRecoveryDocs(t *testing.T) {
	judge.Need(t, "bash", "age", "jq", "openssl", "tar")
	r := newReader(t, build(t))
	r.run("init", "signet init --data d --url https://mdm.example.org --listen :443 > told && grep -o 'AGE-SECRET-KEY-[A-Z0-9]*' told > recovery.txt")
	r.background("serve", "signet serve --data d")
	r.run("wait", "for i in $(seq 100); do signet user add alice@example.com --name Alice --data d && break; sleep 0.2; done")
	for i, f := range testdata.History() {
		r.write("password.txt", []byte(f.Password+"\n"))
		r.run("import", "signet pfx import --data d --password-file password.txt --user alice@example.com "+f.Name)
		r.run("original", fmt.Sprintf("openssl pkcs12 -legacy -in %s -passin file:password.txt -nodes -nocerts | openssl pkey -outform DER | sha256sum > original.%d", f.Name, i))
	}
	r.run("backup", "signet backup --data d today.backup")
	r.follow("docs/recovery.md")
	r.run("compare", `cd "$HOME"; for f in drill/users/alice@example.com/*.p12; do
		openssl pkcs12 -in $f -passin file:drill/password -nodes -nocerts | openssl pkey -outform DER | sha256sum
	done | sort > back; cat original.* | sort | cmp - back && wc -l < back`)
	if want := fmt.Sprint(len(testdata.History())); strings.TrimSpace(r.printed) != want {
		t.Errorf("%s keys came back, want %s", strings.TrimSpace(r.printed), want)
	}
}

// Every command of every page is run, or its page says why not.
func TestDocsLeaveNothingOut(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("got %d pages, %v", len(pages), err)
	}
	source, err := os.ReadFile("docs_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		page, _ = strings.CutPrefix(page, "../../")
		if bytes.Contains(source, []byte(`"`+page+`"`)) && page != "README.md" {
			continue
		}
		for _, f := range fences(t, page) {
			if f.language == "sh" && (f.what != "no" || f.rest == "") {
				t.Errorf("%s:%d is run by nobody, and does not say why", page, f.line)
			}
		}
	}
}

// The page about databases has the reader set up MariaDB as its administrator.
func TestDatabaseDocs(t *testing.T) {
	judge.Need(t, "bash", "mariadb")
	own := mariadbtest.New(t)
	r := newReader(t, build(t), "tcp(db.example.org:3306)", "unix("+own.Socket()+")")
	r.write(".my.cnf", []byte("[client]\nuser=root\nsocket="+own.Socket()+"\n"))
	r.follow("docs/database.md")
	if !strings.HasSuffix(r.printed, "\nmail\nalice@example.com\n") {
		t.Errorf("the database holds %q", r.printed)
	}
}

// reader is somebody who does what a page says.
type reader struct {
	t       *testing.T
	home    string
	port    string
	swap    *strings.Replacer
	env     []string
	printed string // by the last command
	secret  string // the recovery key that init showed
	phone   *handset
}

// newReader gives one whose commands have more replaced: old, new, old, new.
func newReader(t *testing.T, bin string, more ...string) *reader {
	t.Helper()
	r := &reader{t: t, home: t.TempDir()}
	var plain string
	for _, p := range []*string{&r.port, &plain} {
		var err error
		if *p, err = freePort(); err != nil {
			t.Fatal(err)
		}
	}
	r.swap = strings.NewReplacer(append(more,
		"https://mdm.example.org", "https://127.0.0.1:"+r.port,
		"--listen :443", "--listen 127.0.0.1:"+r.port,
		"--http-listen :80", "--http-listen 127.0.0.1:"+plain,
		"/var/lib/signet", filepath.Join(r.home, "var/lib/signet"),
		"/backup", filepath.Join(r.home, "backup"),
		"/elsewhere", filepath.Join(r.home, "elsewhere"),
	)...)
	r.env = append(os.Environ(), "HOME="+r.home, "PATH="+bin+":"+os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0")
	r.prepare()
	return r
}

// prepare gives the reader what he has before he starts.
func (r *reader) prepare() {
	for _, dir := range []string{"var/lib", "old-certificates", "backup", "elsewhere"} {
		if err := os.MkdirAll(filepath.Join(r.home, dir), 0o700); err != nil {
			r.t.Fatal(err)
		}
	}
	newest := testdata.History()[len(testdata.History())-1]
	r.write("old-certificates/"+newest.Name, newest.Data)
	r.write("password.txt", []byte(newest.Password+"\n"))
	for _, f := range testdata.History() {
		r.write(f.Name, f.Data)
	}
	r.vendor()
}

func (r *reader) write(name string, data []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.home, name), data, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// fence is a block of a page.
type fence struct {
	line     int
	language string
	what     string // the comment's word: "", no, background, file, phone
	rest     string // what follows the word
	text     string
}

var comment = regexp.MustCompile(`^<!-- test: (no|background|file|phone)[, ]*(.*?) *-->$`)

func fences(t *testing.T, page string) []fence {
	t.Helper()
	data, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	var list []fence
	var open *fence
	before := ""
	for i, line := range strings.Split(string(data), "\n") {
		language, fenced := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case open != nil && fenced:
			list, open = append(list, *open), nil
		case open != nil:
			open.text += line + "\n"
		case fenced:
			open = &fence{line: i + 1, language: language}
			if m := comment.FindStringSubmatch(before); m != nil {
				open.what, open.rest = m[1], m[2]
			}
		}
		before = strings.TrimSpace(line)
	}
	return list
}

func (r *reader) follow(page string) {
	ran := 0
	for _, f := range fences(r.t, page) {
		at := fmt.Sprintf("%s:%d", page, f.line)
		switch {
		case f.what == "file":
			r.write(f.rest, []byte(r.swap.Replace(f.text)))
		case f.language != "sh":
		case f.what == "no" && f.rest == "":
			r.t.Errorf("%s is not run, and does not say why", at)
		case f.what == "no":
		case f.what == "background":
			r.background(at, f.text)
			ran++
		default:
			r.run(at, f.text)
			ran++
		}
		if f.what == "phone" {
			r.enroll(at)
		}
	}
	if ran == 0 {
		r.t.Errorf("%s has no command that is run", page)
	}
}

// shell prepares a block: what earlier ones exported, and where they went, is
// still so.
func (r *reader) shell(ctx context.Context, text string) *exec.Cmd {
	c := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c",
		`cd "$HOME"; if [ -f .exported ]; then . ./.exported; cd "$(cat .where)"; fi
trap 'export -p >"$HOME/.exported"; pwd >"$HOME/.where"' EXIT
`+r.swap.Replace(text))
	c.Env, c.Dir = r.env, r.home
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	return c
}

func (r *reader) run(at, text string) {
	r.t.Helper()
	ctx, stop := context.WithTimeout(r.t.Context(), 2*patience)
	defer stop()
	var out, errs bytes.Buffer
	c := r.shell(ctx, text)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		r.t.Fatalf("%s: %v\n%s\n%s", at, err, r.swap.Replace(text), out.String()+errs.String())
	}
	r.printed = out.String()
	if key := recoveryKey.FindString(r.printed); key != "" {
		r.secret = key
	}
}

var recoveryKey = regexp.MustCompile(`AGE-SECRET-KEY-1[A-Z0-9]+`)

// keep makes what the page about keys is about: a copy of the database, the
// recovery key and a new password.
func (r *reader) keep() {
	r.t.Helper()
	r.write("recovery.txt", []byte(r.secret+"\n"))
	r.write("new-password", []byte("another one\n"))
	r.run("a copy of the database", `cd "$HOME" && sqlite3 /var/lib/signet/signet.db ".backup copy.db"`)
}

func (r *reader) background(at, text string) {
	r.t.Helper()
	var log bytes.Buffer
	c := r.shell(context.Background(), text)
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		r.t.Fatalf("%s: %v", at, err)
	}
	r.t.Cleanup(func() {
		syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
		err := c.Wait()
		if r.t.Failed() {
			r.t.Logf("%s ended with %v\n%s", at, err, log.String())
		}
	})
	r.await(at)
}

// await waits until the server answers.
func (r *reader) await(at string) {
	r.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(pause) {
		c, err := net.Dial("tcp", "127.0.0.1:"+r.port)
		if err == nil {
			c.Close()
			return
		}
	}
	r.t.Fatalf("%s: nothing listens", at)
}

var printedLink, printedCode = regexp.MustCompile(`(?m)^link +(\S+)`), regexp.MustCompile(`(?m)^code +(\S.*)$`)

// enroll lets a phone do what its user would with the link and the code.
func (r *reader) enroll(at string) {
	r.t.Helper()
	link, code := printedLink.FindStringSubmatch(r.printed), printedCode.FindStringSubmatch(r.printed)
	if link == nil || code == nil {
		r.t.Fatalf("%s printed no link and code:\n%s", at, r.printed)
	}
	r.phone = &handset{}
	r.phone.Phone = phone.New(phone.Config{Keys: keys(), VisitAnyway: true, Log: r.phone.note})
	r.t.Cleanup(r.phone.Close)
	ctx, stop := context.WithTimeout(r.t.Context(), patience)
	defer stop()
	profile, err := r.phone.Open(ctx, link[1], strings.TrimSpace(code[1]))
	if err == nil {
		err = r.phone.Enroll(ctx, profile)
	}
	if err != nil {
		r.t.Fatalf("%s: enrolling: %v", at, err)
	}
	if err := r.settle(ctx); err != nil {
		r.t.Fatalf("%s: %v\n%s", at, err, r.phone.told(0))
	}
}

// settle polls until the phone has keys and there is nothing more for it.
func (r *reader) settle(ctx context.Context) error {
	for quiet := 0; quiet < 3; quiet++ {
		n, err := r.phone.Poll(ctx)
		if err != nil {
			return fmt.Errorf("polling: %w", err)
		}
		if n > 0 || len(r.phone.Identities()) < 2 {
			quiet = 0
		}
		time.Sleep(300 * time.Millisecond)
		if ctx.Err() != nil {
			return errors.New("the phone was not served in time")
		}
	}
	return nil
}
