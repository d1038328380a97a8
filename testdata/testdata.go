// Package testdata gives tests and the demo the sample files that stand beside
// it: a user's certificate history, an old mail, and PKCS #12 files of many
// programs. All keys and passwords in it are public; see README.md.
package testdata

import (
	"embed"
	"encoding/csv"
	"net/url"
	"strconv"
	"strings"
)

//go:embed history
var history embed.FS

//go:embed pfx/*.csv pfx/keys pfx/*.p12 pfx/*.pfx pfx/*.jks pfx/*.jceks pfx/*.pem pfx/*.txt pfx/*.cer pfx/*.p7b
var pfx embed.FS

// File is one PKCS #12 file and the password that opens it.
type File struct {
	Name     string
	Data     []byte
	Password string
}

// Owner is whose history it is.
const Owner = "alice@example.com"

// History gives the encryption history of [Owner], the oldest first. The
// certificates follow one another without a gap; the last is valid now and for
// decades, the others have expired.
func History() []File {
	var files []File
	for _, row := range rows(history, "history/manifest.csv") {
		files = append(files, File{row[0], read(history, "history/"+row[0]), row[1]})
	}
	return files
}

// OldMail gives a message of 2015, as an .eml file, encrypted to the oldest
// certificate of the history.
func OldMail() []byte { return read(history, "history/old-mail.eml") }

// OldMailText gives the text that Bob wrote: the body of the MIME entity inside
// [OldMail], its lines ending in CR LF.
func OldMailText() string { return string(read(history, "history/old-mail.txt")) }

// Sample is a file for the PKCS #12 reader and what must come of it.
type Sample struct {
	File
	Outcome       string   // "ok", or the code of the refusal
	Identities    int      // with AllowNoMAC where Outcome is pfx_mac_missing
	UnpairedKeys  int      //
	UnpairedCerts int      //
	Problems      []string // codes, sorted
	Notes         []string // sorted
}

// PFXCorpus gives the samples, one for each pair of file and password.
func PFXCorpus() []Sample {
	var all []Sample
	for _, list := range []string{"pfx/corpus.csv", "pfx/replicas.csv"} {
		for _, row := range rows(pfx, list) {
			all = append(all, sample(row))
		}
	}
	return all
}

// PFXKey gives a PEM file of those from which samples were made, such as
// "alice.key".
func PFXKey(name string) []byte { return read(pfx, "pfx/keys/"+name) }

func sample(row []string) Sample {
	password, err := url.PathUnescape(row[1])
	if err != nil {
		panic("testdata: " + err.Error())
	}
	return Sample{
		File:    File{row[0], read(pfx, "pfx/"+row[0]), password},
		Outcome: row[2], Identities: number(row[3]),
		UnpairedKeys: number(row[4]), UnpairedCerts: number(row[5]),
		Problems: strings.Fields(row[6]), Notes: strings.Fields(row[7]),
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("testdata: " + err.Error())
	}
	return n
}

// rows gives the rows of a CSV file below its heading.
func rows(from embed.FS, name string) [][]string {
	all, err := csv.NewReader(strings.NewReader(string(read(from, name)))).ReadAll()
	if err != nil {
		panic("testdata: " + err.Error()) // a broken fixture is ours
	}
	return all[1:]
}

func read(from embed.FS, name string) []byte {
	b, err := from.ReadFile(name)
	if err != nil {
		panic("testdata: " + err.Error()) // a missing fixture is ours
	}
	return b
}
