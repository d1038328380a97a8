package httpd

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"

	"github.com/gorilla/mux"
)

// asset is a file that pages load. Its address changes with its content, so
// that it may be kept for ever.
type asset struct {
	kind, hash string
	body       []byte
}

// assets are all files that pages load.
var assets = map[string]asset{
	"signet.css": newAsset("signet.css", "text/css; charset=utf-8"),
	"signet.js":  newAsset("signet.js", "text/javascript; charset=utf-8"),
}

func newAsset(name, kind string) asset {
	b, err := fs.ReadFile(web, path.Join("web", name))
	if err != nil {
		panic(err)
	}
	h := sha256.Sum256(b)
	return asset{kind, hex.EncodeToString(h[:6]), b}
}

// assetURL is where pages find a file.
func assetURL(name string) string { return "/static/" + assets[name].hash + "/" + name }

// Static is the area of the files that pages load.
func Static() Area {
	return Area{Render: Bare, Routes: []Route{{
		Method: http.MethodGet, Path: "/static/{hash}/{name}", Permission: Anyone, MaxBody: NoBody, Handle: serveAsset,
	}}}
}

// serveAsset gives the file as it is now. Under another hash, as a page of
// another version of this server asks for it, it is not to be kept.
func serveAsset(w http.ResponseWriter, r *http.Request, _ Caller) error {
	a, known := assets[mux.Vars(r)["name"]]
	if !known {
		return ErrNotFound
	}
	w.Header().Set("Content-Type", a.kind)
	if mux.Vars(r)["hash"] == a.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, err := w.Write(a.body)
	return err
}
